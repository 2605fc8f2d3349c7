"""Trellis-coded quantization: Viterbi over the bit-shift trellis of 256 states (docs/trellis.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, pack, scan, with_extras
from embcodec.reference._registry import SEARCHES, Arguments, grid, register, search, some_extras

STATES = 256
UNIT = 16  # components of one rate come in runs of this length
RATES = (0, 1, 2, 4, 6, 8, 10, 12)  # in half bits a component; 1 codes two components with one bit

_REVERSED = np.array([int(f"{state:08b}"[::-1], 2) for state in range(STATES)])


def steps_of(rates: Any) -> list[tuple[int, int, int]]:
    """The steps of the trellis, as (first component, components, bits by which the window moves on)."""
    steps, j = [], 0
    while j < len(rates) and rates[j]:
        width = 2 if rates[j] == 1 else 1
        steps.append((j, width, 1 if rates[j] == 1 else int(rates[j]) // 2))
        j += width
    return steps


def code_size(rates: Any) -> int:
    """Bytes of a row: the first window's 8 bits and each further step's shift."""
    return (8 + sum(shift for _, _, shift in steps_of(rates)[1:]) + 7) // 8


def _book(rate: int) -> int:
    return 0 if rate == 1 else rate // 2 + 1


def _plan(d: int, rng: np.random.Generator, low: int) -> Array:
    """Falling rates in units of 16, from `low` half bits upwards."""
    units = np.sort(rng.choice(RATES[low:], d // UNIT))[::-1]
    units[:1] = max(*units[:1].tolist(), 1)
    return np.concatenate([np.repeat(units, UNIT), np.zeros(d % UNIT, np.int64)]).astype(np.uint8)


def _wide(x: Array) -> Array:
    """A unit of components at least, by repetition."""
    return x if x.shape[1] >= UNIT else np.tile(x, (1, UNIT))[:, :UNIT].copy()


def _encode_inputs(x: Array, rng: np.random.Generator, low: int) -> Arguments:
    x = _wide(x)
    d = x.shape[1]
    step = np.abs(x).max(axis=0, initial=1e-30).astype(np.float32) / np.float32(100)
    return {
        "x": x,
        "codebooks": rng.integers(-127, 128, (8, STATES)).astype(np.int8),
        "step": step,
        "rates": _plan(d, rng, low),
        "weight": rng.random(d, np.float32),
    }


def _codes(x: Array, rng: np.random.Generator, low: int) -> Arguments:
    arguments = _encode_inputs(x, rng, low)
    codes = rng.integers(0, 256, (len(x), code_size(arguments["rates"]))).astype(np.uint8)
    return {"codes": codes, **{name: arguments[name] for name in ("codebooks", "step", "rates")}}


def _topk_inputs(x: Array, rng: np.random.Generator, low: int, extras: bool, **kind: Any) -> Arguments | None:
    if not len(x):
        return None
    x = _wide(x)
    arguments = _codes(x, rng, low)
    arguments.update(search(x, rng, **kind))
    return {**arguments, **(some_extras(x, rng) if extras else {})}


@register(family="trellis", inputs=_encode_inputs, variants=grid(low=(0, 2)))
def trellis_encode(
    x: Array, codebooks: Array, step: Array, rates: Array, weight: Array, xp: Any = np
) -> Array:
    """The path of least weighted error.

    States are numbered by their window with its bits reversed: then those before state s are
    (s >> shift) + b * (256 >> shift). Of equal costs the lowest b and the lowest last state win.
    """
    x = as_float32("trellis_encode", x, xp)
    n, steps, rates = len(x), steps_of(rates.tolist()), rates.tolist()
    order = xp.asarray(_REVERSED)
    inverse = xp.where(step > 0, xp.float32(1) / xp.where(step > 0, step, xp.float32(1)), xp.float32(0))
    levels = codebooks[:, order].astype(xp.float32)
    least, choices = xp.zeros((n, STATES), xp.float32), []
    cost = least
    for number, (first, width, shift) in enumerate(steps):
        if number > 0:
            before = cost.reshape(n, 1 << shift, STATES >> shift)
            choices.append(before.argmin(axis=1))
            least = xp.repeat(before.min(axis=1), 1 << shift, axis=1)
        errors = []
        for j in range(first, first + width):
            t = (x[:, j] * inverse[j])[:, None] - levels[_book(rates[j]) + j - first]
            errors.append(weight[j] * (t * t))
        cost = least + (errors[0] + errors[1] if width == 2 else errors[0])
    return _write(cost.argmin(axis=1), choices, steps, code_size(rates), xp)


def _write(
    state: Array, choices: list[Array], steps: list[tuple[int, int, int]], size: int, xp: Any
) -> Array:
    """Trace the paths back, and put down the bits that each step adds."""
    n, order = len(state), xp.asarray(_REVERSED)
    bits = []  # from the last to the first
    for (_, _, shift), choice in zip(reversed(steps[1:]), reversed(choices)):
        window = order[state]
        bits += [window >> (7 - b) & 1 for b in range(shift)]
        group = state >> shift
        state = group + choice[xp.arange(n), group] * (STATES >> shift)
    bits += [order[state] >> (7 - b) & 1 for b in range(8)]
    stream = xp.stack(bits[::-1], axis=1).astype(xp.uint8)
    return xp.ascontiguousarray(pack(stream, 1, xp)[:, :size])


@register(family="trellis", inputs=_codes, variants=grid(low=(0, 2)))
def trellis_decode(codes: Array, codebooks: Array, step: Array, rates: Array, xp: Any = np) -> Array:
    """codebook[window] * step, 0 where nothing is coded."""
    n, rates = len(codes), rates.tolist()
    wide = xp.concatenate([codes, xp.zeros((n, 1), xp.uint8)], axis=1).astype(xp.int32)
    x, at = xp.zeros((n, len(rates)), xp.float32), 0
    for number, (first, width, shift) in enumerate(steps_of(rates)):
        at += shift if number else 0
        window = (wide[:, at // 8] | wide[:, at // 8 + 1] << 8) >> at % 8 & 255
        for j in range(first, first + width):
            x[:, j] = codebooks[_book(rates[j]) + j - first][window].astype(xp.float32) * step[j]
    return x


@register(family="trellis", inputs=_topk_inputs, variants=grid(low=(0,), extras=(False, True), **SEARCHES))
def trellis_topk(
    codes: Array,
    codebooks: Array,
    step: Array,
    rates: Array,
    queries: Array,
    k: int,
    metric: str = "ip",
    mask: Array | None = None,
    factor: Array | None = None,
    centroids: Array | None = None,
    centroid: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search over decoded rows, times the factor, plus the centroid."""
    x = with_extras(trellis_decode(codes, codebooks, step, rates, xp=xp), factor, centroids, centroid)
    return scan(x, queries, k, metric, mask, xp)
