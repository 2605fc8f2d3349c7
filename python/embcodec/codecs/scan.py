"""Searching codes: fold the transforms into the queries, or decode block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embcodec._backends import run
from embcodec.kernels import flat_topk
from embcodec.kernels._checks import FLOAT32, INT64

from .rows import F32, F64, I64, U8, Bools, blocks, empty, to_float32

if TYPE_CHECKING:
    from .base import Transform

_VECTOR = 16  # dimensions
_NOTHING = 1e-6  # of an offset's length, what rotations back and forth may make of nothing
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

    Inner products always can be. Distances need isometries; cosines need isometries without an offset, since
    `place` serves those with one.
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
    return Folded(q, _length_ratios(q, queries), None)


@dataclass(frozen=True)
class Placed(Folded):
    """Queries for cosines with rows that isometries bring back with an offset.

    A decoded row A z + offset is A (z + part) + lost, where `lost` is orthogonal to all that A gives. So it
    is as long as (z + part, |lost|), whose product with (A'q, q.lost / |lost|) is its product with q. Zeros
    follow: a scan reads rows of whole vectors in place. Where A gives all, nothing is lost or follows.
    """

    centroid: F32  # (1, dimensions of the queries): `part`, |lost| and zeros, to the coder that of all rows

    def rows(self, z: F32, out: F32 | None) -> F32:
        """What the queries meet of the coder's rows z (n, d), in `out` if given."""
        n, d = z.shape
        rows: F32 = empty(z, (n, self.queries.shape[1]), FLOAT32) if out is None else out
        np.add(z, self.centroid[:, :d], out=rows[:, :d])
        rows[:, d:] = self.centroid[:, d:]
        return rows


def place(transforms: Sequence[Transform], queries: F32) -> Placed | None:
    """Pull the queries back for cosines that `fold` cannot; None where a transform is no isometry."""
    if not all(stage.isometric for stage in transforms):
        return None

    def back(z: F32) -> F32:
        for stage in reversed(transforms):
            z = stage.inverse(z)
        return z

    def pulled(q: F32) -> F32:
        for stage in transforms:
            q = stage.adjoint(q)
        return q

    def parts() -> tuple[F32, F64 | None]:
        """The centroid, and the direction of `lost`; None if nothing is."""
        origin = empty(queries, (1, pulled(queries[:1]).shape[1]), FLOAT32)
        origin[...] = 0
        offset = back(origin).astype(np.float64)
        part = pulled(to_float32(offset))
        lost = 2 * offset - back(part)  # back(part) is A part + offset
        length = np.sqrt(_squares(lost))[:, None]
        if (length <= _NOTHING * np.sqrt(_squares(offset))[:, None]).all():
            return part, None
        return _followed(part, length), lost / length

    fitted = tuple(tensor for stage in transforms for tensor in stage.tensors().values())
    centroid, direction = transforms[0].kept("placed", fitted, parts)
    q = pulled(queries)
    if direction is not None:
        q = _followed(q, queries.astype(np.float64) @ direction.T)
    return Placed(q, _length_ratios(q, queries), None, centroid)


def _followed(rows: F32, last: F64) -> F32:
    """The rows (n, d), the values (n, 1), zeros up to whole vectors."""
    n, d = rows.shape
    wide: F32 = empty(rows, (n, (d + _VECTOR) // _VECTOR * _VECTOR), FLOAT32)
    wide[:, :d] = rows
    wide[:, d : d + 1] = last
    wide[:, d + 1 :] = 0
    return wide


def topk(kernel: str, codes: U8, nq: int, k: int, inputs: tuple[object, ...], threads: int | None) -> Hits:
    """The kernel of that name on `inputs`, its public arguments in order.

    They were checked by `Codec.search` and `Chain.search`, or when they were fitted or loaded. A kernel's own
    function checks them again: about half of what a call of few rows takes outside of the compiled code.
    """
    hits: Hits = empty(codes, (nq, k), FLOAT32), empty(codes, (nq, k), INT64)
    run(kernel, inputs, hits, threads, None)
    return hits


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
    decode: Callable[[U8, F32 | None], F32],
    codes: U8,
    row_bytes: int,
    queries: F32,
    k: int,
    metric: str,
    mask: Bools | None,
    threads: int | None,
) -> Hits:
    """The exact search of the decoded rows, without ever holding more than a block of them.

    decode(codes, out) gives the rows, in `out` if that is an array.
    """
    room: F32 | None = None  # the first block's: memory that is new to the process costs as much as decoding

    def scan(codes: U8, k: int, mask: Bools | None) -> Hits:
        nonlocal room
        rows = decode(codes, None if room is None else room[: len(codes)])
        room = rows if room is None else room
        return flat_topk(rows, queries, k, metric=metric, mask=mask, threads=threads)

    return topk_blocks(codes, row_bytes, k, mask, scan)


def best(scores: F32, ids: I64, k: int) -> Hits:
    """The first k of each row by score descending, then id ascending, id -1 behind all others."""
    order = np.argsort(ids.view(np.uint64), axis=1, kind="stable")
    by_score = np.argsort(-np.take_along_axis(scores, order, 1), axis=1, kind="stable")
    order = np.take_along_axis(order, by_score, 1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)


def _plus(shift: F64 | None, more: F64) -> F64:
    return more if shift is None else shift + more


def _length_ratios(q: F32, to: F32) -> F64:
    """The lengths of queries q over those of `to`; anything where these are zero."""
    norms = np.sqrt(_squares(to))
    ratios: F64 = np.sqrt(_squares(q)) / np.where(norms > 0, norms, 1)
    return ratios


def _squares(x: F32 | F64) -> F64:
    squares: F64 = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    return squares
