"""Quantization to levels that all dimensions share, each with a step of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import (
    Array,
    as_finite,
    as_float32,
    dot16,
    pack,
    pad_columns,
    scan,
    unpack,
    with_extras,
)
from embcodec.reference._peers import numpy_pack, numpy_scan, numpy_unpack
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search, some_extras

BITS = (1, 2, 3, 4, 5, 6, 7, 8)


def bits_of(levels: Array) -> int:
    """The bits that tell 2**bits levels apart."""
    return int(levels.shape[0]).bit_length() - 1


def _encode_inputs(x: Array, rng: np.random.Generator, bits: int, even: bool = False) -> Arguments:
    """Levels over the range of the data and a little beyond, some equal or all even; an empty step."""
    levels = np.sort(rng.integers(-100, 101, 2**bits)).astype(np.float32) / np.float32(64)
    if even:
        levels = np.linspace(-1.6, 1.5, 2**bits).astype(np.float32)
    step = np.abs(x).max(axis=0, initial=0).astype(np.float32) * np.float32(0.9)
    step[1:][-1:] = 0
    return {"x": x, "levels": levels, "step": step}


def _codes(x: Array, rng: np.random.Generator, bits: int, even: bool = False) -> Arguments:
    arguments = _encode_inputs(x, rng, bits, even)
    return {"codes": levels_encode(**arguments), "levels": arguments["levels"], "step": arguments["step"]}


def _topk_inputs(
    x: Array,
    rng: np.random.Generator,
    bits: int,
    extras: bool,
    even: bool = False,
    beyond: int = 0,
    **kind: Any,
) -> Arguments | None:
    """`beyond`: dimensions of centroids and queries that codes lack."""
    if not x.shape[0]:
        return None
    arguments = {**_codes(x, rng, bits, even), **search(x, rng, **kind)}
    if extras:
        arguments.update(some_extras(x, rng))
        arguments["factor"] = arguments["factor"].astype(np.float16)
        arguments["shift"] = rng.integers(-128, 128, (len(x), 3)).astype(np.int8)[:, 1]  # as it lies in codes
        arguments["direction"] = rng.standard_normal(x.shape[1], np.float32)
    for name in ("queries", "centroids") if beyond else ():
        more = rng.standard_normal((len(arguments[name]), beyond), np.float32)
        arguments[name] = np.concatenate([arguments[name], more], 1)
    return arguments


def _numpy_encode(x: Array, levels: Array, step: Array) -> Array:
    scaled = np.divide(x, step, out=np.zeros_like(x), where=step > 0)
    codes = np.searchsorted((levels[1:] + levels[:-1]) / 2, scaled)
    return numpy_pack(codes.astype(np.uint8), bits_of(levels))


def _numpy_decode(codes: Array, levels: Array, step: Array) -> Array:
    return levels[numpy_unpack(codes, step.shape[0], bits_of(levels))] * step


def _numpy_topk(
    codes: Array,
    levels: Array,
    step: Array,
    queries: Array,
    k: int,
    metric: str,
    mask: Array,
    factor: Array = None,
    centroids: Array = None,
    centroid: Array = None,
    shift: Array = None,
    direction: Array = None,
) -> Any:
    x = _numpy_decode(codes, levels, step)
    if shift is not None:
        x = x + np.outer(shift.astype(np.float32), direction)
    x = with_extras(pad_columns(x, queries.shape[1], np), factor, centroids, centroid)
    return numpy_scan(x, queries, k, metric, mask)


def _inverse(step: Array, xp: Any) -> Array:
    return xp.where(step > 0, xp.float32(1) / xp.where(step > 0, step, xp.float32(1)), xp.float32(0))


def _nearest(scaled: Array, levels: Array, xp: Any) -> Array:
    half = xp.float32(0.5)
    midpoints = half * levels[:-1] + half * levels[1:]
    codes = xp.searchsorted(midpoints, scaled.reshape(-1)).reshape(scaled.shape)
    return xp.where(xp.isnan(scaled), 0, codes).astype(xp.uint8)


@register(family="levels", inputs=_encode_inputs, variants=grid(bits=BITS), peer=_numpy_encode)
def levels_encode(x: Array, levels: Array, step: Array, xp: Any = np) -> Array:
    """The number of midpoints below x / step; 0 where the step is 0 or the quotient is no number."""
    x = as_float32("levels_encode", x, xp)
    inverse = _inverse(step, xp)
    return pack(_nearest(x * inverse, levels, xp), bits_of(levels), xp)


@register(family="levels", inputs=_codes, variants=grid(bits=BITS), peer=_numpy_decode)
def levels_decode(codes: Array, levels: Array, step: Array, xp: Any = np) -> Array:
    """levels[code] * step."""
    return levels[unpack(codes, step.shape[0], bits_of(levels), xp)] * step


@register(
    family="levels",
    inputs=_topk_inputs,
    variants=(
        *grid(bits=BITS, extras=(False, True), **SEARCHES),
        *grid(bits=(5, 6, 8), extras=(True,), even=(True,), metric=("ip",), masked=(False, True)),
        *grid(bits=(1, 4, 6, 8), extras=(True,), beyond=(1, 40), **SEARCHES),
    ),
    peer=_numpy_topk,
)
def levels_topk(
    codes: Array,
    levels: Array,
    step: Array,
    queries: Array,
    k: int,
    metric: str = "ip",
    mask: Array | None = None,
    factor: Array | None = None,
    centroids: Array | None = None,
    centroid: Array | None = None,
    shift: Array | None = None,
    direction: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over what levels_decode gives, plus shift * direction, times the factor, plus the centroid.

    Beyond the dimensions of the codes a row is its centroid.
    """
    x = levels_decode(codes, levels, step, xp=xp)
    if shift is not None:
        x = x + shift[:, None].astype(xp.float32) * direction
    if factor is not None:
        factor = as_finite(factor, xp)
    x = with_extras(pad_columns(x, queries.shape[1], xp), factor, centroids, centroid)
    return scan(x, queries, k, metric, mask, xp)


