"""TurboQuant (Zandieh et al., 2025) as turbovec and remex have it: rotation, Lloyd-Max levels, a length."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .base import F32, I64, Peer, Setting


class TurboVec(Peer):
    """turbovec, calibrated on the rows that it is fitted on."""

    def __init__(self, d: int, bits: int) -> None:
        from turbovec import TurboQuantIndex

        self.bits, self.padding = bits, -d % 8
        self.index: Any = TurboQuantIndex(dim=d + self.padding, bit_width=bits)

    def _padded(self, x: F32) -> F32:
        return np.pad(x, ((0, 0), (0, self.padding)))

    def fit(self, x: F32) -> None:
        self.index.calibrate(self._padded(x))

    def encode(self, x: F32) -> float:
        self.index.add(self._padded(x))
        # What its format needs; its files keep 3 bits in 4.
        return (x.shape[1] + self.padding) * self.bits / 8 + 4

    def search(self, queries: F32, k: int) -> dict[str, I64]:
        return {"ip": self.index.search(self._padded(queries), k)[1]}


class Remex(Peer):
    """remex, with the mean of the rows that it is fitted on or without."""

    def __init__(self, d: int, bits: int, centred: bool) -> None:
        self.d, self.bits, self.centred = d, bits, centred

    def fit(self, x: F32) -> None:
        from remex import Quantizer, corpus_mean

        mean = corpus_mean(x) if self.centred else None
        self.quantizer: Any = Quantizer(self.d, self.bits, mean=mean)

    def encode(self, x: F32) -> float:
        self.codes: Any = self.quantizer.encode(x)
        return float(self.codes.nbytes / len(x))

    def search(self, queries: F32, k: int) -> dict[str, I64]:
        return {"ip": self.quantizer.search_batch(self.codes, queries, k)[0]}

    def decode(self) -> F32:
        return np.asarray(self.quantizer.decode(self.codes), np.float32)


def turbovec_settings(d: int) -> Iterator[Setting]:
    """All that are measured for d dimensions."""
    for bits in (2, 3, 4):
        yield Setting("turbovec", f"turbovec {bits} bit", partial(TurboVec, d, bits))


def remex_settings(d: int) -> Iterator[Setting]:
    """All that are measured for d dimensions."""
    for centred in (False, True):
        for bits in (1, 2, 3, 4, 8):
            name = f"remex {bits} bit{', centred' if centred else ''}"
            yield Setting("remex", name, partial(Remex, d, bits, centred))
