"""Coders that keep a number for each dimension: F16, BF16, SQ by dimension and SQ by row."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np

from embcodec.kernels import (
    half_decode,
    half_encode,
    levels_topk,
    rowsq_decode,
    rowsq_encode,
    rowsq_topk,
    sq_decode,
    sq_encode,
)
from embcodec.kernels._checks import FLOAT32, beside

from .base import Coarse, Coder, Tensor
from .rows import (
    F32,
    U8,
    Bools,
    Floats,
    numbers,
    on_first,
)
from .scan import Hits, topk, topk_blocks
from .spec import register


class _Half(Coder):
    """Numbers of 16 bits, little-endian, rounded to even."""

    half: str

    def code_size(self, d: int) -> int:
        return 2 * d

    def encode(self, x: Floats, out: U8) -> None:
        half_encode(x, self.half, out=out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return half_decode(codes, self.half, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        return topk(
            "half_topk", codes, len(queries), k, (codes, queries, k, self.half, metric, mask), threads
        )


@register
class F16(_Half):
    """IEEE half precision, little-endian, rounded to even; beyond +-65504 the largest finite value."""

    pattern = "F16"
    forms = ("F16",)
    half = "float16"


@register
class BF16(_Half):
    """The upper half of a float32, little-endian, rounded to even; the largest finite value for infinity."""

    pattern = "BF16"
    forms = ("BF16",)
    half = "bfloat16"


@register
class SQ(Coder):
    """Uniform levels over each dimension's range in the sample, or from its quantile q to 1 - q."""

    pattern = r"SQ([468])(?::q(0\.(?:\d{0,5}[1-9])))?"
    forms = ("SQ8", "SQ6", "SQ4", "SQ4:q0.002")
    goes_beyond = True
    lo: F32
    step: F32

    def __init__(self, text: str, bits: str, quantile: str | None) -> None:
        super().__init__(text)
        self.bits = int(bits)
        self.quantile = float(quantile or 0)

    def code_size(self, d: int) -> int:
        return (d * self.bits + 7) // 8

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"lo": Tensor((d,)), "step": Tensor((d,), low=0)}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        lo, hi = _range(x, self.quantile)
        self.lo = lo
        self.step = ((hi.astype(np.float64) - lo) / (2**self.bits - 1)).astype(np.float32)

    def encode(self, x: Floats, out: U8) -> None:
        sq_encode(x, self.lo, self.step, bits=self.bits, out=out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return sq_decode(codes, self.lo, self.step, bits=self.bits, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        inputs = codes, self.lo, self.step, queries, k, self.bits, metric, mask
        return topk("sq_topk", codes, len(queries), k, inputs, threads)

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
        """Codes are levels 0, 1, .. too; where each dimension begins joins the centroids."""
        levels, centroids = self.kept(
            "residual",
            (coarse.centroids, self.lo),
            lambda: (
                beside(np.arange(2**self.bits, dtype=np.float32), self.lo),
                on_first(coarse.centroids, self.d, lambda c: c + self.lo),
            ),
        )
        return levels_topk(
            codes,
            levels,
            self.step,
            queries,
            k,
            metric=metric,
            mask=mask,
            centroids=centroids,
            centroid=coarse.ids,
            threads=threads,
        )


def _range(x: F32, quantile: float) -> tuple[F32, F32]:
    """The order statistics nearest inside the two quantiles, per dimension."""
    skip = min(int(quantile * len(x)), (len(x) - 1) // 2)
    if skip == 0:
        return x.min(axis=0), x.max(axis=0)
    lo, hi = np.empty((2, x.shape[1]), FLOAT32)
    for column, values in enumerate(x.T):
        lo[column], hi[column] = np.partition(values, (skip, len(x) - 1 - skip))[[skip, len(x) - 1 - skip]]
    return lo, hi


@register
class RowSQ(Coder):
    """Uniform levels over each row's own range. A code is the packed levels, then scale and offset, float32.

    Nothing is fitted, and an outlier costs its own row alone.
    """

    pattern = r"SQ([468]):row"
    forms = ("SQ8:row", "SQ6:row", "SQ4:row")

    def __init__(self, text: str, bits: str) -> None:
        super().__init__(text)
        self.bits = int(bits)

    def _packed(self, d: int) -> int:
        return (d * self.bits + 7) // 8

    def code_size(self, d: int) -> int:
        return self._packed(d) + 8

    def encode(self, x: Floats, out: U8) -> None:
        packed = self._packed(x.shape[1])
        out[:, :packed], scale, offset = rowsq_encode(x, bits=self.bits)
        out[:, packed:] = np.stack([scale, offset], axis=1).astype("<f4").view(np.uint8)

    def _split(self, codes: U8) -> tuple[U8, F32, F32]:
        packed = self._packed(self.d)
        scale, offset = numbers(codes[:, packed:], "<f4").T.copy()
        return codes[:, :packed], scale, offset

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return rowsq_decode(*self._split(codes), self.d, bits=self.bits, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        def scan(codes: U8, k: int, mask: Bools | None) -> Hits:
            parts = self._split(codes)
            return rowsq_topk(*parts, queries, k, bits=self.bits, metric=metric, mask=mask, threads=threads)

        return topk_blocks(codes, codes.shape[1], k, mask, scan)
