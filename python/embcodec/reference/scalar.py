"""Scalar codes: a range for each dimension (sq), for each row (rowsq), halves (half); uncoded rows (flat)."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import (
    NON_FINITE,
    NON_FINITE_CODES,
    Array,
    as_float32,
    pack,
    refuse_rows,
    scan,
    unpack,
)
from embcodec.reference._peers import numpy_pack, numpy_scan, numpy_unpack
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search

BITS = (8, 6, 4)
# The largest finite half.
_MOST = {"float16": np.float32(65504), "bfloat16": np.uint32(0x7F7F0000).view(np.float32)}


def _round_to_code(x: Array, lo: Array, step: Array, bits: int, xp: Any) -> Array:
    """Half to even, clipped; 0 where the range is empty and where (x - lo) / step is not a number."""
    inverse = xp.where(step > 0, xp.float32(1) / xp.where(step > 0, step, xp.float32(1)), xp.float32(0))
    scaled = (x - lo) * inverse
    scaled = xp.where(scaled > 0, scaled, xp.float32(0))
    largest = xp.float32(2**bits - 1)
    return xp.rint(xp.where(scaled < largest, scaled, largest)).astype(xp.uint8)


def _sq_encode_inputs(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    """The range of every second row, so that the others are clipped; that of the last dimension is empty."""
    half = x[::2] if x.shape[0] else np.zeros((1, x.shape[1]), np.float32)
    lo = half.min(axis=0)
    with np.errstate(over="ignore"):
        step = np.minimum(half.max(axis=0) - lo, np.finfo(np.float32).max) / np.float32(2**bits - 1)
    step[1:][-1:] = 0
    return {"x": x, "lo": lo, "step": step, "bits": bits}


def _sq_codes(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    arguments = _sq_encode_inputs(x, rng, bits)
    codes = sq_encode(**arguments)
    return {"codes": codes, "lo": arguments["lo"], "step": arguments["step"], "bits": bits}


def _sq_topk_inputs(x: Array, rng: np.random.Generator, bits: int, **kind: Any) -> Arguments | None:
    return {**_sq_codes(x, rng, bits), **search(x, rng, **kind)} if x.shape[0] else None


def _numpy_sq_encode(x: Array, lo: Array, step: Array, bits: int) -> Array:
    scaled = np.divide(x - lo, step, out=np.zeros_like(x), where=step > 0)
    return numpy_pack(np.clip(np.rint(scaled), 0, 2**bits - 1).astype(np.uint8), bits)


def _numpy_sq_decode(codes: Array, lo: Array, step: Array, bits: int) -> Array:
    return lo + numpy_unpack(codes, lo.shape[0], bits) * step


def _numpy_sq_topk(
    codes: Array, lo: Array, step: Array, queries: Array, k: int, bits: int, metric: str, mask: Array
) -> Any:
    return numpy_scan(_numpy_sq_decode(codes, lo, step, bits), queries, k, metric, mask)


@register(family="scalar", inputs=_sq_encode_inputs, variants=grid(bits=BITS), peer=_numpy_sq_encode)
def sq_encode(x: Array, lo: Array, step: Array, bits: int = 8, xp: Any = np) -> Array:
    """Codes over a range per dimension."""
    x = as_float32("sq_encode", x, xp)
    return pack(_round_to_code(x, lo, step, bits, xp), bits, xp)


@register(family="scalar", inputs=_sq_codes, variants=grid(bits=BITS), peer=_numpy_sq_decode)
def sq_decode(codes: Array, lo: Array, step: Array, bits: int = 8, xp: Any = np) -> Array:
    """lo + code * step."""
    return lo + unpack(codes, lo.shape[0], bits, xp).astype(xp.float32) * step


@register(family="scalar", inputs=_sq_topk_inputs, variants=grid(bits=BITS, **SEARCHES), peer=_numpy_sq_topk)
def sq_topk(
    codes: Array,
    lo: Array,
    step: Array,
    queries: Array,
    k: int,
    bits: int = 8,
    metric: str = "ip",
    mask: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over what sq_decode gives."""
    return scan(sq_decode(codes, lo, step, bits, xp=xp), queries, k, metric, mask, xp)


