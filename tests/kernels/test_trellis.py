"""Units of fewer than 16 components, at every rate; rates that are refused."""

from functools import cache

import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY
from embcodec.reference.trellis import LEVELS, RATES, UNIT, code_size

FULL = ((), (12,), (6, 4, 1))  # rates of the units before the last one
N = 5


def search(codes, codebooks, step, rates, **how):
    """The arguments of a search, and what it must find."""
    arguments = {"codes": codes, "codebooks": codebooks, "step": step, "rates": rates, "k": 3, **how}
    return arguments, REGISTRY["trellis_topk"].reference(**arguments)


@cache
def cases():
    """For each count and rate of the last unit: arguments, and what the references make of them."""
    rng, found = np.random.default_rng(16), []
    for full in FULL:
        for count in range(1, UNIT):
            for rate in RATES[1:]:
                if rate > min(full, default=12) or (rate == 1 and count % 2):
                    continue
                rates = np.repeat(np.array([*full, rate], np.uint8), UNIT)[: UNIT * len(full) + count]
                d = len(rates)
                x, queries = rng.standard_normal((N, d), np.float32), rng.standard_normal((20, d), np.float32)
                books = rng.integers(-127, 128, (8, LEVELS)).astype(np.int8)
                step, weight = rng.uniform(0.005, 0.03, (2, d)).astype(np.float32)
                codes = REGISTRY["trellis_encode"].reference(x, books, step, rates, weight)
                assert codes.shape[1] == sum(full) + -(-count * rate // 16)
                decoded = REGISTRY["trellis_decode"].reference(codes, books, step, rates)
                assert (decoded[:, -1] != 0).any()
                searches = [search(codes, books, step, rates, queries=queries[:n]) for n in (1, 3, 20)]
                found.append(((x, books, step, rates, weight), codes, decoded, searches))
    return found


@pytest.mark.parametrize("isa", _native.available_levels())
def test_a_last_unit_of_any_size_and_rate(isa):
    for plan, codes, decoded, searches in cases():
        _, books, step, rates, _ = plan
        np.testing.assert_array_equal(kernels.trellis_encode(*plan, isa=isa), codes)
        np.testing.assert_array_equal(kernels.trellis_decode(codes, books, step, rates, isa=isa), decoded)
        for arguments, (scores, ids) in searches:
            got = kernels.trellis_topk(**arguments, isa=isa)
            np.testing.assert_array_equal(got[1], ids)
            assert got[0].tobytes() == scores.tobytes()


@pytest.mark.parametrize("isa", _native.available_levels())
@pytest.mark.parametrize("rate", RATES[1:])
def test_of_equal_costs_the_lowest_window_wins(rate, isa):
    """Few distinct levels, rows of small integers: nearly every choice is among equals."""
    rng, d = np.random.default_rng(rate), 40
    x = rng.integers(-3, 4, (16, d)).astype(np.float32)
    books = rng.integers(-2, 3, (8, LEVELS)).astype(np.int8)
    plan = books, np.ones(d, np.float32), np.full(d, rate, np.uint8), np.ones(d, np.float32)
    wanted = REGISTRY["trellis_encode"].reference(x, *plan)
    np.testing.assert_array_equal(kernels.trellis_encode(x, *plan, isa=isa), wanted)


@pytest.mark.parametrize("isa", _native.available_levels())
@pytest.mark.parametrize("d", [48, 384])
def test_a_row_whose_products_err_as_far_as_they_may(d, isa):
    """What a query loses as bytes has the sign of the level in each component; the best before is close."""
    # A component's sign is its own lowest bit.
    books = np.tile(np.array([-127, 127], np.int8), (8, LEVELS // 2))
    rates, step = np.full(d, 12, np.uint8), np.ones(d, np.float32)
    query = np.full((1, d), 0.45, np.float32) + np.arange(d, dtype=np.float32) % 50
    query[0, [0, d // 2, d - 1]] = 127, 127, 0.05
    plus = np.tile(np.array([1, 0, 0, 0, 0, 0], np.uint8), d)
    rows = np.packbits(plus, bitorder="little")[None].repeat(100, axis=0)
    rows[:99, -1] &= 3  # minus in the last component, whose bits begin with the byte's third
    scores, ids = kernels.trellis_topk(rows, books, step, rates, query, 1, isa=isa)
    assert ids[0, 0] == 99
    assert scores[0, 0] == pytest.approx(127 * query.sum(), rel=1e-6)


@pytest.mark.parametrize(
    "rates",
    [
        [0] * 20,
        [2] * 16 + [4] * 4,
        [4] * 15 + [2] * 5,
        [4] * 16 + [2] * 2 + [0] * 2,
        [3] * 20,
        [14] * 20,
        [2] * 16 + [1] * 5,  # of five components, one would have no other
        [1] * 7,
    ],
)
def test_rates_that_are_refused(rates):
    rates = np.array(rates, np.uint8)
    books, step = np.zeros((8, LEVELS), np.int8), np.ones(len(rates), np.float32)
    x, codes = np.zeros((2, len(rates)), np.float32), np.zeros((2, code_size(rates)), np.uint8)
    with pytest.raises(ValueError, match=r"trellis_encode: rates must be of .* and not end with 1"):
        kernels.trellis_encode(x, books, step, rates, step)
    with pytest.raises(ValueError, match=r"trellis_decode: rates must be of .* and not end with 1"):
        kernels.trellis_decode(codes, books, step, rates)
    with pytest.raises(ValueError, match=r"trellis_topk: rates must be of .* and not end with 1"):
        kernels.trellis_topk(codes, books, step, rates, x, 1)


def coded(n, d=32):
    """Codes of so many rows, queries, and codebooks and codewords that a row adds."""
    rng = np.random.default_rng(3)
    rates = np.full(d, 4, np.uint8)
    arguments = {
        "codes": rng.integers(0, 256, (n, code_size(rates))).astype(np.uint8),
        "codebooks": rng.integers(-127, 128, (8, LEVELS)).astype(np.int8),
        "step": np.full(d, 0.01, np.float32),
        "rates": rates,
        "queries": rng.standard_normal((3, d), np.float32),
        "k": 3,
    }
    words = rng.integers(0, 256, (n, 3)).astype(np.uint8)
    return arguments, rng.standard_normal((3, 256, d), np.float32), words


def test_codewords_may_lie_in_any_strides():
    arguments, books, words = coded(50)
    _, want = search(**arguments, centroids=books, centroid=words)
    apart = np.zeros((50, 3, 7), np.uint8)[:, :, 2]
    apart[...] = words
    for same in (apart, np.asfortranarray(words), words[::-1].copy()[::-1], words[:, ::-1].copy()[:, ::-1]):
        got = kernels.trellis_topk(**arguments, centroids=books, centroid=same)
        assert [a.tobytes() for a in got] == [a.tobytes() for a in want]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda books, words: (books, None), "codebooks need centroid"),
        (lambda books, words: (books, words[:, :2]), r"centroid must be \(20, 3\), got \(20, 2\)"),
        (lambda books, words: (books, words[:9]), r"centroid must be \(20, 3\), got \(9, 3\)"),
        (lambda books, words: (books[:, :255], words), r"centroids must be \(m, 256, 32\)"),
        (lambda books, words: (books[:0], words[:, :0]), r"centroids must be \(m, 256, 32\) with m > 0"),
        (lambda books, words: (books + np.float32(np.inf), words), "centroids has a non-finite value"),
    ],
)
def test_codewords_that_are_refused(change, message):
    arguments, books, words = coded(20)
    centroids, centroid = change(books, words)
    with pytest.raises(ValueError, match=f"^trellis_topk: {message}"):
        kernels.trellis_topk(**arguments, centroids=centroids, centroid=centroid)


def test_codewords_of_another_dtype_are_refused():
    arguments, books, words = coded(20)
    with pytest.raises(TypeError, match=r"^trellis_topk: centroid must be uint8, got int32$"):
        kernels.trellis_topk(**arguments, centroids=books, centroid=words.astype(np.int32))
