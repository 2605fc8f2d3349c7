"""A coarse stage and the coder of what it leaves, as one coder."""

# ruff: noqa: D102 (the methods of Coder are described there)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.kernels._checks import UINT8

from .base import CoarseStage, Coder, Tensor
from .rows import F32, U8, Bools, Floats, blocks, empty, row_sums, to_float32
from .scan import Hits, topk_decoded


class Residual(Coder):
    """Its code is the coarse stage's bytes, then the coder's; so are its tensors, the coder's as `inner.`."""

    def __init__(self, first: CoarseStage, inner: Coder) -> None:
        super().__init__(f"{first.text},{inner.text}")
        self.first, self.inner = first, inner

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
        return self.first.part_size(d) + self.inner.code_size(d)

    def layout(self, d: int) -> dict[str, Tensor]:
        return self.first.layout(d)

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        self.inner.layout(x.shape[1])
        self.first.d = x.shape[1]
        coarse = self.first.learn_part(x, seed)
        rest = np.empty_like(x)
        for rows in blocks(x, 4 * x.shape[1]):
            rest[rows] = coarse.taken_from(x, rows)
        self.inner.fit_residual(rest, coarse, x if queries is None else queries, seed)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        inner = {f"inner.{name}": tensor for name, tensor in self.inner.tensors().items()}
        return self.first.tensors() | inner

    def from_tensors(self, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        mine = {name: tensor for name, tensor in tensors.items() if not name.startswith("inner.")}
        self.first.from_tensors(d, mine)
        rest = {name.removeprefix("inner."): tensor for name, tensor in tensors.items() if name not in mine}
        self.inner.from_tensors(d, rest)
        self.d = d

    def encode(self, x: Floats, out: U8) -> None:
        """Of several ways that the coarse stage has, the one that leaves least behind both."""
        x = to_float32(x)
        ways = self.first.ways(x)
        inner = empty(x, (len(x), self.inner.code_size(self.d)), UINT8)
        if ways.shape[1] == 1:
            part = ways[:, 0]
            self.inner.encode(x - self.first.taken(part), inner)
            np.concatenate([part, inner], axis=1, out=out)
            return
        first, z = self._turned_first(), self.inner.turn(x)
        least = None
        for way in range(ways.shape[1]):
            part = ways[:, way]
            rest = z - first.taken(part)
            self.inner.encode_turned(rest, inner)
            code = np.concatenate([part, inner], axis=1)
            rest -= self.inner.decode_turned(inner)
            with np.errstate(over="ignore"):  # then no way is better
                error = row_sums(np.square(rest))
            out[...] = code if least is None else np.where((error < least)[:, None], code, out)
            least = error if least is None else np.minimum(error, least)

    def _turned_first(self) -> CoarseStage:
        """The coarse stage, in the coder's rotated space."""
        fitted = (*self.first.tensors().values(), *self.inner.tensors().values())
        return self.kept("turned", fitted, lambda: self.first.turned(self.inner.turn))

    def _parts(self, codes: U8) -> tuple[U8, U8]:
        size = self.first.part_size(self.d)
        return codes[:, :size], codes[:, size:]

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        part, inner = self._parts(codes)
        x = self.inner.decode(inner, out)
        x += self.first.taken(part)
        return x

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        part, inner = self._parts(codes)
        coarse = self.first.coarse(part)
        hits = None
        if coarse.centroids.ndim == 2 or self.inner.adds_codewords:
            hits = self.inner.search_residual(inner, coarse, queries, k, metric, mask, threads)
        if hits is not None:
            return hits
        first = self._turned_first()

        def rows(codes: U8, out: F32 | None) -> F32:
            part, inner = self._parts(codes)
            z = self.inner.decode_turned(inner, out)
            z += first.taken(part)
            return z

        turned = self.inner.turn(queries)
        return topk_decoded(rows, codes, 4 * self.d, turned, k, metric, mask, threads)
