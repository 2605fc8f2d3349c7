"""VQ: the nearest codeword."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embcodec.kernels import flat_topk, kmeans_fit, vq_encode

from .base import Coder, Tensor
from .rows import F32, I64, U8, Bools, Floats, blocks, numbers, on_device, refuse_rows
from .scan import Hits, best
from .spec import register


@register
class VQ(Coder):
    """The id of the nearest of k codewords (Lloyd, 1957), little-endian in as many bytes as k - 1 takes."""

    pattern = r"VQ([1-9]\d{0,6})"
    forms = ("VQ1024",)
    codebook: F32  # (k, d)

    def __init__(self, text: str, k: str) -> None:
        super().__init__(text)
        self.k = int(k)

    def code_size(self, d: int) -> int:
        return max(1, ((self.k - 1).bit_length() + 7) // 8)

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"codebook": Tensor((self.k, d))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        if len(x) < self.k:
            raise ValueError(f"{self.text} needs at least {self.k} rows to fit, got {len(x)}")
        self.codebook, _, _ = kmeans_fit(x, self.k, seed=seed)

    def encode(self, x: Floats, out: U8) -> None:
        ids = vq_encode(x, self.codebook).astype("<u4")
        out[...] = ids.view(np.uint8).reshape(-1, 4)[:, : out.shape[1]]

    def _ids(self, codes: U8) -> npt.NDArray[np.uint32]:
        ids: npt.NDArray[np.uint32] = numbers(np.pad(codes, ((0, 0), (0, 4 - codes.shape[1]))), "<u4")[:, 0]
        refuse_rows(self.text, f"row {{row}} names a codeword beyond {self.k}", ids >= self.k)
        ids = np.minimum(ids, np.uint32(self.k - 1))  # on a device all go on
        return ids

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        if on_device(codes):
            return np.take(self.codebook, self._ids(codes), axis=0, out=out)
        return np.take(self.codebook, self._ids(codes), axis=0, out=out, mode="clip")  # "raise" copies out

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        """Scores the codewords alone, on the host: the rows of one codeword share its score.

        Codewords are taken in the order of their first rows, so that of equal ones those with the lowest rows
        come first; at most k can matter to a query, and at most the first k rows of each.
        """
        if on_device(codes):
            return super().search(codes, queries, k, metric, mask, threads)
        rows = np.arange(len(codes)) if mask is None else np.flatnonzero(mask)
        used, first = _first_rows(self._ids(codes)[rows], rows, k)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        ids = np.full((len(queries), k), -1, np.int64)
        if len(used) == 0:
            return scores, ids
        found, word = flat_topk(
            self.codebook[used], queries, min(k, len(used)), metric=metric, threads=threads
        )
        width = _needed(found, (first >= 0).sum(axis=1)[word], k)
        found, word = found[:, :width], word[:, :width]
        for part in blocks(queries, 16 * width * first.shape[1]):
            members = first[word[part]].reshape(len(word[part]), -1)
            member_scores = np.repeat(found[part], first.shape[1], axis=1)
            hits = best(np.where(members >= 0, member_scores, -np.inf), members, k)
            scores[part, : hits[0].shape[1]], ids[part, : hits[0].shape[1]] = hits
        return scores, ids


def _needed(scores: F32, counts: I64, k: int) -> int:
    """How many codewords a query needs at most, best first: those with fewer than k rows in better ones."""
    before = counts.cumsum(axis=1) - counts
    last = np.maximum((before < k).sum(axis=1) - 1, 0)
    reached = scores >= np.take_along_axis(scores, last[:, None], 1)
    return int(reached.sum(axis=1).max(initial=0))


def _first_rows(ids: npt.NDArray[np.uint32], rows: I64, k: int) -> tuple[I64, I64]:
    """The codewords in use by their first row, and the first k rows of each, -1 where it has fewer."""
    order = np.argsort(ids, kind="stable")
    used, start, count = np.unique(ids[order], return_index=True, return_counts=True)
    depth = np.arange(min(k, count.max(initial=0)))
    present = depth < count[:, None]
    first = np.where(present, rows[order[np.where(present, start[:, None] + depth, 0)]], -1)
    by_row = np.argsort(first[:, 0]) if len(used) else np.empty(0, np.int64)
    return used[by_row].astype(np.int64), first[by_row]
