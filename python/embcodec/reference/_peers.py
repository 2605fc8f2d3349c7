"""What the peers share: the same jobs as NumPy users do them, by BLAS, argpartition and fancy indexing."""

from __future__ import annotations

from typing import Any

import numpy as np


def numpy_topk(scores: Any, k: int, mask: Any) -> tuple[Any, Any]:
    """The k best of scores (nq, n), selected and sorted as NumPy users do it: the peers' last step."""
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    ids = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(scores, ids, axis=1)
    order = np.argsort(-found, axis=1)
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(ids, order, axis=1)


def numpy_scan(x: Any, queries: Any, k: int, metric: str, mask: Any) -> tuple[Any, Any]:
    """Exact search over rows x (n, d) through BLAS."""
    scores = queries @ x.T
    if metric == "l2":
        squares = np.einsum("nd,nd->n", x, x)
        scores = 2 * scores - squares - np.einsum("qd,qd->q", queries, queries)[:, None]
    if metric == "cosine":
        norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(x, axis=1)
        scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms != 0)
    return numpy_topk(scores, k, mask)


def numpy_pack(values: Any, bits: int) -> Any:
    """Codes as packed bytes: nibbles by shifting, other widths through single bits."""
    if bits == 8:
        return values
    n, d = values.shape
    if bits == 4:
        values = np.pad(values, ((0, 0), (0, d % 2)))
        return values[:, ::2] | values[:, 1::2] << 4
    singles = np.unpackbits(values[:, :, None], axis=2, count=bits, bitorder="little")
    return np.packbits(singles.reshape(n, d * bits), axis=1, bitorder="little")


def numpy_unpack(codes: Any, d: int, bits: int) -> Any:
    """The values of packed codes."""
    if bits == 8:
        return codes
    n = codes.shape[0]
    if bits == 4:
        return np.stack([codes & 15, codes >> 4], axis=2).reshape(n, -1)[:, :d]
    singles = np.unpackbits(codes, axis=1, count=d * bits, bitorder="little").reshape(n, d, bits)
    return np.packbits(singles, axis=2, bitorder="little")[:, :, 0]
