"""A score is the score of the decoded row, for every spec and metric."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from embcodec.codecs import Codec
from embcodec.codecs import rows as rows_module

METRICS = ("ip", "l2", "cosine")


def exact(x: np.ndarray, q: np.ndarray, metric: str) -> np.ndarray:
    """Scores (nq, n) in float64."""
    x, q = x.astype(np.float64), q.astype(np.float64)
    if metric == "l2":
        return -((q[:, None] - x) ** 2).sum(axis=2)
    ip = q @ x.T
    if metric == "ip":
        return ip
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    return np.divide(ip, norms, out=np.zeros_like(ip), where=norms > 0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_the_decoded_rows(
    codec: Codec, rows: np.ndarray, queries: np.ndarray, metric: str, masked: bool
) -> None:
    codes = codec.encode(rows)
    mask = np.arange(len(rows)) % 3 > 0 if masked else None
    scores, ids = codec.search(codes, queries, 20, metric, mask)
    assert scores.dtype == np.float32
    assert ids.dtype == np.int64
    want = exact(codec.decode(codes), queries, metric)
    tolerance = 2e-6 * max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(scores, np.take_along_axis(want, ids, axis=1), rtol=0, atol=tolerance)
    if mask is not None:
        assert mask[ids].all()
        want[:, ~mask] = -np.inf
    np.testing.assert_allclose(scores, -np.sort(-want, axis=1)[:, :20], rtol=0, atol=tolerance)
    assert all(len(set(row)) == 20 for row in ids)
    falls, ties = np.diff(scores) < 0, np.diff(scores) == 0
    assert (falls | (ties & (np.diff(ids) > 0))).all()  # score descending, then id ascending


@pytest.mark.parametrize("metric", METRICS)
def test_codes_in_column_order(codec: Codec, rows: np.ndarray, queries: np.ndarray, metric: str) -> None:
    codes = codec.encode(rows)
    columns = np.asfortranarray(codes)
    for got, want in zip(
        codec.search(columns, queries, 20, metric), codec.search(codes, queries, 20, metric)
    ):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(codec.decode(columns), codec.decode(codes))
    part = slice(30, 150)
    for got, want in zip(
        codec.search(columns[part], queries, 20, metric), codec.search(codes[part], queries, 20, metric)
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("spec", ["IVF7,PQ6x8", "IVF1024,PQ48x8", "IVF1024,PQ24x4"])
@pytest.mark.parametrize("nq", [1, 6, 40])
@pytest.mark.parametrize("masked", [False, True])
def test_product_codes_behind_centroids_are_not_decoded(
    spec: str, nq: int, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    x = (
        rng.standard_normal((9000, 48), np.float32)
        + 3 * rng.standard_normal((20, 48), np.float32)[rng.integers(20, size=9000)]
    )
    codec = Codec(spec).fit(x[:1500])
    codes, queries = codec.encode(x), x[:nq] + np.float32(0.1)
    want = exact(codec.decode(codes), queries, "ip")
    mask = rng.random(len(x)) < 0.4 if masked else None
    if mask is not None:
        want[:, ~mask] = -np.inf
    monkeypatch.setattr("embcodec.codecs.pq.pq_decode", None)
    found = codec.search(codes, queries, 10, "ip", mask)
    tolerance = 2e-6 * float(np.abs(want[np.isfinite(want)]).max())
    np.testing.assert_allclose(found[0], np.take_along_axis(want, found[1], axis=1), rtol=0, atol=tolerance)
    np.testing.assert_allclose(found[0], -np.sort(-want, axis=1)[:, :10], rtol=0, atol=tolerance)
    for threads in (1, 3):
        again = codec.search(np.asfortranarray(codes), queries, 10, "ip", mask, threads=threads)
        np.testing.assert_array_equal(again[0], found[0])
        np.testing.assert_array_equal(again[1], found[1])


@pytest.mark.parametrize(
    "spec",
    [
        "PCA16,SQ8",
        "PCA7,SQ4",
        "PCA16,LM4",
        "PCA11,LM3",
        "PCA16,RaBitQ1",
        "Center,SQ8",
        "Center,PCA7,RR,F16",
        "PCA12,PQ4x4",
        "Center,RR,LM4",
        "Center,PQ4x4",
        "Center,TCQ2",
        "PCA48,SQ6",
        "Center,F16",
    ],
)
@pytest.mark.parametrize("mean", [0.1, 1, 30])
def test_cosines_of_centred_rows_are_not_brought_back(
    spec: str, mean: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean lies outside of the components that are kept, mostly, and decides about lengths."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3000, 48), np.float32) / np.arange(1, 49, dtype=np.float32)
    x += np.float32(mean) * rng.standard_normal(48).astype(np.float32)
    codec = Codec(spec).fit(x[:1000])
    codes, queries = codec.encode(x), np.concatenate([x[:5] + np.float32(0.1), np.zeros((1, 48), np.float32)])
    want = exact(codec.decode(codes), queries, "cosine")

    def refused(codes: np.ndarray) -> np.ndarray:
        raise AssertionError("rows are decoded")

    monkeypatch.setattr(codec._chain, "decode", refused)
    if spec not in ("Center,PCA7,RR,F16", "PCA12,PQ4x4", "Center,F16"):  # else the coder's own scan serves
        monkeypatch.setattr(codec._chain.coder, "decode", refused)
    scores, ids = codec.search(codes, queries, 10, "cosine")
    np.testing.assert_allclose(scores, np.take_along_axis(want, ids, axis=1), rtol=0, atol=2e-6)
    np.testing.assert_allclose(scores, -np.sort(-want, axis=1)[:, :10], rtol=0, atol=2e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_do_not_show(
    codec: Codec, rows: np.ndarray, queries: np.ndarray, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, mask = codec.encode(rows), np.arange(len(rows)) % 5 != 2
    whole = codec.search(codes, queries, 20, metric, mask), codec.decode(codes)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1500)
    assert (codec.encode(rows) == codes).all()
    (scores, ids), decoded = codec.search(codes, queries, 20, metric, mask), codec.decode(codes)
    np.testing.assert_array_equal(ids, whole[0][1])
    np.testing.assert_array_equal(scores, whole[0][0])
    np.testing.assert_array_equal(decoded, whole[1])


@pytest.mark.parametrize("metric", METRICS)
def test_where_the_mask_leaves_too_few(
    codec: Codec, rows: np.ndarray, queries: np.ndarray, metric: str
) -> None:
    codes, mask = codec.encode(rows), np.zeros(len(rows), np.bool_)
    mask[[4, 77]] = True
    scores, ids = codec.search(codes, queries, 5, metric, mask)
    assert all(set(row[:2]) == {4, 77} for row in ids)
    assert np.isfinite(scores[:, :2]).all()
    assert (ids[:, 2:] == -1).all()
    assert (scores[:, 2:] == -np.inf).all()
    mask[:] = False
    scores, ids = codec.search(codes, queries, 5, metric, mask)
    assert (ids == -1).all()
    assert (scores == -np.inf).all()


def test_equal_rows_come_by_id(codec: Codec, rows: np.ndarray, queries: np.ndarray) -> None:
    codes = codec.encode(rows[[8] * 30])
    for metric in METRICS:
        _, ids = codec.search(codes, queries, 30, metric)
        assert (ids == np.arange(30)).all()


def test_a_zero_query_ties_all_rows(codec: Codec, rows: np.ndarray) -> None:
    zero = np.zeros((1, rows.shape[1]), np.float32)
    for metric in ("ip", "cosine"):
        scores, ids = codec.search(codec.encode(rows), zero, 12, metric)
        assert (scores == 0).all()
        assert (ids == np.arange(12)).all()


def test_k_is_n_and_no_queries(codec: Codec, rows: np.ndarray, queries: np.ndarray) -> None:
    codes = codec.encode(rows)
    for metric in METRICS:
        _, ids = codec.search(codes, queries, len(rows), metric)
        assert (np.sort(ids, axis=1) == np.arange(len(rows))).all()
        scores, ids = codec.search(codes, queries[:0], 3, metric)
        assert scores.shape == ids.shape == (0, 3)


def test_threads_do_not_show(codec: Codec, rows: np.ndarray, queries: np.ndarray) -> None:
    codes = codec.encode(rows)
    for metric in METRICS:
        one, three = (codec.search(codes, queries, 9, metric, threads=t) for t in (1, 3))
        np.testing.assert_array_equal(one[0], three[0])
        np.testing.assert_array_equal(one[1], three[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spec", ["PCA16,SQ8", "BF16", "Top5", "SQ4:row", "MRL25,HR,SQ8", "VQ20", "SQ8"])
def test_decoded_rows_are_never_all_there(
    fitted: Callable[[str], Codec],
    spec: str,
    metric: str,
    queries: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    codec = fitted(spec)
    x = np.random.default_rng(0).standard_normal((30000, codec.d), np.float32)
    codes = codec.encode(x)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1 << 14)
    tracemalloc.start()
    codec.search(codes, queries, 10, metric)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes / 4


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"k": 0}, ValueError, r"Codec.search: k must be from 1 to 150 \(the codes\), got 0"),
        ({"k": 151}, ValueError, r"Codec.search: k must be from 1 to 150 \(the codes\), got 151"),
        ({"k": 2.0}, TypeError, "Codec.search: k must be an integer, got float"),
        ({"metric": "dot"}, ValueError, "Codec.search: metric must be 'ip', 'l2' or 'cosine', got 'dot'"),
        ({"mask": np.ones(149, bool)}, ValueError, r"Codec.search: mask must be \(150,\), got \(149,\)"),
        ({"mask": np.ones(150, int)}, TypeError, "Codec.search: mask must be bool, got int64"),
        (
            {"Q": np.ones((2, 47), np.float32)},
            ValueError,
            r"Codec.search: Q must be \(n, 48\), got \(2, 47\)",
        ),
        ({"Q": np.ones(48, np.float32)}, ValueError, r"Codec.search: Q must be \(n, 48\), got \(48,\)"),
        ({"Q": np.ones((2, 48), int)}, TypeError, "Codec.search: Q must be float32, .* got int64"),
        ({"Q": np.full((2, 48), np.nan)}, ValueError, "Codec.search: Q has a non-finite value in row 0"),
        ({"codes": np.ones((150, 7), np.uint8)}, ValueError, r"codes must be \(n, 48\), got \(150, 7\)"),
        ({"codes": np.ones((150, 48), np.int8)}, TypeError, "Codec.search: codes must be uint8, got int8"),
        (
            {"codes": np.ones((0, 48), np.uint8)},
            ValueError,
            "Codec.search: k counts the codes, and there are none",
        ),
    ],
)
def test_bad_arguments(
    fitted: Callable[[str], Codec], rows: np.ndarray, queries: np.ndarray, change: dict[str, object],
    error: type[Exception], message: str,
) -> None:  # fmt: skip
    codec = fitted("SQ8")
    arguments = {"codes": codec.encode(rows), "Q": queries, "k": 10, **change}
    with pytest.raises(error, match=message):
        codec.search(**arguments)


def test_codes_that_are_none(fitted: Callable[[str], Codec], rows: np.ndarray, queries: np.ndarray) -> None:
    for spec in ("VQ20", "Top5"):
        codec = fitted(spec)
        codes = codec.encode(rows)
        codes[3] = 255
        with pytest.raises(ValueError, match=r"row 3 names a codeword beyond 20|indices must ascend"):
            codec.decode(codes)
        with pytest.raises(ValueError, match=r"row 3 names a codeword beyond 20|indices must ascend"):
            codec.search(codes, queries, 5)


def test_codes_in_pieces(codec: Codec, rows: np.ndarray, queries: np.ndarray) -> None:
    codes = codec.encode(rows)
    apart = np.repeat(codes, 2, axis=0)[::2]
    assert not apart.flags.c_contiguous
    np.testing.assert_array_equal(codec.decode(apart), codec.decode(codes))
    np.testing.assert_array_equal(codec.search(apart, queries)[1], codec.search(codes, queries)[1])


@pytest.mark.parametrize("spec", ["TCQ2", "IVF4,TCQ2", "LM4", "IVF4,LM4"])
def test_what_a_search_keeps_goes_with_the_fit(spec: str, rows: np.ndarray, queries: np.ndarray) -> None:
    other = (rows[::-1] * np.linspace(0.2, 3, rows.shape[1]) + 1).astype(np.float32)
    found = []
    for fits in ((rows, other), (other,)):
        coder = Codec(spec).fit(rows)._chain.coder
        for x in fits:
            coder.fit(x, None, 0)
            codes = np.empty((len(x), coder.code_size(x.shape[1])), np.uint8)
            coder.encode(x, codes)
            found = [*found, coder.search(codes, queries, 10, "ip", None, None)]
    for got, expected in zip(found[1], found[2]):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("coder", ["SQ8", "PQ4x8", "Binary", "F16", "TCQ2"])
def test_a_query_that_overflows_in_a_transform_is_refused(coder: str) -> None:
    x = np.random.default_rng(7).standard_normal((400, 32), np.float32)
    codec = Codec(f"RR,{coder}").fit(x)
    rotation = codec._chain.transforms[0].tensors()["rotation"]
    query = 3e38 * np.sign(rotation[:, :1].T)  # the first component is their sum, too large for float32
    with pytest.raises(ValueError, match=r"^\S*RR,\S*: queries has a non-finite value in row 0$"):
        codec.search(codec.encode(x), query, 3)
