"""Codes that are decoded, searched: tensor cores nominate, no row of the best gets lost.

They work on the rows behind the first chunk of 1024, in four ways by the number of queries. test_adc.py has
what is looked up in tables.
"""

import numpy as np
import on_device
import pytest

from embcodec import kernels
from embcodec.reference import REGISTRY

pytestmark = on_device.skip_without

FIRST, LATER, NQ = 1024, 140, 33
COUNTS = (1, 9, 33, 65)  # of queries
SCANS = ("sq_topk", "rowsq_topk", "levels_topk", "bits_topk", "flat_topk", "trellis_topk")
RNG = np.random.default_rng(4)


def some(name, d, nq=NQ, **wanted):
    """A variant's inputs with many rows and queries, of which some are near to later rows of floats."""
    kernel = REGISTRY[name]
    variant = next(v for v in kernel.variants if wanted.items() <= v.items())
    n = FIRST + LATER
    inputs = kernel.inputs(RNG.standard_normal((n, d), np.float32), np.random.default_rng(d), **variant)
    queries = RNG.standard_normal((nq, d), np.float32)
    if name == "flat_topk":
        queries[::3] = 2 * inputs["x"][FIRST : FIRST + len(queries[::3])]
    inputs["queries"] = queries
    return inputs


def assert_same(name, inputs):
    function = getattr(kernels, name)
    for got, want in zip(on_device.call(function, inputs), function(**inputs)):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize(("d", "nq"), [(48, 1), (5, 2), (150, 2), (21, 9), (40, 33), (48, 65)])
def test_the_best_are_those_of_the_exact_scan(name, d, nq, metric):
    inputs = some(name, d, nq, metric=metric, masked=False)
    assert_same(name, {**inputs, "k": 9})
    mask = RNG.random(FIRST + LATER) < 0.3
    assert_same(name, {**inputs, "k": 1, "mask": mask})


@pytest.mark.parametrize("bits", range(1, 9))
def test_codes_of_any_bits_at_any_address(bits):
    n, d = FIRST + LATER, 21
    size = (d * bits + 7) // 8
    memory = RNG.integers(0, 256, n * (size + 3) + 1, np.uint8)
    codes = memory[1:].reshape(n, size + 3)[:, :size]
    inputs = {
        "codes": codes,
        "levels": np.sort(RNG.standard_normal(1 << bits)).astype(np.float32),
        "step": RNG.random(d).astype(np.float32),
        "queries": RNG.standard_normal((NQ, d), np.float32),
        "k": 7,
    }
    assert_same("levels_topk", inputs)
    assert_same("levels_topk", {**inputs, "queries": inputs["queries"][:1], "codes": codes[::-1]})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_of_any_type_and_strides(dtype):
    x = RNG.standard_normal((FIRST + LATER, 34), np.float32).astype(dtype)
    for view in (x, x[:, ::2], x[::-1], x[:, 1:18]):
        assert_same("flat_topk", {"x": view, "queries": view[-NQ:].astype(np.float32), "k": 5})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused(value):
    x = RNG.standard_normal((FIRST + LATER, 17), np.float32)
    x[FIRST + 77, 16] = value
    with pytest.raises(ValueError, match=f"row {FIRST + 77}\\b"):
        on_device.call(kernels.flat_topk, {"x": x, "queries": x[:NQ], "k": 3})


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e25])
def test_scales(scale):
    x = RNG.standard_normal((FIRST + LATER, 24), np.float32) * np.float32(scale)
    x[FIRST:] *= np.float32(1.5)
    for metric in ("ip", "l2", "cosine"):
        assert_same("flat_topk", {"x": x, "queries": x[-NQ:], "k": 6, "metric": metric})


@pytest.mark.parametrize("nq", COUNTS)
def test_rows_that_are_all_alike(nq):
    """Each is nominated; ties go to the lower row."""
    x = np.ones((FIRST + LATER, 16), np.float32)
    assert_same("flat_topk", {"x": x, "queries": x[:nq], "k": 20})


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["sq_topk", "trellis_topk"])
def test_the_last_row_of_an_array(name, offset):
    """Its last word may reach beyond the array: it is nominated without being decoded."""
    inputs = some(name, 24, 3, metric="ip", masked=False)
    n, size = inputs["codes"].shape
    memory = np.zeros(n * size + offset, np.uint8)
    codes = memory[offset:].reshape(n, size)
    codes[:] = inputs["codes"]
    codes[-1] = codes[5]
    assert_same(name, {**inputs, "codes": codes, "k": n})
