"""FAISS (Douze et al., The Faiss library, 2024): SQ, PQ, OPQ, RQ, IVF with PQ, RaBitQ, TurboQuant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import faiss
import numpy as np

from .base import F32, I64, Decoding, Peer, Setting

# FAISS's own are 50 iterations for OPQ, a beam of 5 and 25 k-means iterations for RQ: hours on one core.
OPQ_ITERATIONS = 15
RQ_FIT_BEAM, RQ_FIT_ITERATIONS, RQ_BEAM = 2, 10, 8
RQ_STAGES = 12  # of each part of a product residual quantizer
LISTS, MANY_LISTS = 256, 8192
SQ_QUANTILE = 0.005
SEED = 1

# The default of FAISS 1.15 keeps matrix products out of k-means: PQ would fit 6 times slower.
faiss.cvar.distance_compute_blas_threshold = 20


class Index(Decoding):
    """An index of `faiss.index_factory`, searched by its decoded rows.

    By the inner product that finds what FAISS's own search finds, up to rounding; other metrics only add.

    Args:
        factory: the index's description.
        d: dimensions of the rows.
        width: dimensions of the index; rows are padded with zeros, as PQ wants a multiple of its subspaces.
    """

    def __init__(self, factory: str, d: int, width: int) -> None:
        # np: without polysemous training, which orders the codewords for another search and takes minutes
        self.index: Any = faiss.index_factory(width, f"{factory}np" if ",PQ" in f",{factory}" else factory)
        self.d, self.width = d, width
        self.codes: Any = None

    def prepared(self, x: F32) -> F32:
        """The rows as the index takes them."""
        return np.pad(x, ((0, 0), (0, self.width - self.d))) if self.width > self.d else x

    def fit(self, x: F32) -> None:
        self.index.train(self.prepared(x))

    def encode(self, x: F32) -> float:
        self.codes = self.index.sa_encode(self.prepared(x))
        return int(self.index.sa_code_size())

    def decode(self) -> F32:
        return np.ascontiguousarray(self.index.sa_decode(self.codes)[:, : self.d])


class ClippedSQ(Index):
    """SQ between two quantiles, in place of minimum and maximum."""

    def fit(self, x: F32) -> None:
        self.index.sq.rangestat = faiss.ScalarQuantizer.RS_quantiles
        self.index.sq.rangestat_arg = SQ_QUANTILE
        super().fit(x)


class OPQ(Index):
    """OPQ (Ge et al., 2013), then PQ."""

    def fit(self, x: F32) -> None:
        faiss.downcast_VectorTransform(self.index.chain.at(0)).niter = OPQ_ITERATIONS
        super().fit(x)


class RQ(Index):
    """Residual quantizers, whole or a product of them (Chen et al., 2010), fitted with a narrow beam."""

    def fit(self, x: F32) -> None:
        for quantizer in self._quantizers():
            quantizer.max_beam_size = RQ_FIT_BEAM
            quantizer.cp.niter = RQ_FIT_ITERATIONS
        super().fit(x)
        for quantizer in self._quantizers():
            quantizer.max_beam_size = RQ_BEAM

    def _quantizers(self) -> list[Any]:
        if isinstance(self.index, faiss.IndexResidualQuantizer):
            return [self.index.rq]
        product = self.index.prq
        return [faiss.downcast_AdditiveQuantizer(product.subquantizer(i)) for i in range(product.nsplits)]


class Rotated(Index):
    """A type of ScalarQuantizer behind a random rotation; rows are multiplied by `scale` first."""

    def __init__(self, kind: str, d: int, scale: float) -> None:
        super().__init__("Flat", d, d)
        rotation = faiss.RandomRotationMatrix(d, d)
        rotation.init(SEED)
        quantizer = faiss.IndexScalarQuantizer(d, getattr(faiss.ScalarQuantizer, kind))
        self.parts = rotation, quantizer  # the index does not keep them alive
        self.index = faiss.IndexPreTransform(rotation, quantizer)
        self.scale = np.float32(scale)

    def prepared(self, x: F32) -> F32:
        return np.multiply(x, self.scale)

    def decode(self) -> F32:
        return np.divide(super().decode(), self.scale)


class RaBitQ(Peer):
    """RaBitQ behind a random rotation (Gao and Long, 2024; Gao et al., 2025), by its own estimator.

    Queries take 8 bits, which find what floats find and are fifty times as fast.
    """

    def __init__(self, d: int, bits: int, lists: int) -> None:
        coarse = f"IVF{lists}," if lists else ""
        self.index: Any = faiss.index_factory(d, f"RR{d},{coarse}RaBitQ{bits}")
        inner = faiss.downcast_index(self.index.index)
        inner.qb = 8
        if lists:
            inner.nprobe = lists

    def fit(self, x: F32) -> None:
        self.index.train(x)

    def encode(self, x: F32) -> float:
        self.index.add(x)
        return int(self.index.sa_code_size())

    def search(self, queries: F32, k: int) -> dict[str, I64]:
        return {"l2": self.index.search(queries, k)[1]}


def settings(d: int) -> Iterator[Setting]:
    """All that are measured for d dimensions, named as in FAISS's factory where it has a name."""
    yield from _scalar(d)
    yield from _rabitq(d)
    yield from _product(d)
    yield from _slow(d)


