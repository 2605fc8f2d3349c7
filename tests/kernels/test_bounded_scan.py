"""Scans that estimate scores first leave nothing out: many rows, ties, numbers at the ends of float32."""

import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY

N, D, K = 1500, 70, 10  # many blocks of rows, a last one that is not full, codes that end within a byte
MANY = 8400  # enough for lookup tables of bytes, also when two threads share them


def rows(rng, n=N):
    x = rng.standard_normal((n, D)).astype(np.float32)
    x[n // 2 :] = x[: n // 2]  # ties, which the lower row must win
    x[7] = 0
    return x


def flat(rng):
    return "flat_topk", {"x": rows(rng)}


def scalar(bits):
    def inputs(rng):
        x = rows(rng)
        lo = x.min(axis=0)
        step = (x.max(axis=0) - lo) / np.float32(2**bits - 1)
        return "sq_topk", {
            "codes": kernels.sq_encode(x, lo, step, bits),
            "lo": lo,
            "step": step,
            "bits": bits,
        }

    return inputs


def row_scalar(bits):
    def inputs(rng):
        codes, scale, offset = kernels.rowsq_encode(rows(rng), bits)
        return "rowsq_topk", {"codes": codes, "scale": scale, "offset": offset, "bits": bits}

    return inputs


def levels(bits, n=N, centroids=3, ends=None, beyond=0):
    def inputs(rng):
        table = np.sort(rng.standard_normal(2**bits)).astype(np.float32)
        if ends:
            table = np.linspace(*ends, 2**bits).astype(np.float32)
        step = rng.uniform(0.5, 2, D).astype(np.float32)
        return "levels_topk", {
            "codes": kernels.levels_encode(rows(rng, n), table, step),
            "levels": table,
            "step": step,
            "factor": rng.uniform(-1, 2, n).astype(np.float32),
            "centroids": rng.standard_normal((centroids, D + beyond)).astype(np.float32),
            "centroid": rng.integers(0, centroids, n).astype(np.int32),
            "shift": rng.standard_normal(n).astype(np.float32),
            "direction": rng.standard_normal(D).astype(np.float32),
        }

    return inputs


def plain(bits, beyond=0):
    """Codes that are their own levels, with centroids: what scalar quantization is behind a coarse stage.

    `beyond`: dimensions that only the centroids have.
    """

    def inputs(rng):
        table = np.arange(2**bits, dtype=np.float32)
        spread = (rows(rng) + 3) * np.float32(2**bits / 6)
        return "levels_topk", {
            "codes": kernels.levels_encode(spread, table, np.ones(D, np.float32)),
            "levels": table,
            "step": (rng.uniform(0.5, 2, D) * 4 / 2**bits).astype(np.float32),
            "centroids": rng.standard_normal((3, D + beyond)).astype(np.float32) - 3,
            "centroid": rng.integers(0, 3, N).astype(np.int32),
        }

    return inputs


def bits(order, n=N):
    def inputs(rng):
        low, high = np.sort(rng.standard_normal((2, D)).astype(np.float32), axis=0)
        codes = kernels.bits_encode(rows(rng, n), np.zeros(D, np.float32), order=order)
        return "bits_topk", {"codes": codes, "low": low, "high": high, "order": order}

    return inputs


def sparse(rng):
    indices, values = kernels.topk_encode(rows(rng), 9)
    return "sparse_topk", {"indices": indices, "values": values}


def product(bits, m, centroids=0, falling=False):
    def inputs(rng):
        codebooks = rng.standard_normal((m, 2**bits, D // m)).astype(np.float32)
        if falling:
            codebooks *= 0.3 ** np.arange(m, dtype=np.float32)[:, None, None]
        codes = rng.integers(0, 256, (MANY, m * bits // 8)).astype(np.uint8)
        codes[MANY // 2 :] = codes[: MANY // 2]
        if not centroids:
            return "pq_topk", {"codes": codes, "codebooks": codebooks}
        centroid = rng.integers(0, centroids, MANY).astype(np.int32)
        centroid[MANY // 2 :] = centroid[: MANY // 2]
        return "pq_topk", {
            "codes": codes,
            "codebooks": codebooks,
            "centroids": rng.standard_normal((centroids, D)).astype(np.float32),
            "centroid": centroid,
        }

    return inputs


def columns(case):
    def inputs(rng):
        kernel, inputs = case(rng)
        return kernel, {**inputs, "codes": np.asfortranarray(inputs["codes"])}

    return inputs


CASES = {
    "pq8": product(8, 7),
    "pq4": product(4, 14),
    "pq8-falling": product(8, 7, falling=True),
    "pq8-centroids": product(8, 7, 300),
    "pq4-centroids": product(4, 14, 5),
    "flat": flat,
    "sq8": scalar(8),
    "sq6": scalar(6),
    "sq4": scalar(4),
    "rowsq8": row_scalar(8),
    "rowsq4": row_scalar(4),
    **{f"levels{n}": levels(n) for n in (1, 2, 3, 4, 8)},
    **{f"levels{n}-even": levels(n, ends=(-2, 1.9)) for n in (5, 6, 8)},
    **{f"levels{n}-plain": plain(n) for n in range(1, 9)},
    **{f"levels{n}-wide": levels(n, beyond=9) for n in (1, 4)},
    **{f"levels{n}-plain-wide": plain(n, beyond) for n, beyond in ((4, 1), (8, 40))},
    "bits-msb": bits("msb"),
    "bits-lsb": bits("lsb"),
    "bits-msb-many": bits("msb", MANY),
    "levels1-many": levels(1, MANY, 1),
    "levels1-columns": columns(levels(1, MANY, 1)),
    "pq8-columns": columns(product(8, 7)),
    "sparse": sparse,
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return CASES[request.param](np.random.default_rng(5))


HALF, TINY = 32, np.float32(1e-5)  # dimensions that all rows share; the scale of what tells rows apart


def close(kernel, inputs):
    """Rows whose scores differ by less than any estimate can tell: one with too tight a bound loses some."""
    inputs = {
        name: value.copy() if isinstance(value, np.ndarray) else value for name, value in inputs.items()
    }
    rng = np.random.default_rng(10)
    if kernel == "flat_topk":
        inputs["x"][:, :HALF] = inputs["x"][0, :HALF]
        inputs["x"][:, HALF:] *= TINY
        return inputs
    if kernel == "sparse_topk":
        inputs["indices"][:] = inputs["indices"][0]
        inputs["values"][:, :4] = inputs["values"][0, :4]
        inputs["values"][:, 4:] *= TINY
        return inputs
    codes = inputs["codes"]
    if kernel == "rowsq_topk":
        codes[:] = codes[0]
        inputs["scale"] = (0.01 + 1e-7 * rng.random(N)).astype(np.float32)
        inputs["offset"] = TINY * rng.standard_normal(N).astype(np.float32)
        return inputs
    if "centroids" in inputs and kernel == "pq_topk":
        inputs["centroids"] = inputs["centroids"][0] + TINY * inputs["centroids"]
    if kernel == "pq_topk":
        shared = codes.shape[1] // 2
        inputs["codebooks"][len(inputs["codebooks"]) * shared // codes.shape[1] :] *= TINY
    else:
        shared = HALF * codes.shape[1] * 8 // D // 8
    codes[:, :shared] = codes[0, :shared]
    if "step" in inputs:
        inputs["step"][HALF:] *= TINY
    if kernel == "levels_topk":
        inputs["centroid"][:] = len(inputs["centroids"]) - 1
    if "factor" in inputs:
        inputs["factor"][:] = 1.5
        inputs["shift"] *= TINY
    if kernel == "bits_topk":
        inputs["high"][HALF:] = inputs["low"][HALF:] + TINY
    return inputs


def rows_of(case):
    return len(next(iter(case[1].values())))


def queries_of(count, kernel, inputs):
    d = inputs["centroids"].shape[1] if "centroids" in inputs else D
    queries = np.random.default_rng(6).standard_normal((count, d)).astype(np.float32)
    queries[1] = 0
    if kernel == "flat_topk":
        queries[2] = inputs["x"][3]
    return queries


def check(case, queries, **options):
    """On every level."""
    kernel, inputs = case
    threads = 1 if len(queries) >= 64 else 2  # so that each has enough for what serves 64 and more
    want = REGISTRY[kernel].reference(**inputs, queries=queries, k=K, **options)
    for isa in _native.available_levels():
        got = getattr(kernels, kernel)(**inputs, queries=queries, k=K, threads=threads, isa=isa, **options)
        np.testing.assert_array_equal(got[1], want[1], isa)
        assert got[0].tobytes() == want[0].tobytes(), isa


@pytest.mark.parametrize("count", [3, 15, 70])
class TestExact:
    @pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
    def test_metrics(self, case, count, metric):
        check(case, queries_of(count, *case), metric=metric)

    @pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
    def test_scores_closer_than_estimates(self, case, count, metric):
        check((case[0], close(*case)), queries_of(count, *case), metric=metric)

    def test_mask(self, case, count):
        mask = np.random.default_rng(8).random(rows_of(case)) < 0.1
        mask[:64] = False  # blocks with no row
        check(case, queries_of(count, *case), mask=mask)

    @pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-18, 1e18, 1e30, 3e37])
    def test_scale(self, case, count, scale):
        queries = queries_of(count, *case) * np.float32(scale)
        check(case, queries.clip(-3e38, 3e38))

    def test_one_large_component(self, case, count):
        queries = queries_of(count, *case)
        queries[::2, 3] = 1e20
        check(case, queries)


@pytest.mark.parametrize("count", [3, 45])
@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-18, 1e18, 1e30, 3e37])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_rows_of_any_scale(count, scale, metric):
    name, inputs = flat(np.random.default_rng(5))
    x = inputs["x"].copy()
    x[::3] *= np.float32(scale) / 10
    check((name, {"x": x}), queries_of(count, name, inputs), metric=metric)


@pytest.mark.parametrize("count", [3, 45])
def test_factors_and_shifts_within_the_codes(count):
    """float16 and int8 are read where they lie; a float16 that is not finite counts as 0."""
    name, inputs = levels(4)(np.random.default_rng(5))
    packed = inputs["codes"].shape[1]
    stored = np.random.default_rng(9).integers(0, 256, (N, packed + 3)).astype(np.uint8)
    stored[:, :packed] = inputs["codes"]
    within = {
        **inputs,
        "codes": stored[:, :packed],
        "shift": stored[:, packed].view(np.int8),
        "factor": stored[:, packed + 1 :].view("<f2")[:, 0],
    }
    apart = {**within, "shift": within["shift"].astype(np.float32)}
    apart["factor"] = np.nan_to_num(within["factor"].astype(np.float32), nan=0, posinf=0, neginf=0)
    queries = queries_of(count, name, inputs)
    assert not np.isfinite(within["factor"]).all()
    for isa in _native.available_levels():
        got = kernels.levels_topk(**within, queries=queries, k=K, isa=isa)
        want = kernels.levels_topk(**apart, queries=queries, k=K, isa=isa)
        assert [a.tobytes() for a in got] == [a.tobytes() for a in want], isa
    check((name, within), queries)


@pytest.mark.parametrize("isa", _native.available_levels())
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_many_queries_refuse_a_row(isa, bad):
    x = rows(np.random.default_rng(5))
    x[900, D - 1] = bad
    with pytest.raises(ValueError, match="flat_topk: x has a non-finite value in row 900"):
        kernels.flat_topk(x, np.ones((45, D), np.float32), K, isa=isa)


@pytest.mark.parametrize("isa", _native.available_levels())
@pytest.mark.parametrize("metric", ["ip", "l2"])
@pytest.mark.parametrize("ksub", [16, 256])
def test_a_row_whose_score_overflows_comes_before_the_filler(isa, ksub, metric):
    codebooks = np.zeros((2, ksub, 4), np.float32)
    codebooks[:, 1] = 3e38
    codes = np.uint8([[0x11], [0], [0x01]] if ksub == 16 else [[1, 1], [0, 0], [1, 0]])
    queries = np.full((1, 8), -3e38, np.float32) if metric == "ip" else np.zeros((1, 8), np.float32)
    scores, ids = kernels.pq_topk(codes, codebooks, queries, 3, metric, isa=isa)
    assert scores.tolist() == [[0, -np.inf, -np.inf]]
    assert ids.tolist() == [[1, 0, 2]]


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("scale", [1e-44, 1e-40, 1e-36, 1e-30, 1e-20])
def test_codewords_of_any_scale(metric, scale):
    name, inputs = product(8, 7)(np.random.default_rng(4))
    queries = queries_of(70, name, inputs) * np.float32(1e14)
    small = {**inputs, "codebooks": (inputs["codebooks"] * scale).astype(np.float32)}
    check((name, small), queries, metric=metric)
    small["codebooks"][3:] = inputs["codebooks"][3:]  # beside those of the usual scale
    check((name, small), queries, metric=metric)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("count", [1, 3, 22])
@pytest.mark.parametrize("scale", [0, 1e-38, 1e-10, 1e-3, 100, 1e5, 1e7, 1e12, 1e30, 3e38])
def test_centroids_beside_product_codes_of_any_scale(count, bits, scale):
    """A bound in bytes becomes tight, useless or infinite; one centroid is longer, one shorter."""
    name, inputs = product(bits, 7 * 8 // bits, 9)(np.random.default_rng(bits))
    centroids = inputs["centroids"] * np.float32(min(scale, 1e37))
    if scale == 3e38:
        centroids[4] = np.float32(scale)
    centroids[7] *= np.float32(1e-3)
    queries = queries_of(22, name, inputs)[:count]
    check((name, {**inputs, "centroids": centroids}), queries)
    one = {**inputs, "centroids": centroids[4:5], "centroid": None}
    check((name, one), queries)
    mask = np.random.default_rng(1).random(MANY) < 0.4
    columns = {**inputs, "centroids": centroids, "codes": np.asfortranarray(inputs["codes"])}
    check((name, columns), queries, mask=mask)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("nq", [1, 4])
def test_centroids_leave_bounds_in_bytes_no_slack(bits, nq):
    """Entries a shade below whole units; each row scores a shade more than those before it.

    The last ones' centroids give a shade less than whole units too: a bound too tight by a unit loses them.
    """
    m, ksub = 7 * 8 // bits, 2**bits
    rng = np.random.default_rng(nq)
    codebooks = np.zeros((m, ksub, D // m), np.float32)
    codebooks[:, 1:-1, 0] = np.linspace(3, 125, ksub - 2).round() - 0.005
    codebooks[:, -1, 0] = 126  # which makes the unit 1
    ids = rng.integers(1, ksub - 1, (MANY, m))
    sums = codebooks[0, ids, 0].sum(axis=1)
    codes = ids if bits == 8 else ids[:, ::2] | ids[:, 1::2] << 4
    for far in (0, 1000, -1000):
        centroids = np.zeros((MANY, D), np.float32)
        centroids[:, 0] = far + 0.99 - 0.005 * m - (MANY - np.arange(MANY)) * 0.001 - sums
        inputs = {"codes": codes.astype(np.uint8), "codebooks": codebooks, "centroids": centroids}
        inputs["centroid"] = np.arange(MANY, dtype=np.int32)
        check(("pq_topk", inputs), np.ones((nq, D), np.float32))


@pytest.mark.parametrize("isa", _native.available_levels())
@pytest.mark.parametrize("nq", [2, 20])
def test_more_dimensions_than_sums_of_bytes_have_room_for(nq, isa):
    rng = np.random.default_rng(6)
    d = 150_000
    codes = rng.integers(256, size=(40, d), dtype=np.uint8)
    codes[::3] |= 0xF0  # long rows, whose sums go beyond 2^31
    lo, step = np.full(d, -1, np.float32), np.full(d, 2 / 255, np.float32)
    queries = rng.uniform(0.9, 1, (nq, d)).astype(np.float32)
    scores, ids = kernels.sq_topk(codes, lo, step, queries, K, 8, isa=isa)
    want_scores, want = kernels.flat_topk(kernels.sq_decode(codes, lo, step, 8), queries, K, isa="scalar")
    np.testing.assert_array_equal(ids, want)
    np.testing.assert_array_equal(scores, want_scores)


@pytest.mark.parametrize("isa", _native.available_levels())
def test_the_lowest_and_the_highest_codes(isa):
    """Of few dimensions, where a bound may be as large as the error."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        d = 2 + seed % 7
        codes = np.where(rng.random((200, d)) < 0.5, 0, 255).astype(np.uint8)
        lo, step = rng.uniform(-2, 0, d).astype(np.float32), rng.uniform(0, 0.1, d).astype(np.float32)
        queries = rng.standard_normal((20, d)).astype(np.float32)
        scores, ids = kernels.sq_topk(codes, lo, step, queries, K, 8, isa=isa)
        decoded = kernels.sq_decode(codes, lo, step, 8)
        want_scores, want = kernels.flat_topk(decoded, queries, K, isa="scalar")
        np.testing.assert_array_equal(ids, want)
        np.testing.assert_array_equal(scores, want_scores)


@pytest.mark.parametrize("isa", _native.available_levels())
def test_what_a_query_loses_to_bytes_may_lie_along_a_row(isa):
    """The bound is reached: with an error estimated a hundredth less, the best row would be left out."""
    d = 64
    rng = np.random.default_rng(3)
    sign = rng.choice([-1.0, 1.0], d - 3)
    query = np.concatenate([[127, 100, 1], rng.integers(-3, 4, d - 3) + 0.49 * sign])  # 127: the unit is 1
    best = np.concatenate([[0, 0, 0], 100 * sign])
    score = np.ceil(best @ query) - 1
    other = np.zeros(d)
    other[1:3] = divmod(score, 100)
    assert other.max() < 128
    values = np.tile(other, (200, 1))
    values[150] = best
    codes = (values + 128).astype(np.uint8)
    lo, step = np.full(d, -128, np.float32), np.ones(d, np.float32)
    scores, ids = kernels.sq_topk(codes, lo, step, np.tile(query, (20, 1)).astype(np.float32), 1, 8, isa=isa)
    assert ids.tolist() == [[150]] * 20
    np.testing.assert_allclose(scores, best @ query, rtol=1e-6)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_what_codewords_lose_to_bytes_may_lie_along_a_query(metric):
    codebooks = np.zeros((7, 256, 10), np.float32)
    codebooks[:, 255] = 127  # the step is 1
    codebooks[:, 1], codebooks[:, 2], codebooks[0, 3] = 10.49, 10, 13
    codebooks[0, 3, 9] = 17
    codes = np.full((MANY, 7), 2, np.uint8)
    codes[:, 0] = 3
    codes[-1] = 1
    if metric == "l2":
        codes[:-1] = 2  # 10.49 is nearer to the queries
    queries = np.full((80, 70), 127 if metric == "l2" else 1, np.float32)
    check(("pq_topk", {"codes": codes, "codebooks": codebooks}), queries, metric=metric)
    for isa in _native.available_levels():
        _, ids = kernels.pq_topk(codes, codebooks, queries, 1, metric, threads=1, isa=isa)
        assert ids.tolist() == [[MANY - 1]] * 80, isa


@pytest.mark.parametrize("isa", _native.available_levels())
def test_codewords_whose_step_would_be_denormal(isa):
    codebooks = np.zeros((7, 256, 10), np.float32)
    least = np.float32(1e-45)
    codebooks[:, 1, 0], codebooks[:, 2, 0] = 150 * least, 190 * least  # whose 127th is 1 such number, not 1.5
    codes = np.ones((MANY, 7), np.uint8)
    codes[-1] = 2
    queries = np.full((80, 70), 1e30, np.float32)
    assert kernels.pq_topk(codes, codebooks, queries, 1, threads=1, isa=isa)[1].tolist() == [[MANY - 1]] * 80
