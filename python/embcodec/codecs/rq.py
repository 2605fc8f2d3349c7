"""RQ: residual quantization, as a coder or in front of one."""

# ruff: noqa: D102 (the methods of Coder and CoarseStage are described there)

from __future__ import annotations

import numpy as np

from embcodec.kernels import kmeans_fit, rq_beam, rq_decode, rq_encode, rq_products
from embcodec.reference.rq import WORDS

from .base import Coarse, CoarseStage, Coder, Tensor
from .coarse import stretch
from .linear import covariance
from .rows import F32, U8, Bools, Floats, project
from .scan import Hits, topk, topk_decoded
from .spec import register

_BEAM = 32  # paths that the encoder follows
_WAYS, _WAYS_BEAM = 4, 16  # of so many paths, those that the coder behind tries
_FIT_BEAM, _FIT_STEPS, _FIT_ITERATIONS = 8, 10, 10
_FIT_RESIDUALS = 1 << 16  # at most, on which a codebook is fitted


def _codewords(x: F32, seed: int) -> F32:
    """The codebook (256, d) of k-means over one principal component of x (n, d), then some, at last all.

    Each begins with what the one before found. Begun with rows, k-means on what is left of rows ends where it
    loses much more (Liu, Lu and Xi, "Improved residual vector quantization", 2015).
    """
    d = x.shape[1]
    _, vectors = np.linalg.eigh(covariance(x, x.mean(axis=0, dtype=np.float64)))
    turn = np.ascontiguousarray(vectors[:, ::-1], np.float32)
    z, codewords = project(x, turn), None
    for components in sorted({int(d ** (step / _FIT_STEPS)) for step in range(1, _FIT_STEPS)} | {d}):
        if codewords is not None:
            codewords = np.pad(codewords, ((0, 0), (0, components - codewords.shape[1])))
        part = z[:, :components]
        codewords, _, _ = kmeans_fit(part, WORDS, _FIT_ITERATIONS, seed, codewords)
    assert codewords is not None
    return project(codewords, np.ascontiguousarray(turn.T))


@register
class RQ(Coder, CoarseStage):
    """The codewords of m codebooks that add up nearest to the row (Chen, Guan and Wang, 2010), as m bytes.

    Each codebook is fitted on what the ones before it leave of the rows: not by the best path of a beam
    search alone (Babenko and Lempitsky, 2014) but by all of its paths, for then codewords fit new rows too.
    In front of another coder it takes what few codewords tell, and where data are far from Gaussian that is
    more than any transform finds.
    """

    pattern = r"RQ([1-9]\d?)x8"
    forms = ("RQ8x8",)
    codebooks: F32  # (m, 256, d)

    def __init__(self, text: str, m: str) -> None:
        super().__init__(text)
        self.m = int(m)

    def code_size(self, d: int) -> int:
        return self.m

    def part_size(self, d: int) -> int:
        return self.m

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"codebooks": Tensor((self.m, WORDS, d))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        if len(x) < WORDS:
            raise ValueError(f"{self.text} needs at least {WORDS} rows to fit, got {len(x)}")
        if len(x) > _FIT_RESIDUALS:
            rng = np.random.default_rng(seed)
            x = x[np.sort(rng.choice(len(x), _FIT_RESIDUALS, replace=False))]
        beam = min(_FIT_RESIDUALS // len(x), _FIT_BEAM)
        codebooks = np.empty((self.m, WORDS, x.shape[1]), np.float32)
        rest = x
        for stage in range(self.m):
            if stage:
                before = codebooks[:stage]
                paths = rq_beam(x, before, rq_products(before), beam)
                rest = rq_decode(paths.reshape(-1, stage), before)
                np.subtract(np.repeat(x, beam, axis=0), rest, out=rest)
            codebooks[stage] = _codewords(rest, (seed + stage) % 2**64)
        self.codebooks = codebooks

    def _products(self) -> F32:
        return self.kept("products", (self.codebooks,), lambda: rq_products(self.codebooks))

    def encode(self, x: Floats, out: U8) -> None:
        rq_encode(x, self.codebooks, self._products(), _BEAM, out=out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return rq_decode(codes, self.codebooks, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        """Inner products add up from the tables of product quantization, each stage's of the whole query."""
        if metric != "ip":
            return topk_decoded(self.decode, codes, 4 * self.d, queries, k, metric, mask, threads)
        repeated = np.tile(queries, (1, self.m))
        inputs = codes, self.codebooks, repeated, k, metric, mask, None, None
        return topk("pq_topk", codes, len(queries), k, inputs, threads)

    def learn_part(self, x: F32, seed: int) -> Coarse:
        self.learn(x, None, seed)
        codes = rq_encode(x, self.codebooks, self._products(), _BEAM)
        farther = np.prod([stretch(ids) for ids in codes.T], axis=0)
        return Coarse(self.taken(codes), np.arange(len(x), dtype=np.int32), farther)

    def ways(self, x: F32) -> U8:
        return rq_beam(x, self.codebooks, self._products(), _WAYS_BEAM)[:, :_WAYS]

    def taken(self, part: U8) -> F32:
        return rq_decode(part, self.codebooks)

    def coarse(self, part: U8) -> Coarse:
        return Coarse(self.codebooks, part)
