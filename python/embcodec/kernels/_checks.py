"""The only validation: what a kernel is given, refused with a line that says what was expected and what came.

Nothing is converted on the quiet: a list is a TypeError, and so is an array of another dtype. Only small
parameters become contiguous float32. Data stays where it is, at any strides; a pass over it is left to the
kernels.

`_native.is_array` and `_native.is_finite_array` know what nearly every call brings; what they do not know is
looked at here.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embcodec import _native
from embcodec._backends.arrays import NUMPY, adopted, library_of
from embcodec.reference.rq import WORDS

Array = NDArray[Any]  # or CuPy's
Floats = NDArray[Any]  # float32, float16, bfloat16 or float64
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Shape = tuple[int | str, ...]

FLOAT32, INT32, INT64, UINT8, UINT16, UINT32, BOOL = map(
    np.dtype, ("float32", "int32", "int64", "uint8", "uint16", "uint32", "bool")
)
_FLOATS = "fed"  # dtype.char of float32, float16, float64: much faster than dtype.name
_MAY_BE_EMPTY = ("n", "nq")
_METRICS = ("ip", "l2", "cosine")


def code_size(d: int, bits: int) -> int:
    """Bytes of a row of d codes, packed."""
    return (d * bits + 7) // 8


def floats(kernel: str, name: str, x: Any, *shape: int | str) -> Array:
    """An array of one of the four float dtypes, in native byte order, as it is."""
    if _native.is_array(x, FLOAT32, shape):
        return x  # type: ignore[no-any-return]
    x, dtype = _array(kernel, name, x)
    if not dtype.isnative or (dtype.char not in _FLOATS and dtype.name != "bfloat16"):
        raise TypeError(
            f"{kernel}: {name} must be float32, float16, bfloat16 or float64, got {_dtype_name(dtype)}"
        )
    _shape(kernel, name, x, shape)
    return x  # type: ignore[no-any-return]


def typed(kernel: str, name: str, a: Any, dtype: np.dtype[Any], *shape: int | str) -> Array:
    """An array of one dtype, as it is."""
    if _native.is_array(a, dtype, shape):
        return a  # type: ignore[no-any-return]
    a, got = _array(kernel, name, a)
    if got != dtype:
        raise TypeError(f"{kernel}: {name} must be {dtype}, got {_dtype_name(got)}")
    _shape(kernel, name, a, shape)
    return a  # type: ignore[no-any-return]


def parameter(kernel: str, name: str, value: Any, like: Array, *shape: int | str) -> F32:
    """A parameter array: finite, C-contiguous float32, in the library and on the device of the data.

    One that comes from the host is checked there; one that is on a device already is not waited for.
    """
    if like.__class__ is np.ndarray and _native.is_finite_array(value, shape):
        return value  # type: ignore[no-any-return]
    array = _floats_as_float32(kernel, name, value, shape)
    if not _is_finite(array):
        raise ValueError(f"{kernel}: {name} has a non-finite value")
    return beside(array, like)


def column(kernel: str, name: str, value: Any, like: Array, in_place: str) -> Array:
    """A number of each row (n,): of the dtype `in_place` as it is, else a parameter."""
    library = library_of(value)
    if library is not None and library is library_of(like) and library.dtype(value) == in_place:
        _shape(kernel, name, value, (like.shape[0],))
        return value  # type: ignore[no-any-return]
    return parameter(kernel, name, value, like, like.shape[0])


def per_dimension(kernel: str, name: str, value: Any, like: Array, d: int) -> F32:
    """A parameter (d,), or one number for all dimensions."""
    if isinstance(value, (int, float, np.floating)):
        value = np.full(d, value, np.float32)
    return parameter(kernel, name, value, like, d)


def queries(kernel: str, value: Any, like: Array, d: int | str) -> F32:
    """Queries (nq, d): finite, C-contiguous float32, beside the data as any parameter."""
    return finite_rows(kernel, "queries", value, like, "nq", d)


def finite_rows(kernel: str, name: str, value: Any, like: Array, rows: str, d: int | str) -> F32:
    """A matrix (rows, d): finite, C-contiguous float32, beside the data as any parameter."""
    shape = rows, d
    if like.__class__ is np.ndarray and _native.is_finite_array(value, shape):
        return value  # type: ignore[no-any-return]
    array = _floats_as_float32(kernel, name, value, shape)
    if not _is_finite(array):
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise ValueError(f"{kernel}: {name} has a non-finite value in row {row}")
    return beside(array, like)


def contiguous(a: Array) -> Array:
    """The array, C-contiguous, in its library."""
    return library_of(a).contiguous(a)  # type: ignore[no-any-return]


def beside(a: Array, like: Array) -> Array:
    """The array, C-contiguous, in the library and on the device of the data."""
    if a.__class__ is like.__class__ is np.ndarray:
        return a
    like = adopted(like)
    library = (
        library_of(like) or NUMPY
    )  # codes of no library are refused after the parameters that give their size
    return a if library is NUMPY and type(a) is np.ndarray else library.asarray(a, like)


def count(kernel: str, name: str, value: Any, largest: int, meaning: str) -> int:
    """An integer from 1 to the largest, which has a meaning: the rows, the dimensions."""
    number = _integer(kernel, name, value)
    if largest < 1:
        raise ValueError(f"{kernel}: {name} counts {meaning}, and there are none")
    if not 1 <= number <= largest:
        raise ValueError(f"{kernel}: {name} must be from 1 to {largest} ({meaning}), got {number}")
    return number


def at_least(kernel: str, name: str, value: Any, least: int) -> int:
    """An integer with a lower bound."""
    number = _integer(kernel, name, value)
    if number < least:
        raise ValueError(f"{kernel}: {name} must be at least {least}, got {number}")
    return number


def seed(kernel: str, value: Any) -> int:
    """A 64-bit unsigned integer."""
    number = at_least(kernel, "seed", value, 0)
    if number >= 1 << 64:
        raise ValueError(f"{kernel}: seed must be below 2**64, got {number}")
    return number


def one_of(kernel: str, name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """One of a few values."""
    if value not in choices:
        wanted = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
        raise ValueError(f"{kernel}: {name} must be {wanted}, got {value!r}")


def output(kernel: str, out: Any, like: Array, dtype: np.dtype[Any], *shape: int, name: str = "out") -> Array:
    """The caller's array if it fits, else a new one in the library and on the device of the data."""
    library = library_of(like)
    assert library is not None
    if out is None:
        return library.empty(like, shape, dtype)  # type: ignore[no-any-return]
    typed(kernel, name, out, dtype, *shape)
    if library_of(out) is not library:
        raise TypeError(f"{kernel}: {name} must be of the library of the data, {library.name}")
    if not library.is_writeable(out):
        raise ValueError(f"{kernel}: {name} must be C-contiguous and writeable")
    if library.may_share_memory(out, like):
        raise ValueError(f"{kernel}: {name} must not share memory with the input")
    return out  # type: ignore[no-any-return]


