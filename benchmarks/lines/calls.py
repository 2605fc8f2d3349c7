"""Lines of one query over a thousand rows: what the Python around a kernel costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from embcodec import Codec, _native, kernels

from .base import FAISS, Call, Contest, Data, Goal, K, Line, installed

ROWS = 1000


def _contest(data: Data, call: Callable[[Any, Any, Any], Call]) -> Contest:
    """call(codec, codes, query) is our call."""
    x, q = data.head(ROWS), data.queries[:1]
    codec = Codec("SQ8").fit(x)
    coder, codes = codec._chain.coder, codec.encode(x)
    scores, ids = np.empty((1, K), np.float32), np.empty((1, K), np.int64)
    arguments = codes, coder.lo, coder.step, q, K, 8, 0, None, scores, ids, data.threads, -1
    peers: dict[str, Call] = {}
    if installed("faiss"):
        import faiss

        index = faiss.IndexScalarQuantizer(data.d, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        index.train(x)
        index.add(x)
        peers[FAISS] = lambda: index.search(q, K)
    return Contest(call(codec, codes, q), peers, kernel=lambda: _native.sq_topk(*arguments))


def kernel(data: Data) -> Contest:
    def call(codec: Any, codes: Any, q: Any) -> Call:
        lo, step = codec._chain.coder.lo, codec._chain.coder.step
        return lambda: kernels.sq_topk(codes, lo, step, q, K, threads=data.threads)

    return _contest(data, call)


def search(data: Data) -> Contest:
    return _contest(data, lambda codec, codes, q: lambda: codec.search(codes, q, K, threads=data.threads))


LINES = (
    Line("call overhead of sq_topk, 1,000 rows", Goal("overhead", 10e-6), kernel),
    Line("call overhead of Codec.search, 1,000 rows", Goal("overhead", 10e-6), search),
)
