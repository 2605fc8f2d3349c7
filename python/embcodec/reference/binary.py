"""Binary codes: one bit a dimension, above a threshold or not."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, code_size, pad_columns, scan, topk
from embcodec.reference._peers import numpy_scan, numpy_topk
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search

ORDERS = {"msb": "big", "lsb": "little"}


def _encode_inputs(x: Array, rng: np.random.Generator, order: str) -> Arguments:
    """Thresholds taken from the data, so that some values are equal to theirs."""
    threshold = np.median(x[: x.shape[0] // 2 * 2 + 1], axis=0) if x.shape[0] else np.zeros(x.shape[1])
    return {"x": x, "threshold": threshold.astype(np.float32), "order": order}


def _codes(x: Array, rng: np.random.Generator, order: str) -> Arguments:
    low, high = rng.standard_normal((2, x.shape[1]), np.float32)
    codes = bits_encode(**_encode_inputs(x, rng, order))
    return {"codes": codes, "d": x.shape[1], "low": low, "high": high, "order": order}


def _topk_inputs(x: Array, rng: np.random.Generator, order: str, **kind: Any) -> Arguments | None:
    if not x.shape[0]:
        return None
    arguments = _codes(x, rng, order)
    del arguments["d"]
    return {**arguments, **search(x, rng, **kind)}


def _hamming_inputs(x: Array, rng: np.random.Generator, masked: bool) -> Arguments | None:
    if not x.shape[0]:
        return None
    arguments = search(x, rng, masked)
    queries = bits_encode(arguments["queries"], np.float32(0))
    return {**arguments, "codes": bits_encode(x, np.float32(0)), "queries": queries}


def _numpy_encode(x: Array, threshold: Array, order: str) -> Array:
    return np.packbits(x > threshold, axis=1, bitorder=ORDERS[order])  # type: ignore[call-overload]


def _numpy_decode(codes: Array, d: int, low: Array, high: Array, order: str) -> Array:
    bits = np.unpackbits(codes, axis=1, count=d, bitorder=ORDERS[order])  # type: ignore[call-overload]
    return np.where(bits, high, low)


def _numpy_hamming(codes: Array, queries: Array, k: int, mask: Array) -> Any:
    distances = [np.bitwise_count(codes ^ q).sum(axis=1, dtype=np.int32) for q in queries]
    return numpy_topk(-np.stack(distances).astype(np.float32), k, mask)


def _numpy_topk(
    codes: Array, queries: Array, k: int, low: Array, high: Array, order: str, metric: str, mask: Array
) -> Any:
    x = _numpy_decode(codes, queries.shape[1], low, high, order)
    return numpy_scan(x, queries, k, metric, mask)


@register(family="binary", inputs=_encode_inputs, variants=grid(order=tuple(ORDERS)), peer=_numpy_encode)
def bits_encode(x: Array, threshold: Array, order: str = "msb", xp: Any = np) -> Array:
    """1 where x > threshold."""
    x = as_float32("bits_encode", x, xp)
    n, d = x.shape
    bits = pad_columns((x > threshold).astype(xp.uint8), 8 * code_size(d, 1), xp).reshape(-1)
    return xp.packbits(bits, bitorder=ORDERS[order]).reshape(n, code_size(d, 1))


@register(family="binary", inputs=_codes, variants=grid(order=tuple(ORDERS)), peer=_numpy_decode)
def bits_decode(codes: Array, d: int, low: Array, high: Array, order: str = "msb", xp: Any = np) -> Array:
    """high where the bit is 1, low where it is 0."""
    n, size = codes.shape
    bits = xp.unpackbits(codes.reshape(-1), bitorder=ORDERS[order]).reshape(n, 8 * size)[:, :d]
    return xp.where(bits, high, low)


@register(family="binary", inputs=_hamming_inputs, variants=grid(masked=(False, True)), peer=_numpy_hamming)
def hamming_topk(
    codes: Array, queries: Array, k: int, mask: Array | None = None, xp: Any = np
) -> tuple[Array, Array]:
    """Search by the negative number of differing bits."""
    n, size = codes.shape

    def scores(q: Array) -> Array:
        different = xp.unpackbits((codes ^ q).reshape(-1)).reshape(n, 8 * size)
        return -different.sum(axis=1, dtype=xp.int32).astype(xp.float32)

    return topk(scores, queries, k, mask, xp)


@register(
    family="binary",
    inputs=_topk_inputs,
    variants=grid(order=tuple(ORDERS), **SEARCHES),
    peer=_numpy_topk,
)
def bits_topk(
    codes: Array,
    queries: Array,
    k: int,
    low: Array,
    high: Array,
    order: str = "msb",
    metric: str = "ip",
    mask: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over what bits_decode gives."""
    x = bits_decode(codes, queries.shape[1], low, high, order, xp=xp)
    return scan(x, queries, k, metric, mask, xp)
