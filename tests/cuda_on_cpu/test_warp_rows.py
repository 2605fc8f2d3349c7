"""Rows that a warp holds in its registers: kernels for each size, which take rows of any layout."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RNG = np.random.default_rng(5)
ROWS = 6  # more than a block has warps


def assert_same(kernel, **inputs):
    got, want = on_device.call(kernel, inputs), kernel(**inputs)
    for g, w in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,)):
        assert g.tobytes() == w.tobytes()
    return want


def layouts(d, n=ROWS):
    """The same shape in every layout and element type."""
    wide = 3 * RNG.standard_normal((n, 2 * d + 4), np.float32)
    yield wide[:, :d].copy()
    yield wide[:, 4 : d + 4]  # aligned to vectors, with a stride
    yield wide[:, 1 : d + 1]  # not aligned
    yield wide[:, 2 * d : 0 : -2]
    for dtype in (np.float16, np.float64):
        yield wide[:, :d].astype(dtype)


def signs_of(size):
    return np.where(RNG.random(size) < 0.5, np.float32(-1), np.float32(1))


def assert_rotated(x, size, bits=8):
    signs = signs_of(size)
    y = assert_same(kernels.hadamard_rotate, x=x, signs=signs)
    lo = RNG.uniform(-4, 0, size).astype(np.float32)
    step = RNG.uniform(-0.01, 0.1, size).astype(np.float32)  # some are none
    assert_same(kernels.hadamard_sq_encode, x=x, signs=signs, lo=lo, step=step, bits=bits)
    return y, signs


@pytest.mark.parametrize(
    "size",
    [*(32, 64, 128, 256, 512, 1024, 2048), *(384, 768, 1536, 3072), *(640, 1280, 2560)],
)
def test_rotation(size):
    y, signs = assert_rotated(3 * RNG.standard_normal((ROWS, size), np.float32), size)
    assert_same(kernels.hadamard_rotate, x=y, signs=signs, inverse=True)
    assert_rotated(RNG.standard_normal((2, size - 7)).astype(np.float16), size, bits=6)


@pytest.mark.parametrize("d", [768, 766, 750])
@pytest.mark.parametrize("bits", [8, 6, 4])
def test_rotation_of_any_layout(d, bits):
    for x in layouts(d):
        assert_rotated(x, 768, bits)


def test_rotation_into_memory_of_any_alignment():
    x, signs = RNG.standard_normal((3, 768), np.float32), signs_of(768)
    lo, step = np.full(768, -4, np.float32), np.full(768, 8 / 255, np.float32)
    out = on_device.device(np.empty(3 * 768 + 1, np.float32)[1:].reshape(3, 768))
    on_device.call(kernels.hadamard_rotate, {"x": x, "signs": signs}, out=out)
    assert on_device.host(out).tobytes() == kernels.hadamard_rotate(x, signs).tobytes()
    inputs = {"x": x, "signs": signs, "lo": lo, "step": step}
    for bits in (8, 4):
        size = 768 * bits // 8
        codes = on_device.device(np.zeros(3 * size + 1, np.uint8)[1:].reshape(3, size))
        on_device.call(kernels.hadamard_sq_encode, {**inputs, "bits": bits}, out=codes)
        assert (on_device.host(codes) == kernels.hadamard_sq_encode(**inputs, bits=bits)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rotation_refuses_what_is_not_finite(value):
    signs, ones = signs_of(768), np.ones(768, np.float32)
    for j in (0, 767):
        for x in (np.zeros((9, 768), np.float32), np.zeros((9, 768), np.float64)):
            x[7, j] = value
            with pytest.raises(ValueError, match="row 7"):
                on_device.call(kernels.hadamard_rotate, {"x": x, "signs": signs})
            with pytest.raises(ValueError, match="row 7"):
                on_device.call(kernels.hadamard_sq_encode, {"x": x, "signs": signs, "lo": ones, "step": ones})


def test_rotation_beyond_float32():
    """Sums that overflow are written as they are, be it NaNs of other bits; codes of them there are none."""
    x, signs = np.full((5, 768), 3e38, np.float32), np.ones(768, np.float32)
    with np.errstate(all="ignore"):
        want = kernels.hadamard_rotate(x, signs)
    np.testing.assert_array_equal(on_device.call(kernels.hadamard_rotate, {"x": x, "signs": signs}), want)
    with pytest.raises(ValueError, match="row 0"):
        on_device.call(kernels.hadamard_sq_encode, {"x": x, "signs": signs, "lo": signs, "step": signs})


def assert_largest(x, k):
    indices, values = assert_same(kernels.topk_encode, x=x, k=k)
    assert_same(kernels.topk_decode, indices=indices, values=values, d=x.shape[1])


@pytest.mark.parametrize("d", [200, 256, 500, 768, 1000, 1536, 2048, 2049])
def test_largest(d):
    x = RNG.standard_normal((ROWS, d), np.float32)
    x[1] *= 1e-30 * np.exp(10 * np.abs(x[1]))  # far apart
    x[2, 5] = 1e30  # far from all others
    for k in (1, 32, 150, d):
        assert_largest(x, k)


@pytest.mark.parametrize("d", [768, 766, 750])
def test_largest_of_any_layout(d):
    for x in layouts(d):
        assert_largest(x, 32)


@pytest.mark.parametrize("levels", [1, 2, 3, 40])
def test_largest_of_equals(levels):
    """Of equal magnitudes those of lower indices, be they few or more than 64."""
    x = RNG.integers(1 - levels, levels, (ROWS, 768)).astype(np.float32)
    x[0] = 0
    x[1, :] = -0.0
    x[2, ::2] = 0
    x[3] = np.where(RNG.random(768) < 0.02, x[3], np.float32(1e-45))
    for k in (1, 20, 32, 100, 384, 385, 768):
        assert_largest(x, k)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_largest_refuses_what_is_not_finite(value):
    for ordinary in (0, 1):
        x = np.full((9, 768), ordinary, np.float32)
        x[7, 700:] = value
        for k in (1, 32, 768):
            with pytest.raises(ValueError, match="row 7"):
                on_device.call(kernels.topk_encode, {"x": x, "k": k})
