"""The order of results, masks and metrics, for every scan on every level."""

from itertools import product

import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY

LEVELS = _native.available_levels()
SCANS = [name for name in REGISTRY if name.endswith("_topk")]
MINUS_INFINITY = np.float32(-np.inf)


def scan_inputs(name, x, k, mask=None):
    kernel = REGISTRY[name]
    inputs = kernel.inputs(x, np.random.default_rng(2), **kernel.variants[0])
    return {**inputs, "k": k, "mask": mask}


def search(name, inputs, isa):
    return getattr(kernels, name)(**inputs, isa=isa)


def some_rows(n, d, different):
    """n rows of which only a few are different, in random order."""
    rng = np.random.default_rng(8)
    rows = rng.integers(-3, 4, (different, d)).astype(np.float32)
    return rows[rng.integers(different, size=n)]


@pytest.mark.parametrize(("name", "isa"), list(product(SCANS, LEVELS)))
def test_equal_scores_come_by_ascending_id(name, isa):
    """Through many blocks of rows and with every k that could be a border."""
    x = some_rows(2500, 16, 6)
    everything = scan_inputs(name, x, len(x))
    scores, ids = search(name, everything, isa)
    for s, i in zip(scores, ids):
        assert sorted(i) == list(range(len(x)))
        steps = list(zip(-s, i))
        assert steps == sorted(steps)
    for k in (1, 2, 7, 8, 9, 63, 64, 65, 1000):
        some_scores, some_ids = search(name, {**everything, "k": k}, isa)
        np.testing.assert_array_equal(some_ids, ids[:, :k])
        np.testing.assert_array_equal(some_scores, scores[:, :k])


@pytest.mark.parametrize(("name", "isa"), list(product(SCANS, LEVELS)))
def test_masked_rows_never_appear(name, isa):
    x = some_rows(700, 16, 50)
    mask = np.random.default_rng(1).random(700) < 0.3
    scores, ids = search(name, scan_inputs(name, x, 700), isa)
    masked_scores, masked_ids = search(name, scan_inputs(name, x, 250, mask), isa)
    left = int(mask.sum())
    for s, i, ms, mi in zip(scores, ids, masked_scores, masked_ids):
        np.testing.assert_array_equal(mi[:left], i[mask[i]][:250])
        np.testing.assert_array_equal(ms[:left], s[mask[i]][:250])
        assert (mi[left:] == -1).all()
        assert (ms[left:] == MINUS_INFINITY).all()
    assert left < 250


@pytest.mark.parametrize(("name", "isa"), list(product(SCANS, LEVELS)))
def test_a_mask_that_lets_nothing_through(name, isa):
    scores, ids = search(name, scan_inputs(name, some_rows(40, 16, 9), 3, np.zeros(40, bool)), isa)
    assert (ids == -1).all()
    assert (scores == MINUS_INFINITY).all()


@pytest.mark.parametrize("name", SCANS)
def test_no_queries(name):
    inputs = scan_inputs(name, some_rows(40, 16, 9), 3)
    scores, ids = search(name, {**inputs, "queries": inputs["queries"][:0]}, None)
    assert (scores.shape, scores.dtype, ids.shape, ids.dtype) == ((0, 3), np.float32, (0, 3), np.int64)


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_zero_is_never_negative(isa, metric):
    x = np.array([[0, 0], [1, 0], [-0.0, 0]], np.float32)
    scores, _ = kernels.flat_topk(
        x, np.array([[0, -1], [0, 0], [-0.0, -0.0]], np.float32), 3, metric, isa=isa
    )
    assert not np.signbit(scores[scores == 0]).any()


