"""The compiled look at an argument says yes to nothing that the checks in Python would change or refuse."""

import numpy as np
import pytest

from embcodec import _native

FLOAT32 = np.dtype("float32")


class Subclass(np.ndarray):
    """One that could do anything."""


def unaligned(a):
    shifted = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


X = np.arange(12, dtype=np.float32).reshape(3, 4)
FROZEN = X.copy()
FROZEN.flags.writeable = False
STRIDED = [X[::-1], X[:, ::-1], np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], unaligned(X)]
NO_ARRAYS = [None, 1.0, X.tolist(), "ab", object(), np.float32(1), X.view(Subclass), np.ma.masked_array(X)]


@pytest.mark.parametrize("shape", [(3, 4), ("n", 4), (3, "d"), ("n", "d")])
def test_the_usual_argument(shape):
    for a in (X, FROZEN):
        assert _native.is_array(a, FLOAT32, shape)
        assert _native.is_finite_array(a, shape)


@pytest.mark.parametrize("a", STRIDED)
def test_strides_and_alignment_matter_to_parameters_alone(a):
    assert _native.is_array(a, FLOAT32, (3, 4))
    assert not _native.is_finite_array(a, (3, 4))


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (3,),
        (12,),
        (3, 4, 1),
        (4, 3),
        (3, 5),
        ("n", 3),
        (3, 4 + 2**64),
        (-3, 4),
        (3.0, 4),
        (np.int64(3), 4),
    ],
)
def test_another_shape(shape):
    assert not _native.is_array(X, FLOAT32, shape)
    assert not _native.is_finite_array(X, shape)


def test_a_name_stands_for_one_or_more():
    for empty in (X[:0], X[:, :0]):
        assert _native.is_finite_array(empty, empty.shape)
        assert not _native.is_array(empty, FLOAT32, ("n", "d"))


@pytest.mark.parametrize("a", NO_ARRAYS, ids=lambda a: type(a).__name__)
def test_what_is_no_ndarray(a):
    assert not _native.is_array(a, FLOAT32, (3, 4))
    assert not _native.is_finite_array(a, (3, 4))


@pytest.mark.parametrize("dtype", [">f4", "f8", "f2", "i4", "u4", "V4", "O"])
def test_another_dtype(dtype):
    a = np.zeros((3, 4), dtype)
    assert not _native.is_array(a, FLOAT32, (3, 4))
    assert not _native.is_finite_array(a, (3, 4))


@pytest.mark.parametrize("size", [*range(1, 40), 1000, (1 << 16) + 3])
def test_a_value_that_is_not_finite_wherever_it_is(size):
    largest = np.finfo(np.float32).max
    a = np.resize(np.float32([largest, -largest, 0.0, -0.0, 1e-45]), size)
    assert _native.is_finite_array(a, (size,))
    for place in range(size) if size < 40 else (0, size // 2, size - 1):
        for bad in (np.nan, -np.nan, np.inf, -np.inf):
            before, a[place] = a[place], bad
            assert not _native.is_finite_array(a, (size,))
            a[place] = before


def test_wrong_arguments():
    for arguments in ((), (X,), (X, FLOAT32), (X, FLOAT32, [3, 4]), (X, FLOAT32, (3, 4), 1)):
        with pytest.raises(TypeError, match=r"^3 arguments wanted, the last a tuple$"):
            _native.is_array(*arguments)
    with pytest.raises(TypeError, match=r"^2 arguments wanted, the last a tuple$"):
        _native.is_finite_array(X, [3, 4])


@pytest.mark.parametrize("lo", [X[0].astype(np.float64), X[0].astype(">f4"), X[::2, 0], X[0].tolist()])
def test_bindings_convert_nothing(lo):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _native.sq_encode(X, 0, lo, X[0], 8, np.empty((3, 4), np.uint8), 1, -1)
