"""Residual quantization (Chen, Guan and Wang, 2010), codebooks (m, 256, d) of codewords that add up."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32, dot16
from embcodec.reference._registry import Arguments, grid, register
from embcodec.reference.cluster import some_codebook
from embcodec.reference.projection import project

WORDS = 256
_KINDS = {"m": (3, 1), "beam": (32, 5)}
_TOGETHER = 512


def _codebooks(x: Array, rng: np.random.Generator, m: int) -> Array:
    """Each half as large as the one before."""
    return np.stack([some_codebook(x, rng, WORDS) * np.float32(0.5**s) for s in range(m)])


def _encode_inputs(x: Array, rng: np.random.Generator, m: int, beam: int = 32) -> Arguments:
    codebooks = _codebooks(x, rng, m)
    with np.errstate(over="ignore", invalid="ignore"):
        pairs = [codebooks[t] @ codebooks[s].T for s in range(m) for t in range(s)]
    products = np.nan_to_num(np.array(pairs, np.float32).reshape(-1, WORDS, WORDS))
    return {"x": x, "codebooks": codebooks, "products": products, "beam": beam}


def _decode_inputs(x: Array, rng: np.random.Generator, m: int) -> Arguments:
    codes = rng.integers(WORDS, size=(x.shape[0], m), dtype=np.uint8)
    return {"codes": codes, "codebooks": _codebooks(x, rng, m)}


def _numpy_paths(x: Array, codebooks: Array, products: Array, beam: int) -> Array:
    """A beam over what is left of the rows, so many at a time that this does not fill the memory."""
    parts = [_paths_of_some(x[i : i + _TOGETHER], codebooks, beam) for i in range(0, len(x), _TOGETHER)]
    return np.concatenate([np.empty((0, beam, len(codebooks)), np.uint8), *parts])


def _paths_of_some(x: Array, codebooks: Array, beam: int) -> Array:
    paths, left = np.zeros((len(x), 1, 0), np.uint8), x[:, None]
    for codebook in codebooks:
        values = (codebook * codebook).sum(axis=1) - 2 * left @ codebook.T
        values += (left * left).sum(axis=2)[:, :, None]
        flat = values.reshape(len(x), -1)
        best = np.argpartition(flat, min(beam, flat.shape[1] - 1), axis=1)[:, :beam]
        order = np.argsort(np.take_along_axis(flat, best, 1), axis=1)
        parent, word = np.divmod(np.take_along_axis(best, order, 1), WORDS)
        rows = np.arange(len(x))[:, None]
        paths = np.concatenate([paths[rows, parent], word[:, :, None].astype(np.uint8)], axis=2)
        left = left[rows, parent] - codebook[word]
    return paths


def _numpy_encode(x: Array, codebooks: Array, products: Array, beam: int) -> Array:
    return _numpy_paths(x, codebooks, products, beam)[:, 0]


def _numpy_decode(codes: Array, codebooks: Array) -> Array:
    return codebooks[np.arange(len(codebooks)), codes].sum(axis=1)


def rq_products(codebooks: Array, xp: Any = np) -> Array:
    """The codewords of all earlier stages, projected on each stage's. Not in the registry: `project` is."""
    m, words, d = codebooks.shape
    found = [xp.empty((0, words, words), xp.float32)]
    for s in range(1, m):
        earlier = codebooks[:s].reshape(s * words, d)
        found.append(project(earlier, codebooks[s].T, xp=xp).reshape(s, words, words))
    return xp.concatenate(found)


@register(family="rq", inputs=_encode_inputs, variants=grid(**_KINDS), peer=_numpy_encode)
def rq_encode(x: Array, codebooks: Array, products: Array, beam: int = 32, xp: Any = np) -> Array:
    """The first of `rq_beam`."""
    return xp.ascontiguousarray(rq_beam(x, codebooks, products, beam, xp=xp)[:, 0])


@register(family="rq", inputs=_encode_inputs, variants=grid(**_KINDS), peer=_numpy_paths)
def rq_beam(x: Array, codebooks: Array, products: Array, beam: int = 32, xp: Any = np) -> Array:
    """Stage by stage, all codewords behind each path: half of what they add to the squared length left.

    That is |c|^2/2 - x.c, then the products of c with the path's codewords in order, then the path's own.
    """
    m, _, d = codebooks.shape
    x = as_float32("rq_beam", x, xp)
    n = x.shape[0]
    half = dot16(codebooks, codebooks, xp) * xp.float32(0.5)
    alone = half[None] - project(x, codebooks.reshape(m * WORDS, d).T, xp=xp).reshape(n, m, WORDS)
    costs, paths = xp.zeros((n, 1), xp.float32), xp.zeros((n, 1, 0), xp.uint8)
    rows = xp.arange(n)[:, None]
    for s in range(m):
        values = alone[:, None, s]
        for t in range(s):
            values = values + products[s * (s - 1) // 2 + t][paths[:, :, t]]
        values = (values + costs[:, :, None]).reshape(n, costs.shape[1] * WORDS)
        values = xp.where(xp.isnan(values), xp.float32(np.inf), values)
        best = xp.argsort(values, axis=1, kind="stable")[:, :beam]
        costs = values[rows, best]
        words = (best % WORDS).astype(xp.uint8)
        paths = xp.concatenate([paths[rows, best // WORDS], words[:, :, None]], axis=2)
    return paths


@register(family="rq", inputs=_decode_inputs, variants=grid(m=(3, 1)), peer=_numpy_decode)
def rq_decode(codes: Array, codebooks: Array, xp: Any = np) -> Array:
    """The codewords added up in order of the stages."""
    x = codebooks[0][codes[:, 0]]
    for s in range(1, codebooks.shape[0]):
        x = x + codebooks[s][codes[:, s]]
    return x