def _index(family: str, factory: str, d: int, width: int | None = None) -> Setting:
    return Setting(f"FAISS {family}", factory, partial(Index, factory, d, width or d))


def _scalar(d: int) -> Iterator[Setting]:
    for share in (8, 4, 2):
        yield _index("SQ", f"PCA{d // share},SQ4", d)
    for bits in (4, 6, 8):
        yield _index("SQ", f"SQ{bits}", d)
    for bits in (4, 6):
        yield Setting("FAISS SQ", f"SQ{bits} quantiles", partial(ClippedSQ, f"SQ{bits}", d, d))
    for kind, widths, scale in (
        ("tqmse", (1, 2, 3, 4, 8), 1.0),  # its levels are for rows of unit length
        ("tq", (2, 3, 4, 5), 1.0),
        ("eden", (1, 2, 3, 4, 5, 6, 7, 8), d**0.5),  # and these for components of unit variance
    ):
        family = "FAISS EDEN" if kind == "eden" else "FAISS TurboQuant"
        for bits in widths:
            name = f"QT_{bits}bit_{kind}"
            yield Setting(family, name, partial(Rotated, name, d, scale))


def _rabitq(d: int) -> Iterator[Setting]:
    for bits in range(1, 10):
        yield Setting("FAISS RaBitQ", f"RaBitQ{bits}", partial(RaBitQ, d, bits, 0))
        yield Setting("FAISS IVF+RaBitQ", f"IVF{LISTS},RaBitQ{bits}", partial(RaBitQ, d, bits, LISTS))


def subspaces(d: int, rates: tuple[float, ...]) -> Iterator[tuple[int, int]]:
    """Numbers of subspaces of 8 bits for `rates` in bits a dimension, and the width that they divide."""
    for rate in rates:
        m = round(d * rate / 8)
        width = -(-d // m) * m
        if width - d < width // m:  # else some subspaces would hold nothing but padding
            yield m, width


def _product(d: int) -> Iterator[Setting]:
    for m, width in subspaces(d, (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 2, 8 / 3, 4)):
        yield _index("PQ", f"PQ{m}x8", d, width)
        yield _index("IVF+PQ", f"IVF{LISTS},PQ{m}x8", d, width)
        name = f"IVF{MANY_LISTS},PQ{m}x8"
        yield Setting("FAISS IVF+PQ", name, partial(Index, name, d, width), least_rows=MANY_LISTS)
    m = d // 2
    for bits in (10, 12):
        yield _index("PQ", f"PQ{m}x{bits}", d)


def _slow(d: int) -> Iterator[Setting]:
    for m, width in subspaces(d, (1 / 2, 1, 2, 4)):
        splits = max(1, m // RQ_STAGES)
        if splits > 1 and m % splits == 0:
            name = f"PRQ{splits}x{m // splits}x8"
            yield Setting("FAISS RQ", name, partial(RQ, name, d, -(-d // splits) * splits), slow=True)
        name = f"OPQ{m},PQ{m}x8"
        yield Setting("FAISS OPQ", name, partial(OPQ, name, d, width), slow=True)
    for m, _ in subspaces(d, (1 / 2, 1)):
        yield Setting("FAISS RQ", f"RQ{m}x8", partial(RQ, f"RQ{m}x8", d, d), slow=True)
