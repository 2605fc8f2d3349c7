"""IVF: a coarse stage in front of a coder."""

# ruff: noqa: D102 (the methods of CoarseStage are described there)

from __future__ import annotations

import numpy as np

from embcodec.kernels import kmeans_fit, vq_encode

from .base import Coarse, CoarseStage, Tensor
from .rows import F32, I32, U8, numbers, refuse_rows
from .spec import register


@register
class IVF(CoarseStage):
    """The nearest of n centroids, its id before the code; the coder behind takes what is left of the row.

    The coarse half of an inverted file (Jegou, Douze and Schmid, 2011).
    """

    pattern = r"IVF([1-9]\d{0,4})"
    forms = ("IVF256",)
    centroids: F32  # (count, d)

    def __init__(self, text: str, count: str) -> None:
        super().__init__(text)
        self.count = int(count)
        if self.count > 65536:
            raise ValueError(f"{text} has more than 65536 centroids")

    def part_size(self, d: int) -> int:
        return 1 if self.count <= 256 else 2

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"centroids": Tensor((self.count, d))}

    def learn_part(self, x: F32, seed: int) -> Coarse:
        if len(x) < self.count:
            raise ValueError(f"{self.text} needs at least {self.count} rows to fit, got {len(x)}")
        self.centroids, ids, _ = kmeans_fit(x, self.count, iterations=15, seed=seed)
        return Coarse(self.centroids, ids, stretch(ids))

    def ways(self, x: F32) -> U8:
        ids = vq_encode(x, self.centroids).astype("<u2")
        return ids[:, None, None].view(np.uint8)[:, :, : self.part_size(self.d)]

    def _ids(self, part: U8) -> I32:
        size = part.shape[1]
        ids = numbers(part, f"<u{size}")[:, 0].astype(np.int32)
        if self.count < 256**size:  # else every number names one
            refuse_rows("codes", f"row {{row}} names a centroid beyond {self.count}", ids >= self.count)
            ids = np.minimum(ids, self.count - 1)  # on a device all go on
        return ids

    def taken(self, part: U8) -> F32:
        return self.centroids[self._ids(part)]

    def coarse(self, part: U8) -> Coarse:
        return Coarse(self.centroids, self._ids(part))


def stretch(ids: I32) -> F32:
    """How much farther a row would be from its centroid, a mean of n, had it no part in it: n / (n - 1).

    The coder is fitted for rows that are new to the centroids. Where these were fitted on few rows each, they
    lie nearer to them. A row with a centroid of its own tells nothing and stays.
    """
    count = np.bincount(ids)[ids]
    return (count / np.maximum(count - 1, 1)).astype(np.float32)[:, None]