@pytest.mark.parametrize("isa", LEVELS)
def test_the_cosine_of_a_zero_row_is_0(isa):
    x = np.array([[-1, 0], [0, 0], [3, 4]], np.float32)
    scores, ids = kernels.flat_topk(x, np.array([[2, 0], [0, 0]], np.float32), 3, "cosine", isa=isa)
    np.testing.assert_array_equal(ids, [[2, 1, 0], [0, 1, 2]])
    np.testing.assert_allclose(scores, [[0.6, 0, -1], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("isa", LEVELS)
def test_overflow_sorts_last_and_before_the_filler(isa):
    """Row 1 scores infinity minus infinity, row 2 minus infinity."""
    x = np.array([[1, 1], [3e38, 3e38], [-3e38, 0], [2, 2]], np.float32)
    mask = np.array([True, True, True, False])
    scores, ids = kernels.flat_topk(x, np.array([[10, -10]], np.float32), 4, mask=mask, isa=isa)
    np.testing.assert_array_equal(ids, [[0, 1, 2, -1]])
    np.testing.assert_array_equal(scores, [[0, -np.inf, -np.inf, -np.inf]])


@pytest.mark.parametrize("isa", LEVELS)
def test_a_row_that_is_masked_may_hold_anything(isa):
    x = np.ones((5, 3), np.float32)
    x[2] = np.nan
    _, ids = kernels.flat_topk(x, x[:1], 4, mask=np.arange(5) != 2, isa=isa)
    np.testing.assert_array_equal(ids, [[0, 1, 3, 4]])
    with pytest.raises(ValueError, match="flat_topk: x has a non-finite value in row 2"):
        kernels.flat_topk(x, x[:1], 4, isa=isa)


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("name", ["pq_topk", "levels_topk", "bits_topk"])
@pytest.mark.parametrize("nq", [1, 5, 40])
def test_codes_in_column_order(name, nq, isa):
    """As in row order, for every path through the kernel: few rows and many, few queries and many, a mask."""
    rng = np.random.default_rng(3)
    for n, variant in product((1, 70, 4999, 9001), REGISTRY[name].variants):
        x = rng.standard_normal((300, 40)).astype(np.float32)
        inputs = REGISTRY[name].inputs(x, np.random.default_rng(2), **variant)
        rows = rng.integers(300, size=n)  # many ties
        codes = inputs.pop("codes")[rows]
        of_rows = {"factor", "centroid", "shift"} & inputs.keys()
        inputs |= {key: inputs[key][rows] for key in of_rows if inputs[key] is not None}
        queries = rng.standard_normal((nq, inputs["queries"].shape[1])).astype(np.float32)
        mask = rng.random(n) < 0.3 if variant["masked"] else None
        inputs |= {"queries": queries, "k": min(n, 10), "mask": mask}
        want = search(name, {"codes": codes, **inputs}, isa)
        got = search(name, {"codes": np.asfortranarray(codes), **inputs}, isa)
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])


def many_columns(name, bits, rng, n):
    """Inputs of codes of 75 bytes, which few queries read by strips of rows if they lie in column order."""
    subspaces = {8: 75, 4: 149, 1: 600}[bits]
    if name == "pq_topk":
        codes = rng.integers(256, size=(n, 75), dtype=np.uint8)
        codes[:, -1] &= 2**bits - 1  # of 4 bits, half of the last byte is left
        return {"codes": codes, "codebooks": rng.standard_normal((subspaces, 2**bits, 2)).astype(np.float32)}
    x = rng.standard_normal((n, subspaces)).astype(np.float32)
    if name == "bits_topk":
        return {"codes": kernels.bits_encode(x), "low": -0.7, "high": 0.8}
    levels, step = np.array([-0.8, 0.8], np.float32), np.ones(subspaces, np.float32)
    factor = rng.uniform(0.5, 1.5, n).astype(np.float16)
    return {"codes": kernels.levels_encode(x, levels, step), "levels": levels, "step": step, "factor": factor}


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize(
    ("name", "bits"), [("pq_topk", 8), ("pq_topk", 4), ("bits_topk", 1), ("levels_topk", 1)]
)
@pytest.mark.parametrize("masked", ["nothing", "most", "one run", "all but the ends"])
def test_many_columns(name, bits, masked, isa):
    """Strips that begin and end anywhere, by masks and by threads, and a last block of a few rows."""
    rng, n = np.random.default_rng(5), 3 * 4096 + 37
    inputs = many_columns(name, bits, rng, n)
    at = np.arange(n)
    mask = {
        "nothing": None,
        "most": rng.random(n) < 0.02,
        "one run": (at < 5000) | (at > 5300),
        "all but the ends": (at < 10) | (at >= n - 40),
    }[masked]
    dims = 2 * len(inputs["codebooks"]) if name == "pq_topk" else 600
    queries = rng.standard_normal((3, dims)).astype(np.float32)
    for nq in (1, 3):
        rest = {**inputs, "queries": queries[:nq], "k": 20, "mask": mask}
        want = search(name, rest, isa)
        for threads in (1, 2):
            columns = {**rest, "codes": np.asfortranarray(inputs["codes"])}
            got = getattr(kernels, name)(**columns, isa=isa, threads=threads)
            np.testing.assert_array_equal(got[0], want[0])
            np.testing.assert_array_equal(got[1], want[1])


@pytest.mark.parametrize("isa", LEVELS)
def test_parts_of_codes_in_column_order(isa):
    """A view of some columns and rows of a larger array, and an array backwards."""
    rng = np.random.default_rng(4)
    codebooks = rng.standard_normal((6, 256, 2)).astype(np.float32)
    queries = rng.standard_normal((2, 12)).astype(np.float32)
    large = np.asfortranarray(rng.integers(256, size=(6000, 9), dtype=np.uint8))
    for codes in (large[500:5500, 2:8], large[:, 8:2:-1], large[::-1, 2:8], large[::3, 2:8]):
        got = kernels.pq_topk(codes, codebooks, queries, 5, isa=isa)
        want = kernels.pq_topk(codes.copy(order="C"), codebooks, queries, 5, isa=isa)
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])
