"""Randomised Hadamard rotation: signs, then a Hadamard matrix of size 2**k, 12 * 2**k or 20 * 2**k."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, pad_columns
from embcodec.reference._registry import Arguments, grid, register
from embcodec.reference.scalar import BITS, sq_encode

# Symmetric Hadamard matrices by Paley's second construction (1933), over the fields of 5 and 9 elements.
# Bit j of row i is set where the element is +1.
_ROWS = {
    1: (0x1,),
    12: (0xFFD, 0x554, 0xC37, 0x691, 0x0DF, 0xA45, 0x373, 0x919, 0xDC3, 0x469, 0x70F, 0x1A5),
    20: (
        *(0xFFFFD, 0x55554, 0x0C3F7, 0xA6951, 0x30CDF, 0x9A645, 0xC307F, 0x69A15, 0x0FD0F, 0xA54A5),
        *(0x33733, 0x99199, 0xC1FC3, 0x68569, 0xF430F, 0x529A5, 0xDCC33, 0x46699, 0x7F0C3, 0x15A69),
    ),
}


def odd_factor(size: int) -> int:
    """The m of an allowed size m * 2**k: 1, 12 or 20."""
    return 20 if size % 5 == 0 else 12 if size % 3 == 0 else 1


def hadamard(m: int) -> list[list[int]]:
    """The matrix of size m in {1, 12, 20}, of +1 and -1."""
    return [[1 if row >> j & 1 else -1 for j in range(m)] for row in _ROWS[m]]


def _inputs(x: Array, rng: np.random.Generator, inverse: bool) -> Arguments:
    d = x.shape[1]
    size = min(m << max(0, (-(-d // m) - 1).bit_length()) for m in _ROWS)
    return {
        "x": x,
        "signs": np.where(rng.random(size) < 0.5, np.float32(-1), np.float32(1)),
        "inverse": inverse,
    }


def _numpy_rotate(x: Array, signs: Array, inverse: bool) -> Array:
    """One matrix product, as anybody does who has no fast transform at hand."""
    size = signs.shape[0]
    h: Array = np.array(hadamard(odd_factor(size)), np.float32)
    while h.shape[0] < size:
        h = np.kron(h, np.array([[1, 1], [1, -1]], np.float32))
    h = (h * signs if inverse else signs[:, None] * h) / np.sqrt(np.float32(size))
    return x @ h[: x.shape[1]]


@register(family="rotation", inputs=_inputs, variants=grid(inverse=(False, True)), peer=_numpy_rotate)
def hadamard_rotate(x: Array, signs: Array, inverse: bool = False, xp: Any = np) -> Array:
    """Signs, butterflies of stride 1, 2, 4 .., the factor of 12 or 20 row by row, the scale."""
    size = signs.shape[0]
    y = pad_columns(as_float32("hadamard_rotate", x, xp), size, xp)
    n, m = y.shape[0], odd_factor(size)
    if not inverse:
        y = y * signs
    for stride in (1 << i for i in range((size // m).bit_length() - 1)):
        y = y.reshape(n, size // (2 * stride), 2, stride)
        a, b = y[:, :, 0], y[:, :, 1]
        y = xp.stack([a + b, a - b], axis=2)
    y = y.reshape(n, m, size // m)
    blocks = []
    for row in hadamard(m):
        block = row[0] * y[:, 0]
        for j in range(1, m):
            block = block + row[j] * y[:, j]
        blocks.append(block)
    y = xp.stack(blocks, axis=1).reshape(n, size) * xp.float32(1 / np.sqrt(size))
    return y * signs if inverse else y


def _encode_inputs(x: Array, rng: np.random.Generator, bits: int) -> Arguments:
    arguments = _inputs(x, rng, False)
    del arguments["inverse"]
    size = arguments["signs"].shape[0]
    bound = np.abs(x).max(initial=0) * np.float32(2) + np.float32(1)
    lo, step = np.full(size, -bound), np.full(size, 2 * bound / (2**bits - 1))
    return {**arguments, "lo": lo.astype(np.float32), "step": step.astype(np.float32), "bits": bits}


@register(family="rotation", inputs=_encode_inputs, variants=grid(bits=BITS))
def hadamard_sq_encode(x: Array, signs: Array, lo: Array, step: Array, bits: int = 8, xp: Any = np) -> Array:
    """The rotation, then sq_encode."""
    as_float32("hadamard_sq_encode", x, xp)
    return sq_encode(hadamard_rotate(x, signs, xp=xp), lo, step, bits, xp=xp)
