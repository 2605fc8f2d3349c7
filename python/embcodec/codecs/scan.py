"""Searching codes: fold the transforms into the queries, or decode block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embcodec.kernels import flat_topk

from .rows import F32, F64, I64, U8, Bools, blocks, to_float32

if TYPE_CHECKING:
    from .base import Transform

Hits = tuple[F32, I64]  # scores (nq, k), ids (nq, k); id -1 and score -inf where rows ran out


@dataclass(frozen=True)
class Folded:
    """Queries in the coder's space: a decoded row scores `scale * s + shift`, s being the coder's score."""

    queries: F32
    scale: F64 | None
    shift: F64 | None

    def unfold(self, hits: Hits) -> Hits:
        """The scores of the decoded rows, from the coder's."""
        if self.scale is None and self.shift is None:
            return hits
        scores, ids = hits
        wide = np.where(ids >= 0, scores.astype(np.float64), 0)
        if self.scale is not None:
            wide *= self.scale[:, None]
        if self.shift is not None:
            wide += self.shift[:, None]
        wide[ids < 0] = -np.inf
        return best(to_float32(wide) + np.float32(0), ids, scores.shape[1])


def fold(transforms: Sequence[Transform], queries: F32, metric: str) -> Folded | None:
    """Pull the queries back through the transforms; None where the metric does not allow it.

    Inner products always can be. Distances need isometries; cosines need isometries without an offset.
    """
    q = queries
    shift: F64 | None = None
    for stage in transforms:
        if metric != "ip" and not stage.isometric:
            return None
        if stage.offset is not None:
            if metric == "cosine":
                return None
            if metric == "ip":
                shift = _plus(shift, q.astype(np.float64) @ stage.offset.astype(np.float64))
            else:
                q = q - stage.offset
        z = stage.adjoint(q)
        if (
            metric == "l2" and z.shape[1] < q.shape[1]
        ):  # what lies outside the kept subspace is lost to all rows
            shift = _plus(shift, -np.maximum(_squares(q) - _squares(z), 0))
        q = z
    if metric != "cosine":
        return Folded(q, None, shift)
    norms = np.sqrt(_squares(queries))
    scale = np.sqrt(_squares(q)) / np.where(norms > 0, norms, 1)
    return Folded(q, scale, None)


def topk_blocks(
    codes: U8,
    row_bytes: int,
    k: int,
    mask: Bools | None,
    scan: Callable[[U8, int, Bools | None], Hits],
) -> Hits:
    """The best k of all rows, block by block: scan(codes, k, mask) gives a block's, and ids within it."""
    hits: Hits | None = None
    for rows in blocks(codes, row_bytes):
        part = codes[rows]
        scores, ids = scan(part, min(k, len(part)), None if mask is None else mask[rows])
        ids = np.where(ids >= 0, ids + rows.start, -1)
        if hits is not None:
            scores, ids = best(np.concatenate([hits[0], scores], 1), np.concatenate([hits[1], ids], 1), k)
        hits = scores, ids
    assert hits is not None  # 1 <= k <= len(codes)
    return hits


def topk_decoded(
    decode: Callable[[U8], F32],
    codes: U8,
    row_bytes: int,
    queries: F32,
    k: int,
    metric: str,
    mask: Bools | None,
    threads: int | None,
) -> Hits:
    """The exact search of the decoded rows, without ever holding more than a block of them."""

    def scan(codes: U8, k: int, mask: Bools | None) -> Hits:
        return flat_topk(decode(codes), queries, k, metric=metric, mask=mask, threads=threads)

    return topk_blocks(codes, row_bytes, k, mask, scan)


def best(scores: F32, ids: I64, k: int) -> Hits:
    """The first k of each row by score descending, then id ascending, id -1 behind all others."""
    order = np.argsort(ids.view(np.uint64), axis=1, kind="stable")
    by_score = np.argsort(-np.take_along_axis(scores, order, 1), axis=1, kind="stable")
    order = np.take_along_axis(order, by_score, 1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)


def _plus(shift: F64 | None, more: F64) -> F64:
    return more if shift is None else shift + more


def _squares(x: F32) -> F64:
    squares: F64 = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    return squares
