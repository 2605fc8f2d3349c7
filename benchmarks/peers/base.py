"""What a comparison asks of a codec, ours or a peer's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embcodec.kernels import flat_topk

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

METRICS = ("ip", "l2", "cosine")


class Peer(ABC):
    """A codec that keeps the codes of one base."""

    @abstractmethod
    def fit(self, x: F32) -> None:
        """Fit on x (n, d)."""

    @abstractmethod
    def encode(self, x: F32) -> float:
        """Code x (n, d) and keep the codes; bytes a row, with factors and ids."""

    @abstractmethod
    def search(self, queries: F32, k: int) -> dict[str, I64]:
        """Ids (nq, k) of the best rows, by each metric that the codec offers."""

    def decode(self) -> F32 | None:
        """The decoded rows (n, d); None if it has no decoder."""
        return None


class Decoding(Peer):
    """A codec whose scores are those of its decoded rows: searched exactly, by every metric."""

    @abstractmethod
    def decode(self) -> F32:
        """The decoded rows (n, d)."""

    def search(self, queries: F32, k: int) -> dict[str, I64]:
        """Exact search over the decoded rows."""
        rows = self.decode()
        return {metric: flat_topk(rows, queries, k, metric=metric)[1] for metric in METRICS}


@dataclass(frozen=True)
class Setting:
    """A codec to measure.

    Attributes:
        family: whose curve it is a point of.
        name: unique for a number of dimensions.
        make: the unfitted codec.
        slow: takes minutes; the special protocols leave it out.
        least_rows: to be fitted on.
    """

    family: str
    name: str
    make: Callable[[], Peer]
    slow: bool = False
    least_rows: int = 0
