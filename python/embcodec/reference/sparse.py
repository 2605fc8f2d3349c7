"""Sparse codes: the k values of largest magnitude in a row, with their indices in ascending order."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import DISORDER, Array, as_float32, cosine, dot16, refuse_rows, topk
from embcodec.reference._peers import numpy_scan
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search

KEPT = (1.0, 0.1, 0.0)  # share of a row that the registry's inputs keep; at least one value


def _encode_inputs(x: Array, rng: np.random.Generator, kept: float) -> Arguments:
    return {"x": x, "k": max(1, int(kept * x.shape[1]))}


def _codes(x: Array, rng: np.random.Generator, kept: float) -> Arguments:
    indices, values = topk_encode(**_encode_inputs(x, rng, kept))
    return {"indices": indices, "values": values, "d": x.shape[1]}


def _topk_inputs(x: Array, rng: np.random.Generator, kept: float, **kind: Any) -> Arguments | None:
    if not x.shape[0]:
        return None
    arguments = _codes(x, rng, kept)
    del arguments["d"]
    return {**arguments, **search(x, rng, **kind)}


def _numpy_encode(x: Array, k: int) -> Any:
    indices = np.sort(np.argpartition(-np.abs(x), k - 1, axis=1)[:, :k], axis=1)
    return indices.astype(np.uint16), np.take_along_axis(x, indices, axis=1)


def _numpy_decode(indices: Array, values: Array, d: int) -> Array:
    x = np.zeros((indices.shape[0], d), np.float32)
    np.put_along_axis(x, indices.astype(np.int64), values, axis=1)
    return x


def _numpy_topk(indices: Array, values: Array, queries: Array, k: int, metric: str, mask: Array) -> Any:
    return numpy_scan(_numpy_decode(indices, values, queries.shape[1]), queries, k, metric, mask)


def _refuse_disorder(kernel: str, indices: Array, d: int, xp: Any) -> None:
    """Codes may come from anywhere, and an index beyond d would be an address beyond the row."""
    wide = indices.astype(xp.int64)
    bad = (wide >= d).any(axis=1) | (wide[:, 1:] <= wide[:, :-1]).any(axis=1)
    refuse_rows(kernel, DISORDER.format(d=d, row="{row}"), bad, xp)


@register(family="sparse", inputs=_encode_inputs, variants=grid(kept=KEPT), peer=_numpy_encode)
def topk_encode(x: Array, k: int, xp: Any = np) -> tuple[Array, Array]:
    """The k largest magnitudes, ties to the lower index."""
    x = as_float32("topk_encode", x, xp)
    indices = xp.sort(xp.argsort(-xp.abs(x), axis=1, kind="stable")[:, :k], axis=1)
    width = xp.uint16 if x.shape[1] <= 65536 else xp.uint32
    return indices.astype(width), xp.take_along_axis(x, indices, axis=1)


@register(family="sparse", inputs=_codes, variants=grid(kept=KEPT), peer=_numpy_decode)
def topk_decode(indices: Array, values: Array, d: int, xp: Any = np) -> Array:
    """Dense rows."""
    _refuse_disorder("topk_decode", indices, d, xp)
    n = indices.shape[0]
    x = xp.zeros((n, d), xp.float32)
    x[xp.arange(n)[:, None], indices.astype(xp.int64)] = values
    return x


@register(family="sparse", inputs=_topk_inputs, variants=grid(kept=KEPT, **SEARCHES), peer=_numpy_topk)
def sparse_topk(
    indices: Array,
    values: Array,
    queries: Array,
    k: int,
    metric: str = "ip",
    mask: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search by dot16 over the stored entries."""
    _refuse_disorder("sparse_topk", indices, queries.shape[1], xp)
    places = indices.astype(xp.int64)
    vv = dot16(values, values, xp)

    def scores(q: Array) -> Array:
        ip, qq = dot16(q[places], values, xp), dot16(q, q, xp)
        if metric == "ip":
            return ip
        if metric == "l2":
            return -((qq - xp.float32(2) * ip) + vv)
        return cosine(ip, xp.sqrt(qq) * xp.sqrt(vv), xp)

    return topk(scores, queries, k, mask, xp)
