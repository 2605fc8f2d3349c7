"""Lines that search all rows, for one query and for a thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np

from embcodec import Codec, kernels

from .base import FAISS, FAST_SCAN, OURS, QUERIES, Contest, Data, Goal, K, Line, installed
from .codebooks import pq_codebooks
from .rows import HALVES

Search = Callable[[Any], Any]
"""Queries (nq, d) to ids (nq, 10)."""
Order = Literal["C", "F"]
"""In which order codes lie: "F", in column order, is for lookup tables what FAISS's blocks of 32 rows are."""
BATCH = 100  # queries at a time, for peers that hold a score for each row and query


def contest(data: Data, nq: int, ours: Search, peers: dict[str, Search]) -> Contest:
    """A search by each, over the first queries."""
    asked = data.queries[:nq]
    quality = {name: data.recall(search) for name, search in {OURS: ours, **peers}.items()}
    return Contest(
        lambda: ours(asked),
        {name: partial(search, asked) for name, search in peers.items()},
        rows=data.n * nq,
        quality=quality,
        measure="recall@10",
        prepared=frozenset({FAST_SCAN}),
    )


def _faiss(index: Any, x: Any, name: str = FAISS) -> dict[str, Search]:
    """FAISS's search of an index that has the rows."""
    index.add(x)
    return {name: lambda q: index.search(q, K)[1]}


def flat(data: Data, nq: int) -> Contest:
    x = data.x

    def numpy(q: Any) -> Any:
        batches = (q[i : i + BATCH] for i in range(0, len(q), BATCH))
        return np.concatenate([_best(b @ x.T) for b in batches])

    peers: dict[str, Search] = {"NumPy": numpy}
    if installed("faiss"):
        import faiss

        peers |= _faiss(faiss.IndexFlatIP(data.d), x)
    return contest(data, nq, lambda q: kernels.flat_topk(x, q, K, threads=data.threads)[1], peers)


def hamming(data: Data, nq: int) -> Contest:
    codes = kernels.bits_encode(data.x)
    peers: dict[str, Search] = {}
    if installed("faiss"):
        import faiss

        index = faiss.IndexBinaryFlat(data.d)
        index.add(codes)
        peers[FAISS] = lambda q: index.search(kernels.bits_encode(q), K)[1]
    ours: Search = lambda q: kernels.hamming_topk(  # noqa: E731
        codes, kernels.bits_encode(q), K, threads=data.threads
    )[1]
    return contest(data, nq, ours, peers)


def sq(data: Data, nq: int, bits: int) -> Contest:
    x = data.x
    coder = Codec(f"SQ{bits}").fit(x)._chain.coder
    codes = kernels.sq_encode(x, coder.lo, coder.step, bits)
    peers: dict[str, Search] = {}
    if installed("faiss"):
        import faiss

        kind = getattr(faiss.ScalarQuantizer, f"QT_{bits}bit")
        index = faiss.IndexScalarQuantizer(data.d, kind, faiss.METRIC_INNER_PRODUCT)
        index.train(x)
        peers |= _faiss(index, x)
    if bits == 8:
        peers |= _integers(data)
    ours: Search = lambda q: kernels.sq_topk(  # noqa: E731
        codes, coder.lo, coder.step, q, K, bits, threads=data.threads
    )[1]
    return contest(data, nq, ours, peers)


def half(data: Data, nq: int, spec: str) -> Contest:
    peers: dict[str, Search] = {}
    if installed("faiss"):
        import faiss

        kind = getattr(faiss.ScalarQuantizer, HALVES[spec][1])
        peers |= _faiss(faiss.IndexScalarQuantizer(data.d, kind, faiss.METRIC_INNER_PRODUCT), data.x)
    return contest(data, nq, _codec(data, spec), peers)


def _integers(data: Data) -> dict[str, Search]:
    """Peers that round the queries to 8 bits too, with one scale for all values."""
    scale = 127 / np.abs(data.x).max()
    x = np.rint(data.x * scale).astype(np.int8)

    def rounded(q: Any) -> Any:
        return np.rint(q * scale).clip(-127, 127).astype(np.int8)

    peers: dict[str, Search] = {}
    if installed("usearch"):
        from usearch.index import MetricKind, search

        def usearch(q: Any) -> Any:
            found = search(x, rounded(q), K, MetricKind.IP, exact=True, threads=data.threads)
            return np.asarray(found.keys).reshape(len(q), K)

        peers["usearch"] = usearch
    if installed("numkong") and data.threads == 1:  # it has no threads
        import numkong

        packed = numkong.dots_pack(x)

        def dots(q: Any) -> Any:
            batches = (rounded(q[i : i + BATCH]) for i in range(0, len(q), BATCH))
            return np.concatenate([_best(np.asarray(numkong.dots_packed(b, packed))) for b in batches])

        peers["NumKong"] = dots
    return peers


def _best(scores: Any) -> Any:
    """The ids of the K best of scores (nq, n), as NumPy users select them."""
    return np.argpartition(scores, -K, axis=1)[:, -K:]


