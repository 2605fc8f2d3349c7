"""Intervals for a ratio of times, from order statistics: whatever the law of the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, inf
from statistics import median

__all__ = ["Interval", "median_interval", "paired_ratio", "rounds_needed", "unpaired_ratio"]


@dataclass(frozen=True)
class Interval:
    """An estimate, and where its true value lies."""

    low: float
    middle: float
    high: float

    @property
    def is_bounded(self) -> bool:
        """Whether there were enough values for the risk that was asked for."""
        return self.low > 0 and self.high < inf


def paired_ratio(base: Sequence[float], new: Sequence[float], risk: float) -> Interval:
    """New over base of interleaved rounds: the median of the rounds' ratios."""
    return median_interval([n / b for b, n in zip(base, new, strict=True)], risk)


def unpaired_ratio(base: Sequence[float], new: Sequence[float], risk: float) -> Interval:
    """New over base of two runs by themselves: the ratio of the medians, each with half the risk."""
    b, n = median_interval(base, risk / 2), median_interval(new, risk / 2)
    return Interval(n.low / b.high, n.middle / b.middle, n.high / b.low if b.low else inf)


def median_interval(values: Sequence[float], risk: float) -> Interval:
    """The median, between the order statistics that miss the true one with at most this risk.

    A value lies below the true median with probability 1/2 whatever its distribution, so the number below is
    binomial (David and Nagaraja, Order Statistics, 2003, 7.1). Too few values give an infinite interval.
    """
    ordered = sorted(values)
    outside = _outside(len(ordered), risk)
    if not outside:
        return Interval(0.0, median(ordered), inf)
    return Interval(ordered[outside - 1], median(ordered), ordered[-outside])


def rounds_needed(risk: float) -> int:
    """The least number of values that bound a median with this risk."""
    n = 1
    while not _outside(n, risk):
        n += 1
    return n


def _outside(n: int, risk: float) -> int:
    """How many of n values may be cut off on each side, their last being the bound; 0 if n is too small."""
    cut, missed = 0, 0.0
    while cut < n // 2:
        missed += comb(n, cut) / 2 ** (n - 1)  # this many or fewer on one of two sides
        if missed > risk:
            break
        cut += 1
    return cut
