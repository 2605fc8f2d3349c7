"""Binary: a bit for each dimension."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np

from embcodec.kernels import bits_decode, bits_encode

from .base import Coder, Tensor
from .rows import F32, U8, Bools, Floats, blocks
from .scan import Hits, topk
from .spec import register


@register
class Binary(Coder):
    """Whether a value is above its dimension's threshold: 0, or the sample's mean or median.

    A bit decodes to the mean of the sample's values on its side. The first dimension is the highest bit.
    """

    pattern = "Binary(?::(mean|median))?"
    forms = ("Binary", "Binary:mean", "Binary:median")
    threshold: F32
    low: F32
    high: F32

    def __init__(self, text: str, option: str | None) -> None:
        super().__init__(text)
        self.option = option

    def code_size(self, d: int) -> int:
        return (d + 7) // 8

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"threshold": Tensor((d,)), "low": Tensor((d,)), "high": Tensor((d,))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        if self.option == "mean":
            self.threshold = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        elif self.option == "median":
            self.threshold = np.array([np.median(column) for column in x.T], np.float32)
        else:
            self.threshold = np.zeros(x.shape[1], np.float32)
        self.low, self.high = _side_means(x, self.threshold)

    def encode(self, x: Floats, out: U8) -> None:
        bits_encode(x, self.threshold, out=out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        return bits_decode(codes, self.d, low=self.low, high=self.high, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        inputs = codes, queries, k, self.low, self.high, "msb", metric, mask
        return topk("bits_topk", codes, len(queries), k, inputs, threads)


def _side_means(x: F32, threshold: F32) -> tuple[F32, F32]:
    """The mean of the values up to the threshold and of those above; the threshold where there are none."""
    count, above, total = np.zeros((3, x.shape[1]))
    for rows in blocks(x, 8 * x.shape[1]):
        side = x[rows] > threshold
        count += side.sum(axis=0)
        above += np.where(side, x[rows], 0).sum(axis=0, dtype=np.float64)
        total += x[rows].sum(axis=0, dtype=np.float64)
    below = len(x) - count
    low = np.where(below > 0, (total - above) / np.maximum(below, 1), threshold)
    high = np.where(count > 0, above / np.maximum(count, 1), threshold)
    return low.astype(np.float32), high.astype(np.float32)
