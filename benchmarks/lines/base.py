"""What a line of the table is: our call, the peers' calls on the same data, and the goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from embcodec import kernels
from embcodec.evaluation import recall_at_k

Call = Callable[[], Any]
K = 10
QUERIES = 1000
JUDGES = 500  # queries that recall is judged by
OURS = "embcodec"
FAISS = "FAISS"
FAST_SCAN = "FAISS fast scan"
"""Where it stands beside FAISS's search of codes row by row."""


@dataclass(frozen=True)
class Goal:
    """What is asked of a line.

    Attributes:
        kind: "ratio" (the time of the peer that is named, over ours), "share" (of copy bandwidth), "rate"
            (rows a second and core) or "overhead" (seconds beyond the kernel's, at most).
        value: how much.
        peer: whose time a ratio is of.
    """

    kind: str
    value: float
    peer: str = FAISS


@dataclass(frozen=True)
class Contest:
    """The calls of one line on one data set.

    Attributes:
        ours: our call.
        peers: those of others, by name.
        bytes: read and written by our call.
        rows: that our call codes or scores, times queries.
        kernel: the compiled function alone, for an overhead.
        quality: of our result and of the peers', by name; as `better` says.
        better: "more" or "less".
        measure: what the quality is.
        prepared: peers whose codes were brought into another order before; they are shown, and do not count.
    """

    ours: Call
    peers: dict[str, Call] = field(default_factory=dict)
    bytes: int | None = None
    rows: int | None = None
    kernel: Call | None = None
    quality: dict[str, float] = field(default_factory=dict)
    better: str = "more"
    measure: str = ""
    prepared: frozenset[str] = frozenset()

    def does_the_job(self, name: str) -> bool:
        """Whether its result is as good as ours, from what ours has."""
        return name not in self.prepared and self._as_good(name, OURS)

    def keeps_up_with(self, name: str) -> bool:
        """Whether our result is as good as its."""
        return self._as_good(OURS, name)

    def _as_good(self, one: str, other: str) -> bool:
        """Not worse by more than the noise of recall, or a hundredth of an error; so too if not judged."""
        if one not in self.quality or other not in self.quality:
            return True
        a, b = self.quality[one], self.quality[other]
        return a >= b - 0.015 if self.better == "more" else a <= b * 1.01


@dataclass(frozen=True)
class Line:
    """A line of the table, at the data's size."""

    name: str
    goal: Goal
    make: Callable[[Data], Contest]


class Data:
    """Rows like embeddings: unit length, a falling spectrum, all axes alike; queries of the same kind."""

    def __init__(self, rows: int, dims: int, threads: int) -> None:
        self.n, self.d, self.threads = rows, dims, threads

    @cached_property
    def _all(self) -> Any:
        rng = np.random.default_rng(0)
        n = self.n + QUERIES
        x = rng.standard_normal((n, self.d), np.float32)
        x *= np.arange(1, self.d + 1, dtype=np.float32) ** -0.35
        size = kernels.hadamard_size(self.d)
        x = kernels.hadamard_rotate(x, rng.choice(np.float32([-1, 1]), size))[:, : self.d]
        return np.ascontiguousarray(x / np.linalg.norm(x, axis=1, keepdims=True))

    @cached_property
    def x(self) -> Any:
        """(n, d) float32."""
        return self._all[: self.n]

    @cached_property
    def queries(self) -> Any:
        """(1000, d) float32."""
        return self._all[self.n :]

    def head(self, rows: int) -> Any:
        """Some rows, as many as there are."""
        return self.x[: min(rows, self.n)]

    @cached_property
    def exact(self) -> Any:
        """Ids (500, 10) of exact search for the first queries."""
        return kernels.flat_topk(self.x, self.queries[:JUDGES], K)[1]

    def recall(self, search: Callable[[Any], Any]) -> float:
        """Recall@10 of a function of queries that gives ids."""
        return round(recall_at_k(np.asarray(search(self.queries[:JUDGES]), np.int64), self.exact), 4)


def installed(*packages: str) -> bool:
    """Whether peers can take part."""
    return all(find_spec(package) is not None for package in packages)


def distortion(x: Any, decoded: Any) -> float:
    """Mean squared error over the mean square."""
    return float(f"{np.square(x - decoded).mean() / np.square(x).mean():.4g}")
