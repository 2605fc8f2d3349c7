"""The scan of trellis codes leaves nothing out: many blocks of rows and queries, numbers at float32's end."""

import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference.trellis import LEVELS, code_size, trellis_topk

N, D, NQ, K = 3000, 72, 1100, 10  # many blocks of rows; more queries than are prepared at a time, an odd tile
RATES = np.repeat(np.array([8, 4, 2, 1, 1], np.uint8), 16)[:D]


@pytest.fixture(scope="module")
def plan():
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 256, (N, code_size(RATES) + 1)).astype(np.uint8)
    codes[N // 2 :] = codes[: N // 2]  # ties, which the lower row must win
    return {
        "codes": codes,
        "codebooks": rng.integers(-127, 128, (8, LEVELS)).astype(np.int8),
        "step": np.geomspace(0.02, 0.0005, D).astype(np.float32),
        "rates": RATES,
        "queries": rng.standard_normal((NQ, D)).astype(np.float32),
        "factors": rng.uniform(-1, 2, 256).astype(np.float32),
        "centroids": rng.standard_normal((5, D)).astype(np.float32),
        "centroid": rng.integers(0, 5, N).astype(np.int32),
    }


@pytest.fixture(scope="module")
def codewords(plan):
    """For centroids, those of three stages, in a part of longer rows; rows enough that adding them pays."""
    rng = np.random.default_rng(9)
    return {
        **plan,
        "codes": np.tile(plan["codes"], (3, 1)),
        "centroids": rng.standard_normal((3, 256, D)).astype(np.float32) / 2,
        "centroid": np.tile(rng.integers(0, 256, (N // 2, 5)).astype(np.uint8), (6, 1))[:, 1:4],
    }


def check(plan, metric, k=K, threads=2):
    """On every level."""
    want = trellis_topk(k=k, metric=metric, **plan)
    for isa in _native.available_levels():
        got = kernels.trellis_topk(k=k, isa=isa, threads=threads, metric=metric, **plan)
        np.testing.assert_array_equal(got[1], want[1], isa)
        assert got[0].tobytes() == want[0].tobytes(), isa


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
class TestExact:
    def test_many(self, plan, metric):
        check(plan, metric)

    @pytest.mark.parametrize("count", [1, 2, 9, 40])
    @pytest.mark.parametrize("centroids", [None, 1, 5])
    def test_scores_closer_than_estimates(self, plan, metric, count, centroids):
        codes, step = plan["codes"].copy(), plan["step"].copy()
        codes[:, :8] = codes[0, :8]  # those of the 16 components at 4 bits
        codes[:, -1] = 200
        step[16:] *= np.float32(1e-4)
        close = {**plan, "codes": codes, "step": step, "queries": plan["queries"][:count]}
        close["centroid"] = plan["centroid"] if centroids == 5 else None
        if centroids:
            near = plan["centroids"][0] + np.float32(1e-5) * plan["centroids"][:centroids]
            close["centroids"] = near.astype(np.float32)
        else:
            close["centroids"] = None
        check(close, metric)

    @pytest.mark.parametrize("count", [1, 2, 9, 20, 40])
    def test_codewords(self, codewords, metric, count):
        few = {**codewords, "queries": codewords["queries"][:count]}
        check(few, metric, threads=1)
        check({**few, "mask": np.random.default_rng(8).random(3 * N) < 0.1}, metric)

    @pytest.mark.parametrize("count", [1, 20])
    def test_codewords_of_one_stage(self, codewords, metric, count):
        one = {"centroids": codewords["centroids"][:1], "centroid": codewords["centroid"][:, :1]}
        check({**codewords, **one, "queries": codewords["queries"][:count]}, metric, threads=1)

    @pytest.mark.parametrize("count", [1, 2, 9, 17])
    def test_codewords_that_add_up_alike(self, codewords, metric, count):
        """Nothing but the last digits of what many large codewords add up to tells rows apart."""
        books = codewords["centroids"][:, :1] + np.float32(3e-7) * codewords["centroids"]
        few = {
            **codewords,
            "step": codewords["step"] * np.float32(1e-12),
            "centroids": np.concatenate([books, -books[::-1]]) * np.float32(1000),
            "centroid": np.tile(codewords["centroid"], 2),
            "queries": codewords["queries"][:count],
        }
        check(few, metric, threads=1)

    @pytest.mark.parametrize("count", [1, 3])
    def test_one_centroid(self, plan, metric, count):
        few = {"centroids": plan["centroids"][:1], "centroid": None, "queries": plan["queries"][:count]}
        check({**plan, **few}, metric)

    def test_a_mask(self, plan, metric):
        mask = np.random.default_rng(8).random(N) < 0.1
        mask[:64] = False  # blocks with no row
        check({**plan, "mask": mask, "queries": plan["queries"][:5]}, metric)

    def test_lengths_that_a_bound_makes_half(self, plan, metric):
        """The rest is in components whose squared steps vanish beside the first; scores go below zero."""
        books = np.sign(plan["codebooks"]) * np.int8(127)
        books[RATES[0] // 2 + 1] //= 127
        step = np.where(np.arange(D) < 16, 1, 0.004).astype(np.float32)
        half = {**plan, "codebooks": books, "step": step, "queries": plan["queries"][:2]}
        half["centroids"] = half["centroid"] = half["factors"] = None
        half["codes"] = plan["codes"][:, :-1].copy()
        for k in (K, 2 * N // 3):
            check(half, metric, k, threads=1)

    def test_centroids_that_outweigh_the_rows(self, plan, metric):
        centroids = np.tile(plan["centroids"][:1] * np.float32(1000), (5, 1))
        for count in (1, 33):
            check({**plan, "centroids": centroids, "queries": plan["queries"][:count]}, metric)

    @pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-18, 1e18, 1e30, 3e37])
    @pytest.mark.parametrize("what", ["queries", "step", "factors", "centroids"])
    def test_scale(self, plan, metric, what, scale):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (plan[what] * np.float32(scale)).clip(-3e38, 3e38).astype(np.float32)
            few = {**plan, "queries": plan["queries"][:9], what: scaled[:9] if what == "queries" else scaled}
            check(few, metric)

    def test_one_large_component(self, plan, metric):
        queries = plan["queries"][:9].copy()
        queries[:, 3] = 1e20
        check({**plan, "queries": queries}, metric)

    def test_rows_of_all_lengths(self, plan, metric):
        """Of products that are alike the shortest row has the best cosine."""
        factors = np.geomspace(1e-4, 1e4, 256).astype(np.float32)
        few = {
            **plan,
            "factors": factors,
            "centroids": None,
            "centroid": None,
            "queries": plan["queries"][:2],
        }
        check(few, metric)

    def test_a_query_of_zeros(self, plan, metric):
        check({**plan, "queries": np.zeros((2, D), np.float32)}, metric)