def pq(data: Data, nq: int, bits: int, order: Order = "F") -> Contest:
    codebooks = pq_codebooks(data, bits)
    codes = np.asarray(kernels.pq_encode(data.x, codebooks), order=order)
    m = len(codebooks)
    peers: dict[str, Search] = {}
    if installed("faiss"):
        import faiss

        def search(kind: Any, name: str) -> dict[str, Search]:
            index = kind(data.d, m, bits, faiss.METRIC_INNER_PRODUCT)
            faiss.copy_array_to_vector(codebooks.ravel(), index.pq.centroids)
            index.is_trained = True
            return _faiss(index, data.x, name)

        if bits == 8 or order == "C":
            peers |= search(faiss.IndexPQ, FAISS)
        if bits == 4:
            peers |= search(faiss.IndexPQFastScan, FAST_SCAN if order == "C" else FAISS)
    ours: Search = lambda q: kernels.pq_topk(codes, codebooks, q, K, threads=data.threads)[1]  # noqa: E731
    return contest(data, nq, ours, peers)


def rabitq(data: Data, nq: int, order: Order = "F") -> Contest:
    peers: dict[str, Search] = {}
    if installed("faiss"):
        import faiss

        kinds = {FAISS: "RaBitQ", FAST_SCAN: "RaBitQfs"} if order == "C" else {FAISS: "RaBitQfs"}
        for name, kind in kinds.items():
            index = faiss.index_factory(data.d, f"RR{data.d},{kind}", faiss.METRIC_INNER_PRODUCT)
            index.train(data.x)
            peers |= _faiss(index, data.x, name)
    return contest(data, nq, _codec(data, "RaBitQ1", order), peers)


def levels(data: Data, nq: int) -> Contest:
    peers: dict[str, Search] = {}
    if installed("turbovec"):
        from turbovec import TurboQuantIndex

        index = TurboQuantIndex(dim=data.d, bit_width=4)
        index.calibrate(data.head(20_000))
        index.add(data.x)
        index.prepare()
        peers["turbovec"] = lambda q: index.search(q, K)[1]
    return contest(data, nq, _codec(data, "LM4"), peers)


def trellis(data: Data, nq: int) -> Contest:
    return contest(data, nq, _codec(data, "TCQ2"), {})


def _codec(data: Data, spec: str, order: Order = "C") -> Search:
    codec = Codec(spec).fit(data.head(20_000))
    codes = np.asarray(codec.encode(data.x), order=order)
    return lambda q: codec.search(codes, q, K, threads=data.threads)[1]


def sparse(data: Data, nonzeros: int = 32, nq: int = 32) -> Contest:
    n, d = data.x.shape
    indices, values = kernels.topk_encode(data.x, nonzeros)
    peers: dict[str, Search] = {}
    if installed("scipy"):
        from scipy.sparse import csr_array

        begins = np.arange(0, n * nonzeros + 1, nonzeros)
        matrix = csr_array((values.ravel(), indices.ravel().astype(np.int32), begins), shape=(n, d))
        peers["SciPy"] = lambda q: _best(np.ascontiguousarray((matrix @ np.ascontiguousarray(q.T)).T))
    ours: Search = lambda q: kernels.sparse_topk(indices, values, q, K, threads=data.threads)[1]  # noqa: E731
    return contest(data, nq, ours, peers)


def trellis_encode(data: Data) -> Contest:
    x = data.head(20_000)
    codec = Codec("TCQ2").fit(x)
    return Contest(lambda: codec.encode(x), rows=len(x))


def _both(name: str, make: Callable[[Data, int], Contest], one: Goal, many: Goal) -> Iterator[Line]:
    for nq, goal in ((1, one), (QUERIES, many)):
        yield Line(f"{name}, {nq} quer{'y' if nq == 1 else 'ies'}", goal, partial(_asked, make, nq))


def _row_order(name: str, make: Callable[..., Contest], goal: float) -> Line:
    return Line(
        f"{name}, 1 query, row order", Goal("ratio", goal), partial(_asked, partial(make, order="C"), 1)
    )


def _asked(make: Callable[[Data, int], Contest], nq: int, data: Data) -> Contest:
    return make(data, nq)


LINES = (
    *_both("exact scan", flat, Goal("ratio", 1), Goal("ratio", 1)),
    *_both("Hamming scan", hamming, Goal("ratio", 1), Goal("ratio", 1)),
    *_both("F16 scan", partial(half, spec="F16"), Goal("ratio", 1), Goal("ratio", 1)),
    *_both("BF16 scan", partial(half, spec="BF16"), Goal("ratio", 1), Goal("ratio", 1)),
    *_both("SQ8 scan", partial(sq, bits=8), Goal("ratio", 1.6), Goal("ratio", 20)),
    *_both("SQ4 scan", partial(sq, bits=4), Goal("ratio", 10), Goal("ratio", 30)),
    *_both("PQ x8 scan", partial(pq, bits=8), Goal("ratio", 6), Goal("ratio", 6)),
    *_both("PQ x4 scan", partial(pq, bits=4), Goal("ratio", 1.2), Goal("ratio", 1.2)),
    *_both("RaBitQ 1-bit scan", rabitq, Goal("ratio", 2), Goal("ratio", 3)),
    _row_order("PQ x8 scan", partial(pq, bits=8), 6),
    _row_order("PQ x4 scan", partial(pq, bits=4), 1.2),
    _row_order("RaBitQ 1-bit scan", rabitq, 2),
    *_both("LM4 scan", levels, Goal("ratio", 1.2, "turbovec"), Goal("ratio", 1.5, "turbovec")),
    Line("sparse scan, 32 nonzeros, 32 queries", Goal("ratio", 4, "SciPy"), sparse),
    *_both("trellis scan at 2 bits", trellis, Goal("rate", 60e6), Goal("rate", 240e6)),
    Line("trellis encode at 2 bits, 20,000 rows", Goal("rate", 40e3), trellis_encode),
)
