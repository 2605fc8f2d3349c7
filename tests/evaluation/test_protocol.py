import inspect
import math

import ml_dtypes
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import embcodec
from embcodec import Codec
from embcodec.evaluation import (
    EXACT,
    cosine_error,
    evaluate,
    knn_accuracy,
    mrr,
    protocol,
    recall_at_k,
    relative_mse,
    spearman,
    squared_error,
)

RNG = np.random.default_rng(11)
LABELS = RNG.integers(5, size=400)
CENTRES = RNG.normal(size=(5, 16))
BASE = (CENTRES[LABELS] + RNG.normal(size=(400, 16))).astype(np.float32)
RELEVANT = RNG.choice(400, 60, replace=False)
QUERIES = (BASE[RELEVANT] + 0.5 * RNG.normal(size=(60, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def results():
    return evaluate(["SQ8", "SQ4", "F16"], BASE, QUERIES, relevant=RELEVANT, labels=LABELS)


def scores_of(base, metric):
    q = QUERIES.astype(np.float64)
    x = base.astype(np.float64)
    if metric == "l2":
        return -np.square(q[:, None] - x).sum(axis=2)
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)
    return q @ x.T / (norms if metric == "cosine" else 1)


def test_results_come_in_order_behind_the_exact_row(results):
    assert [r.spec for r in results] == [EXACT, "SQ8", "SQ4", "F16"]
    assert [r.code_size for r in results] == [64, 16, 8, 32]
    assert [r.ratio for r in results] == [1, 4, 8, 2]


def test_the_exact_row_loses_nothing_and_was_not_fitted(results):
    exact = results[0]
    assert (exact.recall, exact.cosine_error, exact.mse, exact.relative_mse) == (1, 0, 0, 0)
    assert exact.score_correlation == pytest.approx(1)
    assert (exact.fit_seconds, exact.encode_rate, exact.decode_rate, exact.codec_bytes) == (
        None,
        None,
        None,
        0,
    )


def test_measures_are_those_of_the_decoded_rows(results):
    codec = Codec("SQ4").fit(BASE)
    decoded = codec.transform(BASE)
    exact, approximate = scores_of(BASE, "ip"), scores_of(decoded, "ip")
    exact_ids, ids = (np.argsort(-s, axis=1)[:, :10] for s in (exact, approximate))
    sq4 = results[2]
    assert sq4.recall == pytest.approx(recall_at_k(ids, exact_ids))
    assert 0.5 < sq4.recall < 1
    assert sq4.mrr == pytest.approx(mrr(ids, RELEVANT))
    assert sq4.cosine_error == pytest.approx(cosine_error(BASE, decoded))
    assert sq4.mse == pytest.approx(squared_error(BASE, decoded))
    assert sq4.relative_mse == pytest.approx(relative_mse(BASE, decoded))
    assert sq4.score_correlation == pytest.approx(spearman(exact.ravel(), approximate.ravel()), abs=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_other_metrics(metric):
    result = evaluate(["SQ4"], BASE, QUERIES, k=5, metric=metric)[1]
    decoded = Codec("SQ4").fit(BASE).transform(BASE)
    exact_ids, ids = (np.argsort(-scores_of(x, metric), axis=1)[:, :5] for x in (BASE, decoded))
    assert result.metric == metric
    assert result.recall == pytest.approx(recall_at_k(ids, exact_ids))


def test_mrr_looks_at_ten_rows_whatever_k_is(results):
    assert evaluate(["SQ8"], BASE, QUERIES, k=1, relevant=RELEVANT)[1].mrr == results[1].mrr
    assert evaluate(["SQ8"], BASE, QUERIES, k=30, relevant=RELEVANT)[1].mrr == results[1].mrr


def test_label_accuracy_leaves_the_row_itself_out():
    unit = BASE / np.linalg.norm(BASE, axis=1, keepdims=True)
    exact = evaluate([], unit, QUERIES, k=7, labels=LABELS)[0]
    neighbours = NearestNeighbors(n_neighbors=8).fit(unit).kneighbors(unit)[1][:, 1:]
    assert exact.label_accuracy == pytest.approx(knn_accuracy(neighbours, LABELS, LABELS))
    # Labels that no other row shares cannot be guessed: 1 if the row itself had a vote.
    assert evaluate([], unit, QUERIES, k=1, labels=np.arange(400))[0].label_accuracy == 0


def test_label_accuracy_where_a_row_does_not_find_itself():
    """By inner product a longer row comes before the row itself; then k others are left all the same."""
    base = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0) * np.arange(1, 41, dtype=np.float32)[:, None]
    labels = np.repeat([0, 1], 20)
    assert evaluate([], base, base[:1], k=3, labels=labels)[0].label_accuracy == 1


def test_what_was_not_given_is_not_measured():
    result = evaluate(["SQ8"], BASE, QUERIES)[1]
    assert result.mrr is None
    assert result.label_accuracy is None


def test_codecs_are_fitted_on_train_once_and_never_see_the_queries(monkeypatch):
    calls = []
    fit = Codec.fit

    def spy(self, *args, **keywords):
        calls.append(inspect.signature(fit).bind(self, *args, **keywords).arguments)
        return fit(self, *args, **keywords)

    monkeypatch.setattr(Codec, "fit", spy)
    train = BASE[:50] / 2
    result = evaluate(["SQ8"], BASE, QUERIES, train=train)[1]
    assert len(calls) == 1
    assert calls[0]["X"] is train
    assert calls[0].get("queries") is None
    assert result.mse == pytest.approx(squared_error(BASE, Codec("SQ8").fit(train).transform(BASE)))


def test_the_seed_reaches_the_codecs():
    by_seed = [evaluate(["RR,SQ4"], BASE, QUERIES, seed=seed)[1].mse for seed in (3, 3, 4)]
    assert by_seed[0] == by_seed[1]
    assert by_seed[0] != by_seed[2]


def test_rates_and_sizes_are_measured(results, tmp_path):
    for result in results[1:]:
        for rate in (result.encode_rate, result.decode_rate, result.scan_rate, result.fit_seconds):
            assert 0 < rate < math.inf
    Codec("SQ8").fit(BASE).save(tmp_path / "codec")
    assert results[1].codec_bytes == (tmp_path / "codec").stat().st_size


def test_times_are_medians(monkeypatch):
    clock = [0.0]
    durations = iter([5.0, 1.0, 2.0])
    monkeypatch.setattr(protocol.time, "perf_counter", lambda: clock[0])

    def call():
        clock[0] += next(durations)

    assert protocol._seconds(call) == 2


def test_threads_are_set_for_the_evaluation_and_put_back():
    before = embcodec.get_num_threads()
    seen = []
    evaluate(
        [], BASE, QUERIES, threads=before + 1, on_result=lambda _: seen.append(embcodec.get_num_threads())
    )
    assert seen == [before + 1]
    assert embcodec.get_num_threads() == before
    with pytest.raises(ValueError, match=r"Codec\.fit"):
        evaluate(["PQ5x8"], BASE, QUERIES, threads=before + 1)
    assert embcodec.get_num_threads() == before


def test_results_are_reported_as_they_come():
    seen = []
    assert evaluate(["SQ8", "F16"], BASE, QUERIES, on_result=seen.append) == seen


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_dtypes(dtype):
    base = BASE.astype(dtype)
    result, same = (
        evaluate(["SQ8"], x, QUERIES.astype(dtype), k=5)[1] for x in (base, base.astype(np.float32))
    )
    assert result.recall == same.recall
    assert result.cosine_error == pytest.approx(same.cosine_error, rel=1e-3)


def test_a_wrong_spec_fails_before_any_work(monkeypatch):
    monkeypatch.setattr(Codec, "fit", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(ValueError, match="PQ0"):
        evaluate(["SQ8", "PQ0x8"], BASE, QUERIES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": QUERIES[:, :3]}, r"got \(400, 16\) and \(60, 3\)"),
        ({"queries": QUERIES[:0]}, r"got \(400, 16\) and \(0, 16\)"),
        ({"k": 400}, r"k must be in \[1, 399\], below the number of rows, got 400"),
        ({"k": 0}, "got 0"),
        ({"relevant": RELEVANT[:5]}, r"relevant must be \(60,\), got \(5,\)"),
        ({"labels": LABELS[:5]}, r"labels must be \(400,\), got \(5,\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=f"evaluate: .*{message}"):
        evaluate(**({"specs": ["SQ8"], "base": BASE, "queries": QUERIES} | change))
