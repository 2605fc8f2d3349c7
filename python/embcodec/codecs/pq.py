"""PQ: product quantization."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

from embcodec.kernels import pq_decode, pq_encode, pq_fit, pq_topk

from .base import Coder, Tensor
from .rows import F32, U8, Bools, Floats
from .scan import Hits
from .spec import register


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
        return pq_topk(codes, self.codebooks, queries, k, metric=metric, mask=mask, threads=threads)
