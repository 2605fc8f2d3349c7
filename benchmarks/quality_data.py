"""What benchmarks/quality.py measures on: a folder's rows under a protocol, and what is exact about them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embcodec.kernels import flat_topk

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

K = 10
BOUND = "Gaussian channel"  # the family that is no codec
ROW_QUERIES = 1000
PROTOCOLS = {
    "half": "fit on the even rows, code the odd ones",
    "self": "fit on the rows that are coded",
    "rows": "as half, but 1,000 rows of the base, held out, are the queries",
    "shift": "fit on the rows of half of the sections, code those of the others",
}


@dataclass(frozen=True)
class Task:
    """What a codec is asked to do.

    Attributes:
        train: rows to fit on (n, d).
        base: rows to code (m, d).
        queries: (nq, d).
    """

    train: F32
    base: F32
    queries: F32

    @cached_property
    def truth(self) -> I64:
        """Ids (nq, 10) of the nearest rows by exact cosine."""
        return flat_topk(self.base, self.queries, K, metric="cosine")[1]

    @cached_property
    def spectrum(self) -> F64:
        """Variances of the base's principal components."""
        return np.maximum(np.linalg.eigvalsh(np.cov(self.base.T.astype(np.float64), bias=True)), 0)

    def recall(self, found: I64) -> float:
        """Share of the true neighbours that were found."""
        return float((found[:, :, None] == self.truth[:, None, :]).any(axis=2).mean())

    def distortion(self, decoded: F32) -> float:
        """Squared error, as a share of the base's variance."""
        error = ((decoded - self.base) ** 2).sum(axis=1, dtype=np.float64).mean()
        return float(error / self.spectrum.sum())

    def bound(self, bits: float) -> float:
        """The least distortion that `bits` a dimension allow for a Gaussian of this spectrum."""
        return gaussian_bound(self.spectrum, bits)


def gaussian_bound(variances: F64, bits: float) -> float:
    """Distortion at the rate-distortion bound, by reverse water-filling, as a share of the variance."""
    return float(np.minimum(variances, water_level(variances, bits)).sum() / variances.sum())


def water_level(variances: F64, bits: float) -> float:
    """The distortion of each component that gets bits, for `bits` a dimension on average."""
    low, high = 0.0, float(variances.max())
    for _ in range(100):
        level = (low + high) / 2
        rate = 0.5 * np.log2(np.maximum(variances / level, 1)).mean()
        low, high = (level, high) if rate > bits else (low, level)
    return high


def load_task(folder: Path, protocol: str) -> Task | None:
    """The task of a folder; None if the folder lacks what the protocol needs."""
    base, queries = (np.load(folder / f"{name}.npy").astype(np.float32) for name in ("base", "query"))
    if protocol == "self":
        return Task(base, base, queries)
    if protocol == "half":
        return Task(base[::2].copy(), base[1::2].copy(), queries)
    if protocol == "rows":
        held = np.arange(ROW_QUERIES) * len(base) // ROW_QUERIES
        kept = np.delete(base, held, axis=0)
        return Task(kept[::2].copy(), kept[1::2].copy(), base[held])
    if not (folder / "docs.jsonl").exists():
        return None
    known = _known_sections(folder / "docs.jsonl")
    return Task(base[known], base[~known], queries)


def _known_sections(docs: Path) -> npt.NDArray[np.bool_]:
    """Rows of every second section, the largest first."""
    with docs.open(encoding="utf-8") as lines:
        sections = [json.loads(line)["section"] for line in lines]
    by_size = [
        section for section, _ in sorted(Counter(sections).items(), key=lambda item: (-item[1], item[0]))
    ]
    return np.isin(sections, by_size[::2])
