"""The references against other ways to the same result: they define what is right."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from embcodec.kernels import hadamard_size
from embcodec.reference import REGISTRY, _common, cluster, outputs, rotation
from embcodec.reference.binary import bits_encode, bits_topk, hamming_topk
from embcodec.reference.cluster import kmeans_fit, vq_encode
from embcodec.reference.levels import levels_decode, levels_encode
from embcodec.reference.pq import pq_decode, pq_encode, pq_fit, pq_tables, pq_topk
from embcodec.reference.projection import project
from embcodec.reference.rotation import hadamard_rotate
from embcodec.reference.scalar import (
    flat_topk,
    rowsq_decode,
    rowsq_encode,
    sq_decode,
    sq_encode,
    sq_topk,
)
from embcodec.reference.sparse import sparse_topk, topk_decode, topk_encode

METRICS = ("ip", "l2", "cosine")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def brute_force(x, queries, k, metric):
    """Scores and ids in float64, by sorting."""
    x, queries = x.astype(np.float64), queries.astype(np.float64)
    scores = queries @ x.T
    if metric == "l2":
        scores = -((queries[:, None] - x) ** 2).sum(axis=2)
    if metric == "cosine":
        scores /= np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, ids, axis=1), ids


def assert_found(got, want):
    np.testing.assert_allclose(got[0], want[0], rtol=2e-5, atol=2e-5)
    np.testing.assert_array_equal(got[1], want[1])


@pytest.mark.parametrize("d", [1, 8, 16, 37])
def test_sums_run_in_16_lanes_and_a_tree(rng, d):
    a, b = rng.standard_normal((2, d), np.float32)

    def lanes(terms):
        acc = [np.float32(0)] * 16
        for i, term in enumerate(terms):
            acc[i % 16] = acc[i % 16] + term
        while len(acc) > 1:
            acc = [acc[i] + acc[i + len(acc) // 2] for i in range(len(acc) // 2)]
        return acc[0]

    assert _common.dot16(a, b, np) == lanes([p * q for p, q in zip(a, b)])
    assert _common.l2_16(a, b, np) == lanes([(p - q) * (p - q) for p, q in zip(a, b)])


@pytest.mark.parametrize("bits", [1, 4, 6, 8])
@pytest.mark.parametrize("d", [1, 3, 8, 13])
def test_packing_is_one_little_endian_number_a_row(rng, bits, d):
    values = rng.integers(2**bits, size=(5, d), dtype=np.uint8)
    codes = _common.pack(values, bits, np)
    numbers = [sum(int(v) << i * bits for i, v in enumerate(row)) for row in values]
    assert [int.from_bytes(row.tobytes(), "little") for row in codes] == numbers
    assert codes.shape[1] == -(-d * bits // 8)
    np.testing.assert_array_equal(_common.unpack(codes, d, bits, np), values)


def test_codes_round_half_to_even_and_clip():
    x = np.array([[-9, 0, 0.25, 0.75, 1.25, 7.25, 7.75, 99]], np.float32)
    lo, step = np.zeros(8, np.float32), np.full(8, 0.5, np.float32)
    codes = sq_encode(x, lo, step, 4)
    np.testing.assert_array_equal(_common.unpack(codes, 8, 4, np), [[0, 0, 0, 2, 2, 14, 15, 15]])


def test_an_empty_range_has_code_0():
    x = np.array([[-1, 2, 3]], np.float32)
    np.testing.assert_array_equal(sq_encode(x, x[0], np.array([0, 0, -1], np.float32)), [[0, 0, 0]])
    codes, scale, offset = rowsq_encode(np.full((1, 5), 7, np.float32))
    assert (codes.tolist(), scale.tolist(), offset.tolist()) == ([[0] * 5], [0], [7])


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_decoded_values_are_within_half_a_step(rng, bits):
    x = rng.standard_normal((50, 33), np.float32)
    lo = x.min(axis=0)
    step = (x.max(axis=0) - lo) / (2**bits - 1)
    error = np.abs(sq_decode(sq_encode(x, lo, step, bits), lo, step, bits) - x)
    assert (error <= step * 0.5001).all()
    codes, scale, offset = rowsq_encode(x, bits)
    assert (np.abs(rowsq_decode(codes, scale, offset, 33, bits) - x) <= scale[:, None] * 0.5001).all()


def test_a_range_wider_than_float32_has_a_scale():
    x = np.array([[-3e38, 0, 3e38]], np.float32)
    codes, scale, _ = rowsq_encode(x)
    np.testing.assert_allclose(scale, [6e38 / 255], rtol=1e-6)
    assert codes.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8])
def test_the_nearest_level_is_chosen_and_ties_go_down(rng, bits):
    levels = np.sort(rng.standard_normal(2**bits)).astype(np.float32)
    x, step = 2 * rng.standard_normal((40, 33), np.float32), rng.random(33, np.float32) + np.float32(0.1)
    error = np.abs(levels_decode(levels_encode(x, levels, step), levels, step) - x)
    least = np.abs(x[:, :, None] - levels * step[:, None]).min(axis=2)
    np.testing.assert_allclose(error, least, rtol=1e-3, atol=1e-6)
    even = np.arange(2**bits, dtype=np.float32)
    between, one = even[None, :-1] + np.float32(0.5), np.ones(2**bits - 1, np.float32)
    np.testing.assert_array_equal(
        levels_decode(levels_encode(between, even, one), even, one), even[None, :-1]
    )
    assert (levels_encode(between, even, 0 * one) == 0).all()


def test_bits_and_their_distances(rng):
    x = rng.standard_normal((40, 21), np.float32)
    words = [sum(1 << i for i, v in enumerate(row) if v > 0.25) for row in x]
    codes = bits_encode(x, np.full(21, 0.25, np.float32), "lsb")
    assert [int.from_bytes(row.tobytes(), "little") for row in codes] == words
    np.testing.assert_array_equal(bits_encode(x, np.float32(0.25), "msb"), np.packbits(x > 0.25, axis=1))
    scores, ids = hamming_topk(codes, codes[:3], 40)
    for q in range(3):
        distances = sorted((bin(words[q] ^ w).count("1"), i) for i, w in enumerate(words))
        assert list(zip(-scores[q], ids[q])) == distances


@pytest.mark.parametrize("m", [12, 20])
def test_hadamard_matrices_are_orthogonal_and_symmetric(m):
    h = np.array(rotation.hadamard(m))
    np.testing.assert_array_equal(h @ h.T, m * np.eye(m))
    np.testing.assert_array_equal(h, h.T)


@pytest.mark.parametrize("size", [1, 2, 16, 12, 96, 20, 80])
def test_rotation_is_the_matrix_it_says(rng, size):
    signs = np.where(rng.random(size) < 0.5, np.float32(-1), np.float32(1))
    m = rotation.odd_factor(size)
    h = np.array(rotation.hadamard(m))
    while h.shape[0] < size:
        h = np.block([[np.kron(h, [[1, 1], [1, -1]])]])
    rotated = hadamard_rotate(np.eye(size, dtype=np.float32), signs)
    np.testing.assert_allclose(rotated, (h * signs).T / np.sqrt(size), atol=1e-6)
    np.testing.assert_allclose(rotated @ rotated.T, np.eye(size), atol=1e-5)


@pytest.mark.parametrize("d", [1, 7, 65, 384, 769])
def test_rotation_keeps_lengths_and_is_undone(rng, d):
    x = rng.standard_normal((9, d), np.float32)
    size = hadamard_size(d)
    signs = np.where(rng.random(size) < 0.5, np.float32(-1), np.float32(1))
    rotated = hadamard_rotate(x, signs)
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=1), np.linalg.norm(x, axis=1), rtol=1e-5)
    np.testing.assert_allclose(hadamard_rotate(rotated, signs, inverse=True)[:, :d], x, atol=1e-5)


def test_hadamard_size_is_the_smallest_allowed():
    allowed = sorted(m << k for m in (1, 12, 20) for k in range(12))
    for d in range(1, 2049):
        assert hadamard_size(d) == next(size for size in allowed if size >= d)


def test_splitmix64_gives_the_published_numbers():
    assert list(islice(cluster._splitmix64(1234567), 3)) == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_initial_rows_are_distinct_and_follow_the_seed():
    rows = cluster.initial_rows(50, 50, 3)
    assert sorted(rows) == list(range(50))
    assert cluster.initial_rows(50, 20, 3) == rows[:20]
    assert cluster.initial_rows(50, 20, 4) != rows[:20]


def test_kmeans_finds_separate_clusters(rng):
    centres = 20 * rng.standard_normal((6, 9))
    truth = np.repeat(np.arange(6), 30)
    x = (centres[truth] + 0.1 * rng.standard_normal((180, 9))).astype(np.float32)
    best = min((kmeans_fit(x, 6, seed=seed) for seed in range(20)), key=lambda fit: fit[2])
    codebook, ids, inertia = best
    means = np.stack([x[truth == c].mean(axis=0) for c in range(6)])
    nearest = ((means[:, None] - codebook) ** 2).sum(axis=2)
    assert nearest.min(axis=1).max() < 1e-6
    assert sorted(nearest.argmin(axis=1)) == list(range(6))
    np.testing.assert_array_equal(nearest.argmin(axis=1)[truth], ids)
    np.testing.assert_allclose(inertia, ((x - means[truth]) ** 2).sum(), rtol=1e-4)


def test_an_empty_cluster_takes_the_farthest_row():
    """All equal rows but one: the start of the other codewords is the same row, so they are empty."""
    x = np.zeros((8, 2), np.float32)
    x[5] = 9
    for seed in range(8):
        codebook, ids, inertia = kmeans_fit(x, 3, 1, seed)
        assert inertia == 0
        assert [9, 9] in codebook.tolist()
        assert len(set(ids)) == 2


def test_nearest_codeword_and_ties(rng):
    x, codebook = rng.standard_normal((50, 7), np.float32), rng.standard_normal((20, 7), np.float32)
    codebook[13] = codebook[4]
    want = ((x[:, None].astype(np.float64) - codebook) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(vq_encode(x, codebook), want)
    np.testing.assert_array_equal(vq_encode(codebook[13:14], codebook), [4])


@pytest.mark.parametrize("bits", [4, 8])
def test_pq_is_vq_in_each_subspace(rng, bits):
    x = rng.standard_normal((300, 12), np.float32)
    codebooks = pq_fit(x, 3, bits, iterations=3, seed=11)
    codes = pq_encode(x, codebooks)
    ids = _common.unpack(codes, 3, bits, np)
    for m in range(3):
        part = np.ascontiguousarray(x[:, 4 * m : 4 * m + 4])
        np.testing.assert_array_equal(codebooks[m], kmeans_fit(part, 2**bits, 3, 11 + m)[0])
        np.testing.assert_array_equal(ids[:, m], vq_encode(part, codebooks[m]))
        np.testing.assert_array_equal(
            pq_decode(codes, codebooks)[:, 4 * m : 4 * m + 4], codebooks[m][ids[:, m]]
        )


@pytest.mark.parametrize("metric", METRICS)
def test_searches_find_what_brute_force_finds(rng, metric):
    x = rng.standard_normal((300, 24), np.float32)
    queries = rng.standard_normal((5, 24), np.float32)
    lo, step = np.full(24, -3, np.float32), np.full(24, 6 / 255, np.float32)
    sq = sq_encode(x, lo, step)
    codebooks = pq_fit(x, 4, 8, iterations=2)
    pq = pq_encode(x, codebooks)
    sparse = topk_encode(x, 9)
    low, high = -np.abs(rng.standard_normal((2, 24), np.float32)) * np.array([[1], [-1]], np.float32)
    bits = bits_encode(x, np.float32(0))
    signs = np.where(x > 0, high, low)
    for got, rows in (
        (flat_topk(x, queries, 10, metric), x),
        (sq_topk(sq, lo, step, queries, 10, 8, metric), sq_decode(sq, lo, step)),
        (pq_topk(pq, codebooks, queries, 10, metric), pq_decode(pq, codebooks)),
        (sparse_topk(*sparse, queries, 10, metric), topk_decode(*sparse, 24)),
        (bits_topk(bits, queries, 10, low, high, "msb", metric), signs),
    ):
        assert_found(got, brute_force(rows, queries, 10, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_tables_hold_a_score_for_each_codeword(rng, metric):
    queries, codebooks = rng.standard_normal((3, 10), np.float32), rng.standard_normal((5, 16, 2), np.float32)
    q, c = queries.reshape(3, 5, 1, 2), codebooks[None]
    want = ((q - c) ** 2).sum(axis=3) if metric == "l2" else (q * c).sum(axis=3)
    np.testing.assert_allclose(pq_tables(queries, codebooks, metric), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_projection_is_a_product(rng, dtype):
    x = rng.standard_normal((9, 40)).astype(dtype)
    matrix, mean = rng.standard_normal((40, 11), np.float32), rng.standard_normal(40, np.float32)
    for less in (None, mean):
        want = (x.astype(np.float64) - (0 if less is None else less)) @ matrix.astype(np.float64)
        np.testing.assert_allclose(project(x, matrix, less), want, rtol=0, atol=2e-5)


def test_the_largest_magnitudes_are_kept(rng):
    x = rng.integers(-4, 5, (60, 11)).astype(np.float32)
    indices, values = topk_encode(x, 4)
    for row, kept, value in zip(x, indices.tolist(), values.tolist()):
        assert kept == sorted(sorted(range(11), key=lambda i: (-abs(row[i]), i))[:4])
        assert value == [row[i] for i in kept]
    assert topk_encode(np.zeros((1, 65536), np.float32), 1)[0].dtype == np.uint16
    assert topk_encode(np.zeros((1, 65537), np.float32), 1)[0].dtype == np.uint32


def test_the_check_of_near_optimal_codes_refuses_worse_ones(rng):
    x, codebook = rng.standard_normal((50, 7), np.float32), rng.standard_normal((20, 7), np.float32)
    codebook[13] = codebook[4]
    inputs = {"x": x, "codebook": codebook}
    want = vq_encode(**inputs)
    check = REGISTRY["vq_encode"].check
    check(inputs, want, want)
    second = np.argsort(((x[:, None] - codebook) ** 2).sum(axis=2), axis=1, kind="stable")[:, 1].astype(
        np.int32
    )
    for i in range(50):
        worse = want.copy()
        worse[i] = second[i] if want[i] != 4 else 13  # the equal codeword of the higher id
        with pytest.raises(AssertionError):
            check(inputs, worse, want)
    books = {"x": x, "codebooks": np.ascontiguousarray(codebook[:16].reshape(16, 1, 7).swapaxes(0, 1))}
    codes = pq_encode(**books)
    REGISTRY["pq_encode"].check(books, codes, codes)
    for wrong in (codes ^ 1, codes | 16):  # another codeword, a bit in the padding
        with pytest.raises(AssertionError):
            REGISTRY["pq_encode"].check(books, wrong, codes)


def test_the_check_of_a_fit_refuses_worse_ones(rng):
    x = rng.standard_normal((90, 6), np.float32)
    inputs = {"x": x, "k": 5, "iterations": 9, "seed": 1}
    codebook, ids, inertia = want = kmeans_fit(**inputs)
    check = REGISTRY["kmeans_fit"].check
    check(inputs, want, want)
    moved = codebook * np.float32(0.95)
    worse = vq_encode(x, moved)
    moved_inertia = float(((x - moved[worse]).astype(np.float64) ** 2).sum())
    for wrong in (
        (codebook, ids[::-1].copy(), inertia),
        (codebook, ids, 1.1 * inertia),
        (moved, worse, moved_inertia),
    ):
        with pytest.raises(AssertionError):
            check(inputs, wrong, want)
    parts = {"x": x, "m": 2, "bits": 4, "iterations": 9, "seed": 1}
    books = pq_fit(**parts)
    REGISTRY["pq_fit"].check(parts, books, books)
    with pytest.raises(AssertionError):
        REGISTRY["pq_fit"].check(parts, books * np.float32(0.9), books)


@pytest.mark.parametrize("name", [n for n, kernel in REGISTRY.items() if kernel.peer])
def test_peers_do_the_same_job(rng, name):
    """A benchmark against a peer that does something else would be worth nothing."""
    kernel = REGISTRY[name]
    x = rng.standard_normal((400, 24), np.float32)
    for variant in kernel.variants:
        inputs = kernel.inputs(x, rng, **variant)
        got, want = outputs(kernel.peer(**inputs)), outputs(kernel.reference(**inputs))
        for g, w in zip(got, want):
            assert np.shape(g) == np.shape(w)
            if name.endswith("_fit"):
                continue
            if w.dtype.kind == "f":
                np.testing.assert_allclose(g, w, rtol=1e-3, atol=1e-3)
            elif not name.endswith("_topk"):  # equal scores come in any order
                assert (g == w).mean() > (0.9 if name.startswith("rq_") else 0.99)  # as equal paths do


def rounded(exact: Fraction) -> np.float32:
    """The float32 nearest to an exact value, of two the even one."""
    near = np.float32(float(exact))  # rounded twice: at most one neighbour off
    candidates = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    return min(candidates, key=lambda c: (abs(Fraction(float(c)) - exact), int(c.view(np.int32)) % 2))


def test_fused_rounds_once(rng):
    """Sums close to the middle of two floats, on either side: the product's last bits decide, alone."""
    n = 2000
    a, b = (rng.integers(2**23, 2**24, n) * 2.0**-23 * rng.choice([-1, 1], n) for _ in range(2))
    c = rng.integers(2**23, 2**24, n) * 2.0**-23
    small = 2.0 ** -rng.integers(16, 24, n).astype(np.float64)
    tiny = np.ldexp(a, -147)
    cases = [
        (a, b, c),
        (a, b, np.float32(-a * b)),  # what is left is the product's rounding error
        (
            1 + small,
            rng.choice([-1, 1], n) * (1 - small) * 2.0**-24,
            c,
        ),  # a hair less than half the last place
        (tiny, b, c),
        (tiny, b, np.ldexp(c, -149)),  # subnormal results
    ]
    for x, y, z in cases:
        x, y, z = np.float32(x), np.float32(y), np.float32(z)
        got = _common.fused(x, y, z, np)
        want = [
            rounded(Fraction(float(p)) * Fraction(float(q)) + Fraction(float(r))) for p, q, r in zip(x, y, z)
        ]
        np.testing.assert_array_equal(got, np.array(want, np.float32))
    np.testing.assert_array_equal(
        _common.fused(np.float32([3e38, np.inf]), np.float32([2, 1]), np.float32([0, -np.inf]), np),
        np.float32([np.inf, np.nan]),
    )
