"""Vector quantization: k-means (Lloyd, 1982) and the nearest codeword."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from embcodec.reference._common import Array, as_float32
from embcodec.reference._registry import Arguments, grid, register

TOLERANCE = 1e-5  # a chosen codeword's distance is at most (1 + TOLERANCE) of the best one's
INERTIA_TOLERANCE = 1e-3  # near-optimal assignments lead to other means, so k-means is held to its result
_CHUNK = 1 << 22  # elements of the largest temporary


def _splitmix64(seed: int) -> Iterator[int]:
    """The generator of Steele, Lea and Flood (2014)."""
    word = (1 << 64) - 1
    while True:
        seed = seed + 0x9E3779B97F4A7C15 & word
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & word
        z = (z ^ z >> 27) * 0x94D049BB133111EB & word
        yield z ^ z >> 31


def initial_rows(n: int, k: int, seed: int) -> list[int]:
    """k distinct rows out of n: the start of a Fisher-Yates shuffle."""
    rows, generator = list(range(n)), _splitmix64(seed)
    for i in range(k):
        j = i + next(generator) % (n - i)
        rows[i], rows[j] = rows[j], rows[i]
    return rows[:k]


def distances(x: Array, codebook: Array, xp: Any) -> Iterator[Array]:
    """Squared distances (rows, k) in float64, in chunks of rows; never by way of |x|^2 - 2xc + |c|^2."""
    rows = max(1, _CHUNK // codebook.size)
    wide = codebook.astype(xp.float64)
    for start in range(0, x.shape[0], rows):
        difference = x[start : start + rows, None, :].astype(xp.float64) - wide
        yield xp.einsum("nkd,nkd->nk", difference, difference)


def nearest(x: Array, codebook: Array, xp: Any) -> tuple[Array, Array]:
    """Ids int32 (n,) of the nearest codewords, and the squared distances to them."""
    ids, best = [xp.empty(0, xp.int32)], [xp.empty(0, xp.float64)]
    for chunk in distances(x, codebook, xp):
        ids.append(chunk.argmin(axis=1).astype(xp.int32))
        best.append(chunk.min(axis=1))
    return xp.concatenate(ids), xp.concatenate(best)


def _means(x: Array, ids: Array, distance: Array, k: int, xp: Any) -> Array:
    """New codewords; an empty cluster becomes the row farthest from its codeword, each row once."""
    d = x.shape[1]
    places = ids[:, None].astype(xp.int64) * d + xp.arange(d)
    sums = xp.bincount(places.reshape(-1), x.reshape(-1), k * d).reshape(k, d)
    counts = xp.bincount(ids, minlength=k)
    codebook = (sums / xp.maximum(counts, 1)[:, None]).astype(xp.float32)
    empty = xp.flatnonzero(counts == 0)
    codebook[empty] = x[xp.argsort(-distance, kind="stable")[: empty.shape[0]]]
    return codebook


def assert_nearest(x: Array, codebook: Array, ids: Array) -> None:
    """Every chosen codeword is near-optimal, and the first of its equals.

    Squares below or beyond float32's range count as 0 and as infinity.
    """
    limits = np.finfo(np.float32)
    squares = np.concatenate([np.empty((0, codebook.shape[0])), *distances(x, codebook, np)])
    squares = np.minimum(squares, limits.max)
    chosen = np.take_along_axis(squares, ids[:, None].astype(np.int64), axis=1)[:, 0]
    allowed = squares.min(axis=1) * (1 + TOLERANCE) + x.shape[1] * float(limits.tiny)
    assert (chosen <= allowed).all(), f"rows {np.flatnonzero(chosen > allowed)[:5]} have nearer codewords"
    _, first, equals = np.unique(codebook, axis=0, return_index=True, return_inverse=True)
    lowest = first[equals.reshape(-1)]
    assert (lowest[ids] == ids).all(), "a codeword with the same values has a lower id"


def assert_inertia(got: float, want: float, x: Array) -> None:
    """A fit is as good as the reference's, or better."""
    limits = np.finfo(np.float32)
    allowed = (1 + INERTIA_TOLERANCE) * want + x.size * float(limits.tiny)
    assert got <= allowed or got > float(limits.max), f"inertia {got}, the reference has {want}"


