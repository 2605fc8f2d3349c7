"""Kernels that take rows one by one: shapes at the edges of what a thread, a warp and a block take.

And what makes their loads and stores narrower: types, strides, addresses.
"""

import numpy as np
import on_device
import pytest

from embcodec import kernels
from embcodec.reference import REGISTRY

pytestmark = on_device.skip_without

ENCODERS = (
    "sq_encode",
    "rowsq_encode",
    "half_encode",
    "levels_encode",
    "shape_encode",
    "bits_encode",
    "rq_encode",
)
DECODERS = (
    *("sq_decode", "rowsq_decode", "half_decode", "levels_decode", "shape_decode", "bits_decode"),
    *("pq_decode", "rq_decode", "trellis_decode"),
)


def assert_same(name, inputs):
    kernel = getattr(kernels, name)
    got, want = on_device.call(kernel, inputs), kernel(**inputs)
    for g, w in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,)):
        np.testing.assert_array_equal(g, w)
        assert g.tobytes() == w.tobytes()


def arguments(name, n, d):
    """Of every variant."""
    rng = np.random.default_rng(d)
    for variant in REGISTRY[name].variants:
        yield REGISTRY[name].inputs(rng.standard_normal((n, d), np.float32), rng, **variant)


def layouts(array):
    """The same values as they are, rows apart, at odd addresses, columns apart, backwards."""
    n, d = array.shape
    yield array
    apart = np.zeros((n, d + 3), array.dtype)[:, 1 : d + 1]
    apart[:] = array
    yield apart
    columns = np.zeros((n, 2 * d), array.dtype)[:, ::2]
    columns[:] = array
    yield columns
    yield np.ascontiguousarray(array[::-1])[::-1]


@pytest.mark.parametrize("d", [100, 384, 770])
@pytest.mark.parametrize("name", [*ENCODERS, *DECODERS])
def test_wide_rows(name, d):
    for inputs in arguments(name, 9, d):
        assert_same(name, inputs)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ENCODERS)
def test_types_and_layouts(name, dtype):
    for inputs in list(arguments(name, 6, 40))[:4]:
        for x in layouts(inputs["x"].astype(dtype)):
            assert_same(name, {**inputs, "x": x})


@pytest.mark.parametrize("name", ENCODERS)
def test_every_float16(name):
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    x = halves[np.isfinite(halves)].reshape(-1, 496)
    inputs = next(arguments(name, 1, x.shape[1]))
    assert_same(name, {**inputs, "x": x})


@pytest.mark.parametrize("name", DECODERS)
def test_layouts_of_codes(name):
    for inputs in arguments(name, 6, 48):
        for codes in list(layouts(inputs["codes"]))[:2]:
            assert_same(name, {**inputs, "codes": codes})


@pytest.mark.parametrize("name", DECODERS)
def test_results_at_odd_addresses(name):
    inputs = next(arguments(name, 6, 48))
    want = getattr(kernels, name)(**inputs)
    out = on_device.device(np.zeros(want.size + 1, np.float32))[1:].reshape(want.shape)
    on_device.call(getattr(kernels, name), inputs, out=out)
    np.testing.assert_array_equal(on_device.host(out), want)


@pytest.mark.parametrize("d", [1023, 1024, 1025, 1500, 2048])
def test_rows_that_registers_do_not_hold(d):
    for inputs in arguments("rowsq_encode", 3, d):
        assert_same("rowsq_encode", inputs)


@pytest.mark.parametrize("ksub", [16, 256])
@pytest.mark.parametrize("dsub", [1, 2, 3, 4, 6, 8, 12, 16, 20, 32, 36, 100])
def test_codewords(dsub, ksub):
    rng = np.random.default_rng(dsub)
    for m in (1, 2, 5, 9):
        codebooks = rng.standard_normal((m, ksub, dsub), np.float32)
        codes = rng.integers(0, 256, (7, m if ksub == 256 else (m + 1) // 2)).astype(np.uint8)
        assert_same("pq_decode", {"codes": codes, "codebooks": codebooks})


def test_more_codebooks_than_a_block_takes():
    rng = np.random.default_rng(5)
    for m, ksub, dsub in ((70, 16, 8), (300, 16, 4), (9, 256, 8)):
        codebooks = rng.standard_normal((m, ksub, dsub), np.float32)
        codes = rng.integers(0, 256, (1030, m if ksub == 256 else (m + 1) // 2)).astype(np.uint8)
        assert_same("pq_decode", {"codes": codes, "codebooks": codebooks})


def test_codebooks_at_an_odd_address():
    rng = np.random.default_rng(6)
    codebooks = rng.standard_normal(5 * 256 * 8 + 1).astype(np.float32)[1:].reshape(5, 256, 8)
    codes = rng.integers(0, 256, (7, 5)).astype(np.uint8)
    assert_same("pq_decode", {"codes": codes, "codebooks": codebooks})


@pytest.mark.parametrize("name", ["bits_encode", "bits_decode"])
def test_threads_that_take_several_turns(name):
    n = 4 * (1 << 18) * 3 + 5
    assert_same(name, next(arguments(name, n, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ENCODERS)
def test_refused_rows(name, dtype, value):
    inputs = next(arguments(name, 9, 24))
    for row, column in ((0, 0), (5, 11), (8, 23)):
        x = inputs["x"].astype(dtype)
        x[row:, column] = value
        with pytest.raises(ValueError, match=rf"row {row}\b"):
            on_device.call(getattr(kernels, name), {**inputs, "x": x})


def test_rows_out_of_registers_are_refused():
    x = np.zeros((3, 1300), np.float32)
    x[1, 1299] = np.nan
    with pytest.raises(ValueError, match=r"row 1\b"):
        on_device.call(kernels.rowsq_encode, {"x": x, "bits": 8})