def outputs(kernel: str, out: Any, like: Array, *wanted: tuple[Any, ...]) -> tuple[Any, ...]:
    """Several outputs, each wanted as (dtype, *shape), from a tuple of the caller's arrays or new ones."""
    if out is None:
        empty = library_of(like).empty
        return tuple([empty(like, tuple(shape), dtype) for dtype, *shape in wanted])
    if not isinstance(out, tuple) or len(out) != len(wanted):
        raise TypeError(f"{kernel}: out must be a tuple of {len(wanted)} arrays")
    names = [f"out[{i}]" for i in range(len(wanted))]
    return tuple(output(kernel, o, like, *w, name=name) for o, w, name in zip(out, wanted, names))


def search(
    kernel: str, like: Array, nq: int, k: Any, metric: str, mask: Any, out: Any
) -> tuple[int, Bools | None, tuple[Any, ...]]:
    """What all scans share, over the rows of `like`: k, the mask, and the outputs scores and ids (nq, k)."""
    n = len(like)
    k = count(kernel, "k", k, n, "the rows")
    one_of(kernel, "metric", metric, _METRICS)
    if mask is not None:
        mask = beside(contiguous(typed(kernel, "mask", mask, BOOL, n)), like)
    if out is None and like.__class__ is np.ndarray:  # allocation is a good part of a short call
        return k, mask, (np.empty((nq, k), FLOAT32), np.empty((nq, k), INT64))
    return k, mask, outputs(kernel, out, like, (FLOAT32, nq, k), (INT64, nq, k))


