"""What compression costs: the measures, each a function of arrays and independent of any codec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cosine_error", "knn_accuracy", "mrr", "recall_at_k", "relative_mse", "spearman", "squared_error"]

Ids = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]

_BLOCK = 8192


def recall_at_k(ids: Ids, exact_ids: Ids) -> float:
    """The share of the exact k nearest rows that were found, in any order.

    Args:
        ids: (nq, k) the rows found; -1 stands for none.
        exact_ids: (nq, k) the rows that exact search finds.

    Returns:
        A share in 0..1, the mean over queries.

    Raises:
        ValueError: the shapes differ or are not 2-d, or there is nothing to compare.
    """
    if ids.ndim != 2 or ids.shape != exact_ids.shape or ids.size == 0:
        raise ValueError(
            f"recall_at_k: ids and exact_ids must be (nq, k) alike, got {ids.shape} and {exact_ids.shape}"
        )
    found = (exact_ids[:, :, None] == ids[:, None, :]).any(axis=2) & (exact_ids >= 0)
    return float(found.mean())


def mrr(ids: Ids, relevant: Ids) -> float:
    """Mean reciprocal rank of each query's one relevant row (known-item retrieval).

    Args:
        ids: (nq, k) the rows found, best first; k is the cut-off: MRR@10 looks at 10.
        relevant: (nq,) the row that answers each query.

    Returns:
        The mean over queries of 1 / rank, ranks from 1; a query whose row is not among the k counts 0.

    Raises:
        ValueError: `relevant` has not one row for each query.
    """
    if ids.ndim != 2 or relevant.shape != ids.shape[:1] or ids.size == 0:
        raise ValueError(f"mrr: ids must be (nq, k) and relevant (nq,), got {ids.shape} and {relevant.shape}")
    hits = ids == relevant[:, None]
    return float(np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0).mean())


def cosine_error(x: Floats, decoded: Floats) -> float:
    """Mean of 1 - cos(x, decoded) over rows.

    Args:
        x: (n, d) the original rows.
        decoded: (n, d) the same rows after encoding and decoding.

    Returns:
        0 for equal directions, 1 for orthogonal ones, 2 for opposite ones. A zero row has no direction: it
        counts 0 where both are zero, 1 where one is.

    Raises:
        ValueError: the shapes differ or are not 2-d, or there are no rows.
    """
    _check_rows("cosine_error", x, decoded)
    total = 0.0
    for a, b in _blocks(x, decoded):
        norms = np.sqrt(_dot(a, a) * _dot(b, b))
        both_zero = ~a.any(axis=1) & ~b.any(axis=1)
        cosines = np.where(norms > 0, _dot(a, b) / np.where(norms > 0, norms, 1), both_zero)
        total += float((1 - cosines).sum())
    return max(total / len(x), 0.0)


def squared_error(x: Floats, decoded: Floats) -> float:
    """Mean squared error of an element: the mean over rows and dimensions of (x - decoded)**2.

    Args:
        x: (n, d) the original rows.
        decoded: (n, d) the same rows after encoding and decoding.

    Raises:
        ValueError: the shapes differ or are not 2-d, or there are no rows.
    """
    _check_rows("squared_error", x, decoded)
    return sum(float(np.square(a - b).sum()) for a, b in _blocks(x, decoded)) / x.size


def relative_mse(x: Floats, decoded: Floats) -> float:
    """Squared error as a share of the variance: 1 is what coding every row as the mean row would cost.

    Args:
        x: (n, d) the original rows.
        decoded: (n, d) the same rows after encoding and decoding.

    Returns:
        sum |x - decoded|**2 / sum |x - mean(x)|**2; where all rows are equal, 0 or infinity.

    Raises:
        ValueError: the shapes differ or are not 2-d, or there are no rows.
    """
    _check_rows("relative_mse", x, decoded)
    error = squared_error(x, decoded)
    mean = x.mean(axis=0, dtype=np.float64)
    variance = sum(float(np.square(a - mean).sum()) for a, _ in _blocks(x, x)) / x.size
    if variance == 0:
        return 0.0 if error == 0 else float("inf")
    return error / variance


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation of two samples, ties at their mean rank.

    Args:
        a: (n,) values, such as exact scores of pairs.
        b: (n,) values, such as the same pairs' scores by code.

    Returns:
        A value in -1..1; 0 where a sample is constant, because it orders nothing.

    Raises:
        ValueError: the shapes differ or are not 1-d, or there are fewer than 2 values.
    """
    if a.ndim != 1 or a.shape != b.shape or a.size < 2:
        raise ValueError(f"spearman: a and b must be (n,) alike, n >= 2, got {a.shape} and {b.shape}")
    ranks_a, ranks_b = (ranks - ranks.mean() for ranks in (_mean_ranks(a), _mean_ranks(b)))
    spread = np.sqrt(np.square(ranks_a).sum() * np.square(ranks_b).sum())
    return float(ranks_a @ ranks_b / spread) if spread > 0 else 0.0


def knn_accuracy(ids: Ids, base_labels: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """Accuracy of the classifier that takes the most frequent label of the nearest rows.

    Args:
        ids: (nq, k) the nearest rows found; -1 stands for none and has no vote.
        base_labels: (n,) the label of each row that was searched.
        labels: (nq,) the true label of each query.

    Returns:
        The share of queries whose label is right. A tied vote goes to the lowest label, as in scikit-learn.

    Raises:
        ValueError: the shapes do not fit together.
    """
    if ids.ndim != 2 or labels.shape != ids.shape[:1] or base_labels.ndim != 1 or ids.size == 0:
        raise ValueError(
            f"knn_accuracy: ids must be (nq, k), base_labels (n,) and labels (nq,), "
            f"got {ids.shape}, {base_labels.shape} and {labels.shape}"
        )
    names, numbers = np.unique(base_labels, return_inverse=True)
    votes = np.zeros((len(ids), len(names)), dtype=np.int64)
    queries, places = np.nonzero(ids >= 0)
    np.add.at(votes, (queries, numbers[ids[queries, places]]), 1)
    right = (names[votes.argmax(axis=1)] == labels) & votes.any(axis=1)
    return float(right.mean())


def _mean_ranks(values: Floats) -> npt.NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean_rank: npt.NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return mean_rank


def _dot(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    products: npt.NDArray[np.float64] = np.einsum("ij,ij->i", a, b)
    return products


def _check_rows(name: str, x: Floats, decoded: Floats) -> None:
    if x.ndim != 2 or x.shape != decoded.shape or x.size == 0:
        raise ValueError(f"{name}: x and decoded must be (n, d) alike, got {x.shape} and {decoded.shape}")


def _blocks(x: Floats, y: Floats) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Both arrays as float64 in blocks of rows, so that a large base is never held twice."""
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, start + _BLOCK)
        yield x[rows].astype(np.float64), y[rows].astype(np.float64)
