"""PQ: product quantization, and OPQ: the rotation before it."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np

from embcodec.kernels import pq_decode, pq_encode, pq_fit, pq_topk

from .base import Coarse, Coder, Tensor, Transform
from .linear import covariance
from .rows import F32, F64, I64, U8, Bools, Floats, project
from .scan import Hits, topk
from .spec import register

_OPQ_ROWS = 16384  # of the sample, that the rotation is fitted on
_OPQ_ROUNDS = 20


@register
class OPQ(Transform):
    """A rotation after which product quantization into m subspaces loses least (Ge et al., 2013).

    It starts from principal components, dealt out so that all subspaces have nearly the same product of
    variances: best for Gaussians. Then it takes turns, as long as held-out rows gain: codebooks for the
    rotated rows, the rotation nearest to what these decode to.
    """

    pattern = r"OPQ([1-9]\d{0,5})"
    forms = ("OPQ48",)
    rotation: F32  # (d, d), orthonormal

    def __init__(self, text: str, m: str) -> None:
        super().__init__(text)
        self.m = int(m)

    def out_dim(self, d: int) -> int:
        if d % self.m:
            raise ValueError(f"{self.text} needs dimensions that {self.m} divides, got {d}")
        return d

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"rotation": Tensor((self.out_dim(d), d), low=-1.001, high=1.001)}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        rng = np.random.default_rng(seed)
        if len(x) > _OPQ_ROWS:
            x = x[np.sort(rng.choice(len(x), _OPQ_ROWS, replace=False))]
        mean = x.mean(axis=0, dtype=np.float64)
        variance, vectors = np.linalg.eigh(covariance(x, mean))
        rotation = vectors[:, ::-1][:, _dealt(variance[::-1], self.m)]
        bits = 8 if len(x) >= 512 else 4  # with an eighth held out, still codewords enough for the rows
        if len(x) >= 32:
            rotation = _alternate(x - mean.astype(np.float32), rotation, self.m, bits, seed)
        self.rotation = np.ascontiguousarray(rotation, np.float32)

    def forward(self, x: F32) -> F32:
        return project(x, self.rotation)

    def inverse(self, z: F32) -> F32:
        return project(z, self.transposed("rotation"))

    def adjoint(self, q: F32) -> F32:
        return project(q, self.rotation)


def _dealt(variance: F64, m: int) -> I64:
    """Components of falling variance, dealt to m subspaces of one size: each to the least product so far."""
    size = len(variance) // m
    product, members = np.zeros(m), [[] for _ in range(m)]  # type: tuple[F64, list[list[int]]]
    floor = max(float(variance[0]), 1e-300) * 1e-12
    for component, value in enumerate(np.log(np.maximum(variance, floor) / floor)):
        subspace = int(product.argmin())
        members[subspace].append(component)
        product[subspace] = product[subspace] + value if len(members[subspace]) < size else np.inf
    return np.concatenate(members)


def _alternate(x: F32, rotation: F64, m: int, bits: int, seed: int) -> F64:
    """Codebooks and rotation in turns, as long as rows that are held out lose less by it."""
    held, x = x[::8], np.delete(x, np.s_[::8], axis=0)
    codebooks = pq_fit(x @ rotation.astype(np.float32), m, bits=bits, iterations=4, seed=seed)
    best, least = rotation, np.inf
    for _ in range(_OPQ_ROUNDS):
        turned = held @ rotation.astype(np.float32)
        loss = float(
            ((turned - pq_decode(pq_encode(turned, codebooks), codebooks)) ** 2).mean(dtype=np.float64)
        )
        if loss >= least:
            break
        best, least = rotation, loss
        codes = pq_encode(x @ rotation.astype(np.float32), codebooks)
        left, _, right = np.linalg.svd(x.T @ pq_decode(codes, codebooks))
        rotation = (left @ right).astype(np.float64)
        codebooks = _means(x @ rotation.astype(np.float32), codes, codebooks, bits)
    return best


def _means(z: F32, codes: U8, codebooks: F32, bits: int) -> F32:
    """The mean of each codeword's rows; a codeword without any stays."""
    m, ksub, dsub = codebooks.shape
    ids = codes if bits == 8 else np.stack([codes & 15, codes >> 4], axis=2).reshape(len(z), -1)[:, :m]
    means: F32 = codebooks.copy()
    for subspace in range(m):
        count = np.bincount(ids[:, subspace], minlength=ksub)
        for i in range(dsub):
            total = np.bincount(ids[:, subspace], z[:, subspace * dsub + i], minlength=ksub)
            np.divide(total, count, out=means[subspace, :, i], where=count > 0, casting="same_kind")
    return means


@register
class PQ(Coder):
    """The nearest codeword of each of m subspaces (Jegou, Douze and Schmid, 2011), its id in 8 or 4 bits.

    A scan adds up a lookup table's m entries for each row: the asymmetric distance.
    """

    pattern = r"PQ([1-9]\d{0,5})x(8|4)"
    forms = ("PQ48x8", "PQ96x4")
    codebooks: F32  # (m, 2**bits, d / m)

    def __init__(self, text: str, m: str, bits: str) -> None:
        super().__init__(text)
        self.m = int(m)
        self.bits = int(bits)

    def code_size(self, d: int) -> int:
        return (self.m * self.bits + 7) // 8

    def layout(self, d: int) -> dict[str, Tensor]:
        if d % self.m:
            raise ValueError(f"{self.text} needs dimensions that {self.m} divides, got {d}")
        return {"codebooks": Tensor((self.m, 2**self.bits, d // self.m))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        if len(x) < 2**self.bits:
            raise ValueError(f"{self.text} needs at least {2**self.bits} rows to fit, got {len(x)}")
        self.codebooks = pq_fit(x, self.m, bits=self.bits, seed=seed)

    def encode(self, x: Floats, out: U8) -> None:
        pq_encode(x, self.codebooks, out=out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return pq_decode(codes, self.codebooks, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        inputs = codes, self.codebooks, queries, k, metric, mask, None, None
        return topk("pq_topk", codes, len(queries), k, inputs, threads)

    def search_residual(
        self,
        codes: U8,
        coarse: Coarse,
        queries: F32,
        k: int,
        metric: str,
        mask: Bools | None,
        threads: int | None,
    ) -> Hits:
        return pq_topk(
            codes,
            self.codebooks,
            queries,
            k,
            metric=metric,
            mask=mask,
            centroids=coarse.centroids,
            centroid=coarse.ids,
            threads=threads,
        )
