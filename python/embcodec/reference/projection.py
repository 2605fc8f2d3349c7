"""Rows times a matrix, with one order of sums for any number of rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, fused
from embcodec.reference._registry import Arguments, grid, register


def _inputs(x: Array, rng: np.random.Generator, columns: int, centred: bool) -> Arguments:
    d = x.shape[1]
    return {
        "x": x,
        "matrix": rng.standard_normal((d, columns), np.float32),
        "mean": rng.standard_normal(d, np.float32) if centred else None,
    }


def _numpy_project(x: Array, matrix: Array, mean: Array | None) -> Array:
    return (x if mean is None else x - mean) @ matrix


@register(
    family="projection",
    inputs=_inputs,
    variants=grid(columns=(128, 1, 37), centred=(True, False)),
    peer=_numpy_project,
)
def project(x: Array, matrix: Array, mean: Array | None = None, xp: Any = np) -> Array:
    """Each value a sum by fused multiply-add, in order of dimension."""
    x = as_float32("project", x, xp)
    if mean is not None:
        x = x - mean
    y = xp.zeros((x.shape[0], matrix.shape[1]), xp.float32)
    for j in range(matrix.shape[0]):
        y = fused(x[:, j, None], matrix[None, j], y, xp)
    return y
