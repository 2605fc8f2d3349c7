"""IVF: a coarse stage in front of a coder."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.kernels import kmeans_fit, vq_encode
from embcodec.kernels._checks import UINT8

from .base import Coarse, CoarseStage, Coder, Tensor
from .rows import F32, I32, U8, Bools, Floats, blocks, empty, numbers, refuse_rows, to_float32
from .scan import Hits, topk_decoded
from .spec import register


@register
class IVF(CoarseStage):
    """The nearest of n centroids, its id before the code; the coder behind takes what is left of the row.

    The coarse half of an inverted file (Jegou, Douze and Schmid, 2011).
    """

    pattern = r"IVF([1-9]\d{0,4})"
    forms = ("IVF256",)

    def __init__(self, text: str, count: str) -> None:
        super().__init__(text)
        self.count = int(count)
        if self.count > 65536:
            raise ValueError(f"{text} has more than 65536 centroids")

    def before(self, coder: Coder) -> Coder:
        return Residual(self, coder)


class Residual(Coder):
    """IVF and the coder behind it, as one coder."""

    centroids: F32  # (count, d)

    def __init__(self, coarse: IVF, inner: Coder) -> None:
        super().__init__(f"{coarse.text},{inner.text}")
        self.count, self.inner = coarse.count, inner
        self.id_size = 1 if self.count <= 256 else 2

    @property
    def has_first_part(self) -> bool:
        return self.inner.has_first_part

    @property
    def k_factor(self) -> int | None:
        return self.inner.k_factor

    @k_factor.setter
    def k_factor(self, value: int | None) -> None:
        self.inner.k_factor = value

    def code_size(self, d: int) -> int:
        return self.id_size + self.inner.code_size(d)

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"centroids": Tensor((self.count, d))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        if len(x) < self.count:
            raise ValueError(f"{self.text} needs at least {self.count} rows to fit, got {len(x)}")
        self.inner.layout(x.shape[1])
        self.centroids, ids, _ = kmeans_fit(x, self.count, iterations=15, seed=seed)
        rest = np.empty_like(x)
        stretch = _stretch(ids)
        for rows in blocks(x, 4 * x.shape[1]):
            rest[rows] = (x[rows] - self.centroids[ids[rows]]) * stretch[rows]
        coarse = Coarse(self.centroids, ids, stretch)
        self.inner.fit_residual(rest, coarse, x if queries is None else queries, seed)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return super().tensors() | {f"inner.{name}": tensor for name, tensor in self.inner.tensors().items()}

    def from_tensors(self, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        mine = {name: tensor for name, tensor in tensors.items() if not name.startswith("inner.")}
        super().from_tensors(d, mine)
        rest = {name.removeprefix("inner."): tensor for name, tensor in tensors.items() if name not in mine}
        self.inner.from_tensors(d, rest)

    def encode(self, x: Floats, out: U8) -> None:
        rows = to_float32(x)
        ids = vq_encode(rows, self.centroids)
        out[:, : self.id_size] = ids.astype("<u2")[:, None].view(np.uint8)[:, : self.id_size]
        inner = empty(x, (len(x), self.inner.code_size(self.d)), UINT8)
        self.inner.encode(rows - self.centroids[ids], inner)
        out[:, self.id_size :] = inner

    def _parts(self, codes: U8) -> tuple[I32, U8]:
        ids = numbers(codes[:, : self.id_size], f"<u{self.id_size}")[:, 0].astype(np.int32)
        if self.count < 256**self.id_size:  # else every number names one
            refuse_rows("codes", f"row {{row}} names a centroid beyond {self.count}", ids >= self.count)
            ids = np.minimum(ids, self.count - 1)  # on a device all go on
        return ids, codes[:, self.id_size :]

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        ids, inner = self._parts(codes)
        x = self.inner.decode(inner, out)
        x += self.centroids[ids]
        return x

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        ids, inner = self._parts(codes)
        coarse = Coarse(self.centroids, ids)
        hits = self.inner.search_residual(inner, coarse, queries, k, metric, mask, threads)
        return hits or topk_decoded(self.decode, codes, 4 * self.d, queries, k, metric, mask, threads)


def _stretch(ids: I32) -> F32:
    """How much farther a row would be from its centroid, a mean of n, had it no part in it: n / (n - 1).

    The coder is fitted for rows that are new to the centroids. Where these were fitted on few rows each, they
    lie nearer to them. A row with a centroid of its own tells nothing and stays.
    """
    count = np.bincount(ids)[ids]
    return (count / np.maximum(count - 1, 1)).astype(np.float32)[:, None]
