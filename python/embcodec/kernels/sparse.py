"""Sparse codes: the k values of largest magnitude in a row, with their indices in ascending order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I64, Bools, Floats

Indices = NDArray[Any]  # uint16 where d <= 65536, else uint32


def _index_dtype(d: int) -> np.dtype[Any]:
    return _checks.UINT16 if d <= 65536 else _checks.UINT32


def topk_encode(
    x: Floats,
    k: int,
    *,
    out: tuple[Indices, F32] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[Indices, F32]:
    """Keep the k values of largest magnitude in each row, ties to the lower index.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        k: values to keep, 1 to d.
        out: uint16 (uint32 where d > 65536) (n, k) and float32 (n, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Indices uint16 (uint32 where d > 65536) (n, k), ascending, and the values float32 (n, k): 6 (8) k
        bytes a row.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or k other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("topk_encode", "x", x, "n", "d")
    n, d = x.shape
    k = _checks.count("topk_encode", "k", k, d, "the dimensions")
    out = _checks.outputs("topk_encode", out, x, (_index_dtype(d), n, k), (_checks.FLOAT32, n, k))
    run("topk_encode", (x, k), out, threads, isa, stream)
    return out


def topk_decode(
    indices: Indices,
    values: F32,
    d: int,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The dense rows of sparse codes.

    Args:
        indices: uint16 (uint32 where d > 65536) (n, k), in each row ascending, distinct and below d.
        values: float32 (n, k).
        d: dimensions.
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or d other than these; indices other than these, with their row.
        BackendUnavailableError: isa cannot run here.
    """
    d = _checks.at_least("topk_decode", "d", d, 1)
    indices, values = _entries("topk_decode", indices, values, d)
    out = _checks.output("topk_decode", out, indices, _checks.FLOAT32, len(indices), d)
    run("topk_decode", (indices, values, d), (out,), threads, isa, stream)
    return out


def sparse_topk(
    indices: Indices,
    values: F32,
    queries: Floats,
    k: int,
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k sparse codes that score best against each dense query.

    Args:
        indices: uint16 (uint32 where d > 65536) (n, entries), in each row ascending, distinct and below d.
        values: float32 (n, entries).
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k) and row ids int64 (nq, k), as in `sq_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, metric or k other than these; indices other than these, with their row; a
            query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    queries = _checks.queries("sparse_topk", queries, indices, "d")
    nq, d = queries.shape
    indices, values = _entries("sparse_topk", indices, values, d)
    k, mask, out = _checks.search("sparse_topk", indices, nq, k, metric, mask, out)
    run("sparse_topk", (indices, values, queries, k, metric, mask), out, threads, isa, stream)
    return out


def _entries(kernel: str, indices: Indices, values: F32, d: int) -> tuple[Indices, F32]:
    indices = _checks.typed(kernel, "indices", indices, _index_dtype(d), "n", "k")
    values = _checks.typed(kernel, "values", values, _checks.FLOAT32, *indices.shape)
    _checks.count(kernel, "k", indices.shape[1], d, "the dimensions")
    return indices, values
