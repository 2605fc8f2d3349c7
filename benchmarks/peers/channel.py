"""No codec, but a mark: rows as an ideal code for a Gaussian of their covariance would leave them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from quality_data import BOUND, water_level

from .base import F32, Decoding, Setting

RATES = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 2, 8 / 3, 10 / 3, 4, 5, 6)  # bits a dimension


class GaussianChannel(Decoding):
    """The test channel of the rate-distortion bound: shrinks each principal component and adds noise.

    Cover and Thomas, Elements of information theory, chapter 10. A code of the same bits that has the same
    distortion in every component exists in the limit of long blocks, if the rows are Gaussian.
    """

    def __init__(self, bits: float) -> None:
        self.bits = bits

    def fit(self, x: F32) -> None:
        """Knows the rows that it codes: an ideal."""

    def encode(self, x: F32) -> float:
        mean = x.mean(axis=0, dtype=np.float64)
        variances, vectors = np.linalg.eigh(np.cov(x.T.astype(np.float64), bias=True))
        variances = np.maximum(variances, 1e-30)
        lost = np.minimum(water_level(variances, self.bits) / variances, 1)
        z = (x - mean) @ vectors
        noise = np.random.default_rng(0).standard_normal(z.shape) * np.sqrt(lost * variances * (1 - lost))
        self.rows: F32 = ((z * (1 - lost) + noise) @ vectors.T + mean).astype(np.float32)
        return float(x.shape[1] * self.bits / 8)

    def decode(self) -> F32:
        return self.rows


def settings(rates: tuple[float, ...] = RATES) -> Iterator[Setting]:
    """The mark at each rate."""
    for bits in rates:
        yield Setting(BOUND, f"{bits:.3g} bits a dimension", partial(GaussianChannel, bits))