def coarse(
    kernel: str, like: Array, d: int | str, centroids: Any, centroid: Any
) -> tuple[F32 | None, I32 | None]:
    """Centroids (c, d) that a scan adds to decoded rows, and the one of each row, needless with one."""
    if centroids is not None:
        centroids = parameter(kernel, "centroids", centroids, like, "c", d)
    n, count = like.shape[0], 0 if centroids is None else len(centroids)
    if centroid is None and count not in (0, 1):
        raise ValueError(f"{kernel}: centroids need centroid, which tells the one of each row")
    if centroid is not None:
        if centroids is None:
            raise ValueError(f"{kernel}: centroid needs centroids")
        centroid = contiguous(typed(kernel, "centroid", centroid, INT32, n))
        if n and is_on_host(centroid) and not 0 <= int(centroid.min()) <= int(centroid.max()) < count:
            raise ValueError(f"{kernel}: centroid must be in [0, {count})")
        centroid = beside(centroid, like)
    return centroids, centroid


def staged(
    kernel: str, like: Array, d: int, centroids: Any, centroid: Any
) -> tuple[F32 | None, I32 | U8 | None]:
    """`coarse`, or codebooks (m, 256, d), of each of which a row adds a codeword, and which, uint8 (n, m)."""
    if getattr(centroids, "ndim", 2) != 3:
        return coarse(kernel, like, d, centroids, centroid)
    centroids = parameter(kernel, "centroids", centroids, like, "m", WORDS, d)
    if centroid is None:
        raise ValueError(f"{kernel}: codebooks need centroid, which tells the codewords of each row")
    centroid = typed(kernel, "centroid", centroid, UINT8, like.shape[0], len(centroids))
    return centroids, beside(centroid, like)


def on_host(a: Array) -> Array:
    """The array, C-contiguous, on the host; waits for a device."""
    return np.ascontiguousarray(library_of(a).to_host(a))


def is_on_host(a: Array) -> bool:
    """Whether a look at its values waits for no device."""
    return library_of(a) is NUMPY


def _array(kernel: str, name: str, a: Any) -> tuple[Array, np.dtype[Any]]:
    """The array, of a library that kernels know, and its dtype as NumPy calls it."""
    if a.__class__ is np.ndarray:
        return a, a.dtype
    a = adopted(a)
    library = library_of(a)
    if library is None:
        raise TypeError(f"{kernel}: {name} must be a NumPy, CuPy or CUDA torch array, got {type(a).__name__}")
    return a, library.dtype(a)


def _shape(kernel: str, name: str, a: Array, shape: Shape) -> None:
    got = a.shape
    if len(got) == len(shape) and all(map(_fits, shape, got)):
        return
    wanted = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    empty = [want for want, length in zip(shape, got) if want.__class__ is str and length == 0]
    least = f" with {empty[-1]} > 0" if empty and len(got) == len(shape) else ""
    raise ValueError(f"{kernel}: {name} must be ({wanted}){least}, got {got}")


def _fits(want: int | str, length: int) -> bool:
    return want == length or (want.__class__ is str and (length > 0 or want in _MAY_BE_EMPTY))


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return str(dtype.name if dtype.isnative else dtype.str)


def _integer(kernel: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{kernel}: {name} must be an integer, got {type(value).__name__}") from None


def _floats_as_float32(kernel: str, name: str, value: Any, shape: Shape) -> F32:
    """Floats of this shape as C-contiguous float32, in their own library."""
    value = floats(kernel, name, value, *shape)
    if value.__class__ is np.ndarray and value.dtype.char == "f" and value.flags.c_contiguous:
        return value if value.flags.aligned else value.copy()
    return library_of(value).asarray(value, value, FLOAT32)  # type: ignore[no-any-return]


def _is_finite(array: F32) -> bool:
    """On the host; arrays of a device are not waited for."""
    if array.__class__ is not np.ndarray and not is_on_host(array):
        return True
    return bool(np.isfinite(array).all())
