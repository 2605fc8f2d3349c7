"""How codecs are judged: fit once, encode all rows, search with held-out queries, time each step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec._threads import get_num_threads, set_num_threads
from embcodec.codecs import Codec
from embcodec.evaluation.metrics import (
    cosine_error,
    knn_accuracy,
    mrr,
    recall_at_k,
    relative_mse,
    spearman,
    squared_error,
)
from embcodec.evaluation.result import EXACT, Result
from embcodec.kernels import flat_topk

__all__ = ["evaluate"]

Array = npt.NDArray[Any]
Search = Callable[[Array, Array, int], tuple[Array, Array]]
"""(rows or codes, queries, k) to (scores, ids), each (nq, k)."""

_MRR_DEPTH = 10
_ERROR_ROWS = 65_536
_PAIR_ROWS, _PAIR_QUERIES = 512, 256
_LABEL_ROWS = 1_024
_BATCH = 256


@dataclass(frozen=True)
class _Task:
    """What every codec is asked to do, drawn once so that all are judged on the same."""

    base: Array
    queries: Array
    k: int
    metric: str
    relevant: Array | None
    labels: Array | None
    error_rows: Array
    pair_rows: Array
    label_rows: Array
    exact_ids: Array
    exact_pair_scores: Array


def evaluate(
    specs: Sequence[str],
    base: Array,
    queries: Array,
    *,
    k: int = 10,
    metric: str = "ip",
    train: Array | None = None,
    relevant: Array | None = None,
    labels: Array | None = None,
    seed: int = 0,
    threads: int | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Measure what each codec costs and what it keeps.

    Each codec is fitted once on `train`, without sight of the queries, encodes all of `base`, and answers the
    queries from the codes alone. Its answers are compared with exact search over the float rows. Rates are
    medians of repeated calls, after a first that is not timed.

    Args:
        specs: what to compare, such as ["SQ8", "PQ48x8"].
        base: (n, d) the rows to compress, float32, float16, bfloat16 or float64.
        queries: (nq, d) what to search for; not part of `base`, so that no codec has seen them.
        k: how many rows a search returns, below n.
        metric: "ip", "l2" or "cosine".
        train: (n_train, d) the rows to fit on; `base` where it is None, as when a collection is compressed
            that is known in full. Give other rows to measure how a codec holds on rows it was not fitted on.
        relevant: (nq,) the one row of `base` that answers each query, for MRR@10.
        labels: (n,) the class of each row, for the accuracy of a nearest-neighbour classifier: at most 1,024
            rows are classified by the vote of their k nearest coded rows, themselves left out.
        seed: of the codecs and of the samples that the measures are taken on.
        threads: for the kernels, in every step that is measured; None takes the default.
        on_result: called with each result as it is known.

    Returns:
        A result for the uncompressed vectors, then one for each spec, in the order given.

    Raises:
        ValueError: a spec is unknown or does not fit the data, or shapes do not fit together.
    """
    _check(base, queries, k, relevant, labels)
    codecs = [Codec(spec, seed) for spec in specs]  # all, so that a wrong spec fails before any work
    fit_on = base if train is None else train
    with _use_threads(threads):
        task = _make_task(base, queries.astype(np.float32), k, metric, relevant, labels, seed)
        results: list[Result] = []
        for codec in (None, *codecs):
            results.append(_measure_exact(task) if codec is None else _measure_codec(task, codec, fit_on))
            if on_result is not None:
                on_result(results[-1])
    return results


def _check(base: Array, queries: Array, k: int, relevant: Array | None, labels: Array | None) -> None:
    if base.ndim != 2 or queries.ndim != 2 or base.shape[1] != queries.shape[1] or len(queries) == 0:
        raise ValueError(
            f"evaluate: base must be (n, d) and queries (nq, d), got {base.shape} and {queries.shape}"
        )
    if not 0 < k < len(base):
        raise ValueError(f"evaluate: k must be in [1, {len(base) - 1}], below the number of rows, got {k}")
    if relevant is not None and relevant.shape != (len(queries),):
        raise ValueError(f"evaluate: relevant must be ({len(queries)},), got {relevant.shape}")
    if labels is not None and labels.shape != (len(base),):
        raise ValueError(f"evaluate: labels must be ({len(base)},), got {labels.shape}")


@contextmanager
def _use_threads(threads: int | None) -> Iterator[None]:
    before = get_num_threads()
    set_num_threads(before if threads is None else threads)
    try:
        yield
    finally:
        set_num_threads(before)


