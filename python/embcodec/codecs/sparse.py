"""Top: the largest entries of a row."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embcodec.kernels import sparse_topk, topk_decode, topk_encode

from .base import Coder
from .rows import F32, U8, Bools, Floats, numbers
from .scan import Hits, topk_blocks
from .spec import register

Indices = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
_F16_MAX = np.float32(65504)


@register
class Top(Coder):
    """The entries of largest magnitude; a code is their indices, ascending, then their values, little-endian.

    Indices are uint16 (uint32 above 65,536 dimensions), values float16, or float32 with `:f32`.
    """

    pattern = r"Top([1-9]\d{0,6})(?::(f32))?"
    forms = ("Top32", "Top32:f32")

    def __init__(self, text: str, size: str, option: str | None) -> None:
        super().__init__(text)
        self.size = int(size)
        self.values = "<f4" if option else "<f2"

    def _index_bytes(self, d: int) -> int:
        return self.size * (2 if d <= 65536 else 4)

    def code_size(self, d: int) -> int:
        if self.size > d:
            raise ValueError(f"{self.text} needs at least {self.size} dimensions, got {d}")
        return self._index_bytes(d) + self.size * np.dtype(self.values).itemsize

    def encode(self, x: Floats, out: U8) -> None:
        indices, values = topk_encode(x, self.size)
        at = self._index_bytes(x.shape[1])
        if self.values == "<f2":
            values = np.clip(values, -_F16_MAX, _F16_MAX)
        out[:, :at] = indices.astype(indices.dtype.newbyteorder("<")).view(np.uint8)
        out[:, at:] = values.astype(self.values).view(np.uint8)

    def _split(self, codes: U8) -> tuple[Indices, F32]:
        at = self._index_bytes(self.d)
        values = numbers(codes[:, at:], self.values)
        return numbers(codes[:, :at], f"<u{at // self.size}"), values.astype(np.float32, copy=False)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return topk_decode(*self._split(codes), self.d, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        def scan(codes: U8, k: int, mask: Bools | None) -> Hits:
            parts = self._split(codes)
            return sparse_topk(*parts, queries, k, metric=metric, mask=mask, threads=threads)

        return topk_blocks(codes, 2 * codes.shape[1], k, mask, scan)