def _shape_inputs(x: Array, rng: np.random.Generator, bits: int, several: bool) -> Arguments:
    return {
        **_encode_inputs(x, rng, bits),
        "direction": rng.standard_normal(x.shape[1], np.float32) * np.float32(0.02),
        "scales": np.array([0.8, 1, 1.3] if several else [1], np.float32),
    }


def _shape_codes(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    """Some with factors from anywhere."""
    arguments = _shape_inputs(x, rng, bits, several=False)
    codes = shape_encode(**arguments)
    codes[::3, -3:] = rng.integers(0, 256, codes[::3, -3:].shape)
    return {"codes": codes, **{name: arguments[name] for name in ("levels", "step", "direction")}}


@register(family="levels", inputs=_shape_inputs, variants=grid(bits=BITS, several=(False, True)))
def shape_encode(
    x: Array, levels: Array, step: Array, direction: Array, scales: Array, xp: Any = np
) -> Array:
    """Codes of rows scaled to the levels' length, an int8 and a float16.

    Inner products are sums in float64 of float32 products.
    """
    x = as_float32("shape_encode", x, xp)
    n, d = x.shape
    inverse = _inverse(step, xp)
    coordinates = max(int((step > 0).sum()), 1)
    scaled = x * inverse
    length = xp.sqrt(_wide(scaled, scaled, xp) / coordinates)
    codes, best = xp.zeros((n, d), xp.uint8), xp.zeros((n, d), xp.float32)
    cosine, along = xp.full(n, -np.inf), xp.zeros(n)
    for scale in scales:
        unit = _ratio(scale.astype(xp.float64), length, length > 0, xp).astype(xp.float32)
        tried = _nearest(x * unit[:, None] * inverse, levels, xp)
        y = levels[tried] * step
        xy, yy = _wide(x, y, xp), _wide(y, y, xp)
        angle = xy / xp.sqrt(xp.where(yy > 1e-30, yy, 1e-30))
        better = angle > cosine
        cosine, along = xp.where(better, angle, cosine), xp.where(better, xy, along)
        codes, best = xp.where(better[:, None], tried, codes), xp.where(better[:, None], y, best)
    square, line = _wide(x, x, xp), _wide(direction[None], direction[None], xp)
    of_row, of_best = _wide(x, direction[None], xp), _wide(best, direction[None], xp)
    area = square * line - of_row * of_row
    shift = _ratio(of_row * along - square * of_best, area, area > 1e-6 * square * line, xp)
    shift = xp.where(shift < 127, shift, 127)
    shift = xp.rint(xp.where(shift > -127, shift, -127).astype(xp.float32)).astype(xp.int8)
    best = best + shift[:, None].astype(xp.float32) * direction
    x = xp.where(step > 0, x, xp.float32(0))
    along = _wide(x, best, xp)
    factor = _ratio(_wide(x, x, xp), along, along > 0, xp)
    factor = xp.where(factor < 65504, factor, 65504).astype(xp.float32).astype(xp.float16)
    columns = shift[:, None].view(xp.uint8), factor[:, None].view(xp.uint8)
    return xp.concatenate([pack(codes, bits_of(levels), xp), *columns], axis=1)


def _wide(a: Array, b: Array, xp: Any) -> Array:
    return dot16(a, b, xp, xp.float64)


def _ratio(a: Array, b: Array, where: Array, xp: Any) -> Array:
    return xp.where(where, a / xp.where(where, b, 1), 0)


@register(family="levels", inputs=_shape_codes, variants=grid(bits=BITS))
def shape_decode(codes: Array, levels: Array, step: Array, direction: Array, xp: Any = np) -> Array:
    """What the levels give, plus the int8 times the direction, times the float16."""
    x = levels_decode(codes[:, :-3], levels, step, xp=xp)
    shift = xp.ascontiguousarray(codes[:, -3:-2]).view(xp.int8).astype(xp.float32)
    factor = xp.ascontiguousarray(codes[:, -2:]).view(xp.float16)
    return (x + shift * direction) * as_finite(factor, xp)