def _make_task(
    base: Array, queries: Array, k: int, metric: str, relevant: Array | None, labels: Array | None, seed: int
) -> _Task:
    rng = np.random.default_rng(seed)
    error_rows, pair_rows, label_rows = (
        np.sort(rng.choice(len(base), min(size, len(base)), replace=False))
        for size in (_ERROR_ROWS, _PAIR_ROWS, _LABEL_ROWS)
    )
    search = _exact_search(metric)
    return _Task(
        base=base,
        queries=queries,
        k=k,
        metric=metric,
        relevant=relevant,
        labels=labels,
        error_rows=error_rows,
        pair_rows=pair_rows,
        label_rows=label_rows,
        exact_ids=search(base, queries, k)[1],
        exact_pair_scores=_pair_scores(search, base[pair_rows], queries),
    )


def _exact_search(metric: str) -> Search:
    return lambda rows, queries, k: flat_topk(rows, queries, k, metric=metric)


def _measure_exact(task: _Task) -> Result:
    return Result(
        spec=EXACT,
        k=task.k,
        metric=task.metric,
        code_size=4 * task.base.shape[1],
        ratio=1.0,
        cosine_error=0.0,
        mse=0.0,
        relative_mse=0.0,
        fit_seconds=None,
        encode_rate=None,
        decode_rate=None,
        codec_bytes=0,
        **_judge_search(task, _exact_search(task.metric), task.base.astype(np.float32)),
    )


def _measure_codec(task: _Task, codec: Codec, train: Array) -> Result:
    start = time.perf_counter()
    codec.fit(train)
    fit_seconds = time.perf_counter() - start

    codes = codec.encode(task.base)
    sample, sample_codes = task.base[task.error_rows], codes[task.error_rows]
    decoded = codec.decode(sample_codes)
    return Result(
        spec=codec.spec,
        k=task.k,
        metric=task.metric,
        code_size=codec.code_size,
        ratio=4 * task.base.shape[1] / codec.code_size,
        cosine_error=cosine_error(sample, decoded),
        mse=squared_error(sample, decoded),
        relative_mse=relative_mse(sample, decoded),
        fit_seconds=fit_seconds,
        encode_rate=len(sample) / _seconds(lambda: codec.encode(sample)),
        decode_rate=len(sample) / _seconds(lambda: codec.decode(sample_codes)),
        codec_bytes=_saved_size(codec),
        **_judge_search(task, partial(codec.search, metric=task.metric), codes),
    )


def _judge_search(task: _Task, search: Search, stored: Array) -> dict[str, Any]:
    """The measures of a search over `stored`, which holds a float row or a code for each row of the base."""
    depth = min(max(task.k, _MRR_DEPTH), len(stored))
    ids = search(stored, task.queries, depth)[1]
    batch = task.queries[:_BATCH]
    return {
        "recall": recall_at_k(ids[:, : task.k], task.exact_ids),
        "score_correlation": spearman(
            _pair_scores(search, stored[task.pair_rows], task.queries), task.exact_pair_scores
        ),
        "mrr": None if task.relevant is None else mrr(ids[:, :_MRR_DEPTH], task.relevant),
        "label_accuracy": None if task.labels is None else _label_accuracy(task, search, stored, task.labels),
        "scan_rate": len(stored) * len(batch) / _seconds(lambda: search(stored, batch, task.k)),
    }


def _label_accuracy(task: _Task, search: Search, stored: Array, labels: Array) -> float:
    probes = task.label_rows
    ids = search(stored, task.base[probes].astype(np.float32), task.k + 1)[1]
    # The row itself is dropped where it was found, else the last one.
    itself_last = np.argsort(ids == probes[:, None], axis=1, kind="stable")
    others = np.take_along_axis(ids, itself_last[:, : task.k], axis=1)
    return knn_accuracy(others, labels, labels[probes])


def _pair_scores(search: Search, rows: Array, queries: Array) -> Array:
    """The scores of the first queries with each of `rows`, flat, a query after the other."""
    scores, ids = search(rows, queries[:_PAIR_QUERIES], len(rows))
    by_row = np.empty_like(scores)
    np.put_along_axis(by_row, ids, scores, axis=1)
    return by_row.ravel()


def _saved_size(codec: Codec) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codec.safetensors"
        codec.save(path)
        return path.stat().st_size


def _seconds(call: Callable[[], object]) -> float:
    """The median time of a call: 3 to 15 repetitions, as many as fit in a quarter second.

    There is no warm-up here: each call that is timed was made before, for its result.
    """
    times: list[float] = []
    while len(times) < 3 or (sum(times) < 0.25 and len(times) < 15):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)
