"""embcodec's own codecs, by the bytes that they may take."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

from embcodec import Codec
from embcodec.codecs.chain import Chain

from .base import F32, I64, METRICS, Peer, Setting

FAMILY = "embcodec"
SPECS = ("TCQ{}B", "IVF256,TCQ{}B", "IVF8192,TCQ{}B", "RQ3x8,TCQ{}B", "RQ{}x8")
MOST_STAGES = 24  # of RQ alone: more take long to fit, and find less than TCQ
RATES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 2, 8 / 3, 10 / 3, 4, 5, 6)  # bits a dimension


class Ours(Peer):
    """A codec of embcodec."""

    def __init__(self, spec: str) -> None:
        self.codec = Codec(spec)

    def fit(self, x: F32) -> None:
        self.codec.fit(x)

    def encode(self, x: F32) -> float:
        self.codes = self.codec.encode(x)
        return self.codec.code_size

    def search(self, queries: F32, k: int) -> dict[str, I64]:
        return {metric: self.codec.search(self.codes, queries, k, metric=metric)[1] for metric in METRICS}

    def decode(self) -> F32:
        return self.codec.decode(self.codes)


def settings(d: int, specs: Sequence[str] = SPECS, rates: Sequence[float] = RATES) -> Iterator[Setting]:
    """Each spec at each rate, its {} filled in so that a row takes no more bytes in all."""
    for spec in specs:
        for size in [round(d * rate / 8) for rate in rates] if "{}" in spec else [0]:
            name = filled(spec, size, d)
            if name is not None and not (spec == "RQ{}x8" and size > MOST_STAGES):
                centroids = re.match(r"IVF(\d+)", name)
                yield Setting(
                    FAMILY, name, partial(Ours, name), least_rows=int(centroids[1]) if centroids else 0
                )


def filled(spec: str, size: int, d: int) -> str | None:
    """The spec whose code has `size` bytes for d dimensions; None if it has no such size."""
    try:
        some = 8
        beside = Chain(spec.format(some)).code_size(d) - some  # a coarse id, which the coder does not count
        name = spec.format(size - beside)
        Chain(name).code_size(d)
    except ValueError:
        return None
    return name
