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


def check(plan, isa):
    got = kernels.trellis_topk(k=K, isa=isa, threads=2, **plan)
    want = trellis_topk(k=K, **plan)
    np.testing.assert_array_equal(got[1], want[1])
    assert got[0].tobytes() == want[0].tobytes()


@pytest.mark.parametrize("isa", _native.available_levels())
class TestExact:
    def test_many(self, plan, isa):
        check(plan, isa)

    @pytest.mark.parametrize("count", [2, 9, 40])
    def test_scores_closer_than_estimates(self, plan, isa, count):
        codes, step = plan["codes"].copy(), plan["step"].copy()
        codes[:, :8] = codes[0, :8]  # those of the 16 components at 4 bits
        codes[:, -1] = 200
        step[16:] *= np.float32(1e-4)
        queries = plan["queries"][:count]
        check(
            {**plan, "codes": codes, "step": step, "queries": queries, "centroids": None, "centroid": None},
            isa,
        )

    def test_one_centroid(self, plan, isa):
        few = {"centroids": plan["centroids"][:1], "centroid": None, "queries": plan["queries"][:3]}
        check({**plan, **few}, isa)

    def test_centroids_that_outweigh_the_rows(self, plan, isa):
        centroids = np.tile(plan["centroids"][:1] * np.float32(1000), (5, 1))
        check({**plan, "centroids": centroids, "queries": plan["queries"][:33]}, isa)

    @pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-18, 1e18, 1e30, 3e37])
    @pytest.mark.parametrize("what", ["queries", "step", "factors"])
    def test_scale(self, plan, isa, what, scale):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (plan[what] * np.float32(scale)).clip(-3e38, 3e38).astype(np.float32)
            few = {**plan, "queries": plan["queries"][:9], what: scaled[:9] if what == "queries" else scaled}
            check(few, isa)

    def test_one_large_component(self, plan, isa):
        queries = plan["queries"][:9].copy()
        queries[:, 3] = 1e20
        check({**plan, "queries": queries}, isa)

    def test_a_query_of_zeros(self, plan, isa):
        check({**plan, "queries": np.zeros((2, D), np.float32)}, isa)
