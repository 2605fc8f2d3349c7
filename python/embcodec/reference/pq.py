"""Product quantization (Jegou, Douze and Schmid, 2011), codebooks (m, ksub, dsub) of 16 or 256 codewords."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec.reference._common import (
    Array,
    as_float32,
    cosine,
    dot16,
    fused,
    pack,
    scan,
    topk,
    unpack,
    with_extras,
)
from embcodec.reference._peers import numpy_pack, numpy_scan, numpy_topk, numpy_unpack
from embcodec.reference._registry import METRICS, SEARCHES, Arguments, grid, register, search, some_extras
from embcodec.reference.cluster import (
    assert_inertia,
    assert_nearest,
    kmeans_fit,
    nearest,
    numpy_kmeans,
    numpy_nearest,
    some_codebook,
)

KINDS = {"bits": (8, 4), "widest": (8, 1, 1024)}  # widest: dsub is the largest divisor of d up to this


def bits_of(codebooks: Array) -> int:
    """4 for 16 codewords in a subspace, 8 for 256."""
    return int(codebooks.shape[1]).bit_length() - 1


def _subspaces(x: Array, m: int) -> Array:
    return x.reshape(x.shape[0], m, x.shape[1] // m).swapaxes(0, 1)


def _m(d: int, widest: int) -> int:
    return d // max(i for i in range(1, min(d, widest) + 1) if d % i == 0)


def _codebooks(x: Array, rng: np.random.Generator, bits: int, widest: int) -> Array:
    m = _m(x.shape[1], widest)
    whole = some_codebook(x, rng, 2**bits)
    return np.ascontiguousarray(_subspaces(whole, m))


def _encode_inputs(x: Array, rng: np.random.Generator, **kind: int) -> Arguments:
    return {"x": x, "codebooks": _codebooks(x, rng, **kind)}


def _codes(x: Array, rng: np.random.Generator, **kind: int) -> Arguments:
    codebooks = _codebooks(x, rng, **kind)
    m, ksub, _ = codebooks.shape
    values = rng.integers(ksub, size=(x.shape[0], m), dtype=np.uint8)
    return {"codes": pack(values, kind["bits"], np), "codebooks": codebooks}


def _tables_inputs(x: Array, rng: np.random.Generator, metric: str, **kind: int) -> Arguments:
    return {"queries": x[:1024], "codebooks": _codebooks(x, rng, **kind), "metric": metric}


def _topk_inputs(
    x: Array, rng: np.random.Generator, metric: str, masked: bool, extras: bool = False, **kind: int
) -> Arguments | None:
    if not x.shape[0]:
        return None
    arguments = {**_codes(x, rng, **kind), **search(x, rng, masked, metric=metric)}
    if extras:
        arguments.update(some_extras(x, rng))
        del arguments["factor"]
    return arguments


def _fit_inputs(x: Array, rng: np.random.Generator, bits: int, most: int) -> Arguments | None:
    """Rows are repeated where they are fewer than codewords, so that clusters run empty; not wide ones."""
    n, d = x.shape
    if not n or (n < 2**bits and d > 64):
        return None
    x = np.resize(x, (max(n, 2**bits), d))
    m = max(i for i in range(1, min(d, most) + 1) if d % i == 0)
    return {"x": x, "m": m, "bits": bits, "iterations": 4, "seed": 7}


def _check_codes(inputs: Arguments, got: Array, want: Array) -> None:
    codebooks = inputs["codebooks"]
    m = codebooks.shape[0]
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if (got == want).all():
        return
    ids = unpack(got, m, bits_of(codebooks), np)
    assert (pack(ids, bits_of(codebooks), np) == got).all(), "padding bits are not 0"
    for part, codebook, column in zip(_subspaces(inputs["x"], m), codebooks, ids.T):
        assert_nearest(part, codebook, column)


def _check_fit(inputs: Arguments, got: Array, want: Array) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if (got == want).all():
        return
    for part, codebook, wanted in zip(_subspaces(inputs["x"], inputs["m"]), got, want):
        assert_inertia(nearest(part, codebook, np)[1].sum(), nearest(part, wanted, np)[1].sum(), part)


def _numpy_fit(x: Array, m: int, bits: int, iterations: int, seed: int) -> Array:
    return np.stack([numpy_kmeans(part, 2**bits, iterations, seed)[0] for part in _subspaces(x, m)])


def _numpy_encode(x: Array, codebooks: Array) -> Array:
    parts = _subspaces(x, codebooks.shape[0])
    ids = [numpy_nearest(part, codebook) for part, codebook in zip(parts, codebooks)]
    return numpy_pack(np.stack(ids, axis=1).astype(np.uint8), bits_of(codebooks))


def _numpy_decode(codes: Array, codebooks: Array) -> Array:
    m = codebooks.shape[0]
    ids = numpy_unpack(codes, m, bits_of(codebooks))
    return codebooks[np.arange(m), ids].reshape(codes.shape[0], -1)


def _numpy_tables(queries: Array, codebooks: Array, metric: str) -> Array:
    parts = _subspaces(queries, codebooks.shape[0])
    ip = np.matmul(parts, codebooks.swapaxes(1, 2)).swapaxes(0, 1)
    if metric != "l2":
        return ip
    qq = (parts * parts).sum(axis=2).T[:, :, None]
    return qq - 2 * ip + (codebooks * codebooks).sum(axis=2)


def _numpy_pq_topk(
    codes: Array,
    codebooks: Array,
    queries: Array,
    k: int,
    metric: str,
    mask: Array,
    centroids: Array = None,
    centroid: Array = None,
) -> Any:
    if centroids is not None and metric != "ip":
        rows = _numpy_decode(codes, codebooks) + centroids[0 if centroid is None else centroid]
        return numpy_scan(rows, queries, k, metric, mask)
    m = codebooks.shape[0]
    ids = numpy_unpack(codes, m, bits_of(codebooks)).T
    subspaces = np.arange(m)[:, None]
    tables = _numpy_tables(queries, codebooks, metric)
    scores = np.stack([table[subspaces, ids].sum(axis=0) for table in tables])
    if centroids is not None:
        scores += (queries @ centroids.T)[:, centroid]
    if metric == "cosine":
        squares = (codebooks * codebooks).sum(axis=2)[subspaces, ids].sum(axis=0)
        norms = np.linalg.norm(queries, axis=1)[:, None] * np.sqrt(squares)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms != 0)
    return numpy_topk(-scores if metric == "l2" else scores, k, mask)


@register(
    family="pq",
    inputs=_fit_inputs,
    variants=grid(bits=(8, 4), most=(8, 1)),
    check=_check_fit,
    peer=_numpy_fit,
)
def pq_fit(x: Array, m: int, bits: int = 8, iterations: int = 25, seed: int = 0, xp: Any = np) -> Array:
    """k-means in each subspace."""
    parts = _subspaces(as_float32("pq_fit", x, xp), m)
    return xp.stack(
        [kmeans_fit(part, 2**bits, iterations, seed + i, xp=xp)[0] for i, part in enumerate(parts)]
    )


@register(family="pq", inputs=_encode_inputs, variants=grid(**KINDS), check=_check_codes, peer=_numpy_encode)
def pq_encode(x: Array, codebooks: Array, xp: Any = np) -> Array:
    """The nearest codeword in each subspace, packed."""
    parts = _subspaces(as_float32("pq_encode", x, xp), codebooks.shape[0])
    ids = [nearest(part, codebook, xp)[0] for part, codebook in zip(parts, codebooks)]
    return pack(xp.stack(ids, axis=1).astype(xp.uint8), bits_of(codebooks), xp)


@register(family="pq", inputs=_codes, variants=grid(**KINDS), peer=_numpy_decode)
def pq_decode(codes: Array, codebooks: Array, xp: Any = np) -> Array:
    """The codewords side by side."""
    m, _, dsub = codebooks.shape
    ids = unpack(codes, m, bits_of(codebooks), xp)
    return codebooks[xp.arange(m), ids].reshape(codes.shape[0], m * dsub)


@register(family="pq", inputs=_tables_inputs, variants=grid(metric=METRICS, **KINDS), peer=_numpy_tables)
def pq_tables(queries: Array, codebooks: Array, metric: str = "ip", xp: Any = np) -> Array:
    """Sums over the dimensions of a subspace, in order, by fused multiply-add."""
    m, ksub, dsub = codebooks.shape
    parts = queries.reshape(queries.shape[0], m, 1, dsub)
    tables = xp.zeros((queries.shape[0], m, ksub), xp.float32)
    for i in range(dsub):
        q, c = parts[:, :, :, i], codebooks[:, :, i]
        if metric == "l2":
            q = c = q - c
        tables = fused(q, c, tables, xp)
    return tables


@register(
    family="pq",
    inputs=_topk_inputs,
    variants=(
        *grid(**KINDS, **SEARCHES),
        *grid(**KINDS, **SEARCHES, extras=(True,)),
    ),
    peer=_numpy_pq_topk,
)
def pq_topk(
    codes: Array,
    codebooks: Array,
    queries: Array,
    k: int,
    metric: str = "ip",
    mask: Array | None = None,
    centroids: Array | None = None,
    centroid: Array | None = None,
    xp: Any = np,
) -> tuple[Array, Array]:
    """Search by sums of table entries over the subspaces, in order, then the product with the centroid.

    With centroids, metrics other than "ip" are those of the decoded rows plus their centroids.
    """
    if centroids is not None and metric != "ip":
        rows = with_extras(pq_decode(codes, codebooks, xp=xp), None, centroids, centroid)
        return scan(rows, queries, k, metric, mask, xp)
    n, m = codes.shape[0], codebooks.shape[0]
    ids = unpack(codes, m, bits_of(codebooks), xp)

    def gather(table: Array) -> Array:
        """The sum over subspaces, in order, of the entries that each row's code picks."""
        total = xp.zeros(n, xp.float32)
        for row, column in zip(table, ids.T):
            total = total + row[column]
        return total

    norms = gather(_squared_norms(codebooks, xp))

    def scores(q: Array) -> Array:
        total = gather(pq_tables(q[None], codebooks, metric, xp=xp)[0])
        if centroids is not None:
            products = dot16(centroids, q, xp)
            total = total + (products[0] if centroid is None else products[centroid])
        if metric == "ip":
            return total
        if metric == "l2":
            return -total
        return cosine(total, xp.sqrt(dot16(q, q, xp)) * xp.sqrt(norms), xp)

    return topk(scores, queries, k, mask, xp)


def _squared_norms(codebooks: Array, xp: Any) -> Array:
    total = xp.zeros(codebooks.shape[:2], xp.float32)
    for i in range(codebooks.shape[2]):
        total = fused(codebooks[:, :, i], codebooks[:, :, i], total, xp)
    return total