def _check_ids(inputs: Arguments, got: Array, want: Array) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if (got != want).any():
        assert_nearest(inputs["x"], inputs["codebook"], got)


def _check_fit(inputs: Arguments, got: Any, want: Any) -> None:
    (codebook, ids, inertia), x = got, inputs["x"]
    assert codebook.dtype == np.float32
    assert codebook.shape == want[0].shape
    if (ids != want[1]).any() or (codebook != want[0]).any():
        assert_nearest(x, codebook, ids)
    difference = x.astype(np.float64) - codebook[ids]
    np.testing.assert_allclose(inertia, (difference * difference).sum(), rtol=1e-9)
    assert_inertia(inertia, want[2], x)


def _fit_inputs(x: Array, rng: np.random.Generator, k: int, given: bool) -> Arguments | None:
    if not x.shape[0]:
        return None
    k = min(k, x.shape[0])
    init = some_codebook(x, rng, k) if given else None
    return {"x": x, "k": k, "iterations": 8, "seed": 7, "init": init}


def some_codebook(x: Array, rng: np.random.Generator, k: int) -> Array:
    """k codewords: rows of x, every second one moved, some of them equal."""
    noise = rng.standard_normal((k, x.shape[1]), np.float32)
    if not x.shape[0]:
        return noise
    noise[1::2] = 0
    return x[rng.integers(x.shape[0], size=k)] + noise


def _encode_inputs(x: Array, rng: np.random.Generator, k: int) -> Arguments:
    return {"x": x, "codebook": some_codebook(x, rng, k)}


def numpy_nearest(x: Array, codebook: Array) -> Array:
    """The nearest codewords through BLAS."""
    squares = np.einsum("kd,kd->k", codebook, codebook)
    return (squares - 2 * (x @ codebook.T)).argmin(axis=1).astype(np.int32)


def numpy_kmeans(x: Array, k: int, iterations: int, seed: int, init: Array | None = None) -> Any:
    """Lloyd's iterations through BLAS."""
    rows = np.random.default_rng(seed).choice(x.shape[0], k, replace=False)
    codebook = x[rows] if init is None else init.copy()
    for _ in range(iterations):
        ids = numpy_nearest(x, codebook)
        order = np.argsort(ids, kind="stable")
        present, starts = np.unique(ids[order], return_index=True)
        counts = np.diff(np.append(starts, ids.size))
        codebook[present] = np.add.reduceat(x[order], starts, axis=0) / counts[:, None]
    ids = numpy_nearest(x, codebook)
    return codebook, ids, float(((x - codebook[ids]) ** 2).sum())


@register(
    family="cluster",
    inputs=_fit_inputs,
    variants=grid(k=(1, 16, 256), given=(False, True)),
    check=_check_fit,
    peer=numpy_kmeans,
)
def kmeans_fit(
    x: Array, k: int, iterations: int = 25, seed: int = 0, init: Array | None = None, xp: Any = np
) -> tuple[Array, Array, float]:
    """Lloyd's iterations from seeded rows, or from `init`."""
    x = as_float32("kmeans_fit", x, xp)
    codebook = x[xp.asarray(initial_rows(x.shape[0], k, seed))] if init is None else init
    ids, distance = nearest(x, codebook, xp)
    for _ in range(iterations):
        codebook = _means(x, ids, distance, k, xp)
        before = ids
        ids, distance = nearest(x, codebook, xp)
        if (ids == before).all():
            break
    return codebook, ids, float(distance.sum())


@register(
    family="cluster",
    inputs=_encode_inputs,
    variants=grid(k=(1, 16, 256)),
    check=_check_ids,
    peer=numpy_nearest,
)
def vq_encode(x: Array, codebook: Array, xp: Any = np) -> Array:
    """The id of the nearest codeword."""
    return nearest(as_float32("vq_encode", x, xp), codebook, xp)[0]
