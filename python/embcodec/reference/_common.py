"""What the families share: summation order, total order of scores, bit packing.

Everything is written over `xp` (NumPy, or CuPy with the same text) and in float32, one rounding an operation:
these functions define the bits of every result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any  # of xp

LANES = 16
NON_FINITE = "x has a non-finite value in row {row}"
NON_FINITE_CODES = "codes have a non-finite value in row {row}"
DISORDER = "indices must ascend and be below {d}, row {row} does not"


def as_float32(kernel: str, x: Array, xp: Any) -> Array:
    """The matrix in float32; ValueError names the lowest row with a value that is not finite."""
    x = x.astype(xp.float32, order="C")
    refuse_rows(kernel, NON_FINITE, ~xp.isfinite(x).all(axis=1), xp)
    return x


def refuse_rows(kernel: str, message: str, bad: Array, xp: Any) -> None:
    """ValueError for the lowest row of bad (n,) bool, if there is one."""
    if bad.any():
        raise ValueError(f"{kernel}: {message.format(row=int(xp.argmax(bad)))}")


def pad_columns(x: Array, columns: int, xp: Any) -> Array:
    """Zero columns appended up to the wanted number."""
    if x.shape[-1] == columns:
        return x
    return xp.concatenate([x, xp.zeros((*x.shape[:-1], columns - x.shape[-1]), x.dtype)], axis=-1)


def fused(a: Array, b: Array, c: Array, xp: Any) -> Array:
    """a * b + c with one rounding, as a fused multiply-add instruction has it.

    In float64 the product is exact and the sum's error known; the sum rounded to odd (Boldo and Melquiond,
    2008) then rounds to float32 as the exact value does.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product, addend = a.astype(xp.float64) * b.astype(xp.float64), c.astype(xp.float64)
        total = product + addend
        moved = total - product
        error = (product - (total - moved)) + (addend - moved)
        bits = total.view(xp.int64)
        away = xp.where((error > 0) == (total > 0), 1, -1)
        to_odd = (error != 0) & (bits % 2 == 0) & xp.isfinite(total)
        return (bits + xp.where(to_odd, away, 0)).view(xp.float64).astype(xp.float32)


def _sum16(terms: Callable[[slice], Array], d: int, xp: Any) -> Array:
    """16 running sums over the dimensions, then a tree: 16 lanes to 8, 4, 2 and 1."""
    acc = xp.float32(0)
    for start in range(0, d, LANES):
        acc = acc + pad_columns(terms(slice(start, start + LANES)), LANES, xp)
    for half in (8, 4, 2, 1):
        acc = acc[..., :half] + acc[..., half : 2 * half]
    return acc[..., 0]


def dot16(a: Array, b: Array, xp: Any, dtype: Any = np.float32) -> Array:
    """Inner product over the last axis: a sum in this dtype of float32 products."""
    return _sum16(lambda step: (a[..., step] * b[..., step]).astype(dtype), a.shape[-1], xp)


def l2_16(a: Array, b: Array, xp: Any) -> Array:
    """Squared Euclidean distance over the last axis."""

    def terms(step: slice) -> Array:
        difference = a[..., step] - b[..., step]
        return difference * difference

    return _sum16(terms, a.shape[-1], xp)


def cosine(ip: Array, norms: Array, xp: Any) -> Array:
    """The inner product over the product of the norms; 0 where that product is 0."""
    return xp.where(norms == 0, xp.float32(0), ip / xp.where(norms == 0, xp.float32(1), norms))


def score(q: Array, x: Array, metric: str, xp: Any) -> Array:
    """Scores (n,) of the rows x (n, d) for one query q (d,): higher is better for every metric."""
    if metric == "l2":
        return -l2_16(q, x, xp)
    ip = dot16(q, x, xp)
    if metric == "ip":
        return ip
    return cosine(ip, xp.sqrt(dot16(q, q, xp)) * xp.sqrt(dot16(x, x, xp)), xp)


def top(scores: Array, k: int, mask: Array | None, xp: Any) -> tuple[Array, Array]:
    """The k best of scores (n,): score descending, then id ascending; id -1 and -inf where rows run out."""
    scores = xp.where(xp.isnan(scores), xp.float32(-np.inf), scores + xp.float32(0))
    ids = xp.argsort(-scores, kind="stable")
    ids = (ids if mask is None else ids[mask[ids]])[:k]
    rest = k - ids.shape[0]
    return (
        xp.concatenate([scores[ids], xp.full(rest, -np.inf, xp.float32)]),
        xp.concatenate([ids.astype(xp.int64), xp.full(rest, -1, xp.int64)]),
    )


def topk(
    scores: Callable[[Array], Array], queries: Array, k: int, mask: Array | None, xp: Any
) -> tuple[Array, Array]:
    """The k best rows for each query, from a function that scores all rows for one query."""
    found = [top(scores(q), k, mask, xp) for q in queries]
    if not found:
        return xp.empty((0, k), xp.float32), xp.empty((0, k), xp.int64)
    return xp.stack([s for s, _ in found]), xp.stack([i for _, i in found])


def scan(x: Array, queries: Array, k: int, metric: str, mask: Array | None, xp: Any) -> tuple[Array, Array]:
    """Exact search over decoded rows x (n, d): what every scan of reconstructing codes returns."""
    return topk(lambda q: score(q, x, metric, xp), queries, k, mask, xp)


def as_finite(factor: Array, xp: Any) -> Array:
    """Factors as float32; a float16 that is not finite is 0."""
    wide = factor.astype(xp.float32)
    return xp.where(xp.isfinite(wide), wide, xp.float32(0)) if factor.dtype == np.float16 else wide


def with_extras(x: Array, factor: Array | None, centroids: Array | None, centroid: Array | None) -> Array:
    """Decoded rows times the factor of each, plus its centroid, or codewords, where there are any."""
    if factor is not None:
        x = x * factor[:, None]
    if centroids is None:
        return x
    if centroids.ndim == 3:
        for codewords, chosen in zip(centroids, centroid.T):  # type: ignore[union-attr]
            x = x + codewords[chosen]
        return x
    return x + (centroids[0] if centroid is None else centroids[centroid])


def code_size(d: int, bits: int) -> int:
    """Bytes of a row of d packed codes."""
    return -(-d * bits // 8)


def pack(values: Array, bits: int, xp: Any) -> Array:
    """Codes (n, d) uint8 as an LSB-first bit stream, each row padded with 0 bits to whole bytes."""
    n, d = values.shape
    stream = (values[:, :, None] >> xp.arange(bits, dtype=xp.uint8) & xp.uint8(1)).reshape(n, d * bits)
    size = code_size(d, bits)
    stream = pad_columns(stream, 8 * size, xp).reshape(-1)
    return xp.packbits(stream, bitorder="little").reshape(n, size)


def unpack(codes: Array, d: int, bits: int, xp: Any) -> Array:
    """The values (n, d) uint8 of packed codes."""
    n = codes.shape[0]
    stream = xp.unpackbits(codes.reshape(-1), bitorder="little").reshape(n, codes.shape[1] * 8)
    stream = stream[:, : d * bits].reshape(n, d, bits)
    return (stream << xp.arange(bits, dtype=xp.uint8)).sum(axis=2, dtype=xp.uint8)
