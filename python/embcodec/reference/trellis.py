"""Trellis-coded quantization: Viterbi over the bit-shift trellis of 256 states (docs/trellis.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, pack, scan, with_extras
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search
from embcodec.reference.rq import WORDS

STATES = 256
LEVELS = 128  # of a codebook; window w of the other half stands for minus the level of 255 - w
UNIT = 16  # components that share a rate; the last unit is what the others leave
RATES = (0, 1, 2, 4, 6, 8, 10, 12)  # in half bits a component; 1 codes two components with one bit


def steps_of(rates: Any) -> list[tuple[int, int, int]]:
    """The steps of the trellis, as (first component, components, bits by which the window moves on)."""
    steps, j = [], 0
    while j < len(rates) and rates[j]:
        width = 2 if rates[j] == 1 else 1
        steps.append((j, width, 1 if rates[j] == 1 else int(rates[j]) // 2))
        j += width
    return steps


def are_rates(rates: Any) -> bool:
    """Whether these may be the rates of components: above 0 first, never rising, one for each unit.

    Where their number is odd, the last may not be 1: its component would have no other to share a bit with.
    """
    return bool(
        rates[0] > 0
        and np.isin(rates, RATES).all()
        and (rates[1:] <= rates[:-1]).all()
        and (rates == rates[::UNIT].repeat(UNIT)[: len(rates)]).all()
        and not (len(rates) % 2 and rates[-1] == 1)
    )


def code_size(rates: Any) -> int:
    """Bytes of a row's bit string; each unit begins with one, since 16 components take whole bytes."""
    return -(-int(np.asarray(rates).sum(dtype=np.int64)) // UNIT)


def _book(rate: int) -> int:
    return 0 if rate == 1 else rate // 2 + 1


def _plan(d: int, rng: np.random.Generator, low: int) -> Array:
    """Falling rates in units of 16, from `low` half bits upwards."""
    units = np.sort(rng.choice(RATES[low:], -(-d // UNIT)))[::-1]
    units[0] = max(units[0], 1)
    if d % 2 and units[-1] == 1:
        units[-1] = 0 if len(units) > 1 else 2
    return np.repeat(units, UNIT)[:d].astype(np.uint8)


def _encode_inputs(x: Array, rng: np.random.Generator, low: int) -> Arguments:
    d = x.shape[1]
    step = np.abs(x).max(axis=0, initial=1e-30).astype(np.float32) / np.float32(100)
    return {
        "x": x,
        "codebooks": rng.integers(-127, 128, (8, LEVELS)).astype(np.int8),
        "step": step,
        "rates": _plan(d, rng, low),
        "weight": rng.random(d, np.float32),
    }


def _codes(x: Array, rng: np.random.Generator, low: int, extras: bool) -> Arguments:
    arguments = _encode_inputs(x, rng, low)
    size = code_size(arguments["rates"]) + extras
    codes = rng.integers(0, 256, (len(x), size)).astype(np.uint8)
    arguments = {"codes": codes, **{name: arguments[name] for name in ("codebooks", "step", "rates")}}
    if extras:
        arguments["factors"] = rng.random(256, np.float32)
    return arguments


def _topk_inputs(x: Array, rng: np.random.Generator, low: int, extras: str, **kind: Any) -> Arguments | None:
    if not len(x):
        return None
    arguments = _codes(x, rng, low, bool(extras))
    arguments.update(search(x, rng, **kind))
    if extras == "centroid":
        arguments["centroids"] = rng.standard_normal((3, x.shape[1]), np.float32)
        arguments["centroid"] = rng.integers(0, 3, len(x)).astype(np.int32)
    if extras == "codewords":
        arguments["centroids"] = rng.standard_normal((3, WORDS, x.shape[1]), np.float32)
        arguments["centroid"] = rng.integers(0, WORDS, (len(x), 5)).astype(np.uint8)[:, 1:4]
    return arguments


def windows(codes: Array, rates: Any, xp: Any = np) -> Array:
    """The window of each coded component, (n, components); `codes` are the bit strings alone."""
    at, begin = [], 0
    for _, width, shift in steps_of(rates):
        at += [begin] * width
        begin += shift
    wide = xp.concatenate([codes, xp.zeros((len(codes), 1), xp.uint8)], axis=1).astype(xp.uint16)
    byte, bit = xp.asarray(at) // 8, (xp.asarray(at) % 8).astype(xp.uint16)
    return (wide[:, byte] | wide[:, byte + 1] << 8) >> bit & 255


def _levels(codebooks: Array, rate: int, part: int, xp: Any) -> Array:
    """The level of each window."""
    book = codebooks[_book(rate) + part]
    return xp.concatenate([book, -book[::-1]]).astype(xp.float32)


@register(family="trellis", inputs=_encode_inputs, variants=grid(low=(0, 2)))
def trellis_encode(
    x: Array, codebooks: Array, step: Array, rates: Array, weight: Array, xp: Any = np
) -> Array:
    """The path of least weighted error, from the last component to the first.

    Behind the last lie zeros only. The windows that can follow window w are
    (w >> shift) + b * (256 >> shift); of equal costs the lowest b and the lowest first window win.
    """
    x = as_float32("trellis_encode", x, xp)
    n, steps, rates = len(x), steps_of(rates.tolist()), rates.tolist()
    inverse = xp.where(step > 0, xp.float32(1) / xp.where(step > 0, step, xp.float32(1)), xp.float32(0))
    cost = xp.full((n, STATES), xp.inf, xp.float32)
    cost[:, 0] = 0
    choices = []
    for first, width, shift in reversed(steps):
        after = cost.reshape(n, 1 << shift, STATES >> shift)
        choices.append(after.argmin(axis=1))
        least = xp.repeat(after.min(axis=1), 1 << shift, axis=1)
        errors = []
        for j in range(first, first + width):
            t = (x[:, j] * inverse[j])[:, None] - _levels(codebooks, rates[j], j - first, xp)
            errors.append(weight[j] * (t * t))
        cost = least + (errors[0] + errors[1] if width == 2 else errors[0])
    return _write(cost.argmin(axis=1), choices[::-1], steps, xp)


def _write(window: Array, choices: list[Array], steps: list[tuple[int, int, int]], xp: Any) -> Array:
    """Follow the path from the first window, and put down the bits that each adds."""
    n, bits = len(window), []
    for (_, _, shift), choice in zip(steps, choices):
        bits += [window >> b & 1 for b in range(shift)]
        group = window >> shift
        window = group + choice[xp.arange(n), group] * (STATES >> shift)
    return pack(xp.stack(bits, axis=1).astype(xp.uint8), 1, xp)


@register(family="trellis", inputs=_codes, variants=grid(low=(0, 2), extras=(False, True)))
def trellis_decode(
    codes: Array, codebooks: Array, step: Array, rates: Array, factors: Array | None = None, xp: Any = np
) -> Array:
    """level * step, times the row's factor; 0 where nothing is coded."""
    size, rates = code_size(rates), rates.tolist()
    chosen, x = windows(codes[:, :size], rates, xp), xp.zeros((len(codes), len(rates)), xp.float32)
    for first, width, _ in steps_of(rates):
        for j in range(first, first + width):
            x[:, j] = _levels(codebooks, rates[j], j - first, xp)[chosen[:, j]] * step[j]
    return x if factors is None else x * factors[codes[:, size]][:, None]


@register(
    family="trellis",
    inputs=_topk_inputs,
    variants=grid(low=(0,), extras=("", "centroid", "codewords"), **SEARCHES),
)
def trellis_topk(
    codes: Array,
    codebooks: Array,
    step: Array,
    rates: Array,
    queries: Array,
    k: int,
    metric: str = "ip",
    mask: Array | None = None,
    factors: Array | None = None,
    centroids: Array | None = None,
    centroid: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over decoded rows, plus the centroid, or the codewords."""
    x = trellis_decode(codes, codebooks, step, rates, factors, xp=xp)
    return scan(with_extras(x, None, centroids, centroid), queries, k, metric, mask, xp)