def _rowsq_inputs(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    return {"x": x, "bits": bits}


def _rowsq_codes(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    codes, scale, offset = rowsq_encode(x, bits)
    return {"codes": codes, "scale": scale, "offset": offset, "d": x.shape[1], "bits": bits}


def _rowsq_topk_inputs(x: Array, rng: np.random.Generator, bits: int, **kind: Any) -> Arguments | None:
    if not x.shape[0]:
        return None
    codes, scale, offset = rowsq_encode(x, bits)
    return {"codes": codes, "scale": scale, "offset": offset, "bits": bits, **search(x, rng, **kind)}


def _numpy_rowsq_encode(x: Array, bits: int) -> Any:
    lo, hi = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    scale = (hi - lo) / (2**bits - 1)
    return _numpy_sq_encode(x, lo, scale, bits), scale[:, 0], lo[:, 0]


def _numpy_rowsq_decode(codes: Array, scale: Array, offset: Array, d: int, bits: int) -> Array:
    return offset[:, None] + numpy_unpack(codes, d, bits) * scale[:, None]


def _numpy_rowsq_topk(
    codes: Array, scale: Array, offset: Array, queries: Array, k: int, bits: int, metric: str, mask: Array
) -> Any:
    x = _numpy_rowsq_decode(codes, scale, offset, queries.shape[1], bits)
    return numpy_scan(x, queries, k, metric, mask)


@register(family="scalar", inputs=_rowsq_inputs, variants=grid(bits=BITS), peer=_numpy_rowsq_encode)
def rowsq_encode(x: Array, bits: int = 8, xp: Any = np) -> tuple[Array, Array, Array]:
    """Codes over a range per row, the scale and the offset."""
    x = as_float32("rowsq_encode", x, xp)
    largest = xp.float32(2**bits - 1)
    zero = xp.float32(0)  # added, so that a range never depends on which zero was met first
    lo, hi = x.min(axis=1, keepdims=True) + zero, x.max(axis=1, keepdims=True) + zero
    scale = xp.where(xp.isfinite(hi - lo), (hi - lo) / largest, hi / largest - lo / largest)
    codes = _round_to_code(x, lo, scale, bits, xp)
    return pack(codes, bits, xp), scale[:, 0], lo[:, 0]


@register(family="scalar", inputs=_rowsq_codes, variants=grid(bits=BITS), peer=_numpy_rowsq_decode)
def rowsq_decode(codes: Array, scale: Array, offset: Array, d: int, bits: int = 8, xp: Any = np) -> Array:
    """offset + code * scale."""
    return offset[:, None] + unpack(codes, d, bits, xp).astype(xp.float32) * scale[:, None]


@register(
    family="scalar",
    inputs=_rowsq_topk_inputs,
    variants=grid(bits=BITS, **SEARCHES),
    peer=_numpy_rowsq_topk,
)
def rowsq_topk(
    codes: Array,
    scale: Array,
    offset: Array,
    queries: Array,
    k: int,
    bits: int = 8,
    metric: str = "ip",
    mask: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over what rowsq_decode gives."""
    x = rowsq_decode(codes, scale, offset, queries.shape[1], bits, xp=xp)
    return scan(x, queries, k, metric, mask, xp)


_HALVES = grid(half=("float16", "bfloat16"))


def _half_inputs(x: Array, rng: np.random.Generator, half: str) -> Arguments:
    return {"x": x, "half": half}


def _half_codes(x: Array, rng: np.random.Generator, half: str) -> Arguments:
    return {"codes": half_encode(x, half), "half": half}


def _half_topk_inputs(x: Array, rng: np.random.Generator, half: str, **kind: Any) -> Arguments | None:
    if not x.shape[0]:
        return None
    return {"codes": half_encode(x, half), "half": half, **search(x, rng, **kind)}


def _numpy_half_encode(x: Array, half: str) -> Array:
    if half == "float16":
        return np.clip(x, -65504, 65504).astype(np.float16).view(np.uint8)
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).view(np.uint8)


def _numpy_half_decode(codes: Array, half: str) -> Array:
    if half == "float16":
        return codes.view(np.float16).astype(np.float32)
    return (codes.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _numpy_half_topk(codes: Array, queries: Array, k: int, half: str, metric: str, mask: Array) -> Any:
    return numpy_scan(_numpy_half_decode(codes, half), queries, k, metric, mask)


@register(family="scalar", inputs=_half_inputs, variants=_HALVES, peer=_numpy_half_encode)
def half_encode(x: Array, half: str = "float16", xp: Any = np) -> Array:
    """Rounded to even; the largest finite half beyond it."""
    x = as_float32("half_encode", x, xp)
    most = _MOST[half]
    x = xp.clip(x, -most, most)
    if half == "float16":
        return x.astype(xp.float16).view(xp.uint8)
    bits = x.view(xp.uint32)
    even = (bits >> xp.uint32(16)) & xp.uint32(1)
    return ((bits + even + xp.uint32(0x7FFF)) >> xp.uint32(16)).astype(xp.uint16).view(xp.uint8)


@register(family="scalar", inputs=_half_codes, variants=_HALVES, peer=_numpy_half_decode)
def half_decode(codes: Array, half: str = "float16", xp: Any = np) -> Array:
    """The halves as float32."""
    words = xp.ascontiguousarray(codes).view(xp.uint16)
    if half == "float16":
        return words.view(xp.float16).astype(xp.float32)
    return (words.astype(xp.uint32) << xp.uint32(16)).view(xp.float32)


@register(
    family="scalar",
    inputs=_half_topk_inputs,
    variants=grid(half=("float16", "bfloat16"), **SEARCHES),
    peer=_numpy_half_topk,
)
def half_topk(
    codes: Array,
    queries: Array,
    k: int,
    half: str = "float16",
    metric: str = "ip",
    mask: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Exact search over what half_decode gives."""
    x = half_decode(codes, half, xp=xp)
    _refuse_met("half_topk", NON_FINITE_CODES, x, queries, mask, xp)
    return scan(x, queries, k, metric, mask, xp)


def _flat_inputs(x: Array, rng: np.random.Generator, **kind: Any) -> Arguments | None:
    return {"x": x, **search(x, rng, **kind)} if x.shape[0] else None


@register(family="scalar", inputs=_flat_inputs, variants=grid(**SEARCHES), peer=numpy_scan)
def flat_topk(
    x: Array, queries: Array, k: int, metric: str = "ip", mask: Array | None = None, xp: Any = np
) -> tuple[Array, Array]:
    """Exact search."""
    x = x.astype(xp.float32)
    _refuse_met("flat_topk", NON_FINITE, x, queries, mask, xp)
    return scan(x, queries, k, metric, mask, xp)


def _refuse_met(kernel: str, message: str, x: Array, queries: Array, mask: Array | None, xp: Any) -> None:
    """Only rows that a query meets are looked at."""
    if queries.shape[0]:
        bad = ~xp.isfinite(x).all(axis=1)
        refuse_rows(kernel, message, bad if mask is None else bad & mask, xp)
