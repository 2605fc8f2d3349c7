"""Curves through the records of a family: what it reaches at other bytes than those that were measured."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from quality_data import BOUND
from quality_store import Record

OURS = "embcodec"
BUDGETS = (0.5, 1.0, 2.0, 4.0)  # bits a dimension: 24, 48, 96 and 192 bytes at 384
TARGETS = (0.80, 0.85, 0.90, 0.95)
NEARLY = 1.1  # a curve that ends at 12 bytes says something of 12.5

Curve = list[tuple[float, float]]


def families(records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records of each family: ours, the peers', the bound's."""
    result: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        result[record.family].append(record)
    order = sorted(result, key=lambda name: (name != OURS, name == BOUND, name.lower()))
    return {name: result[name] for name in order}


def recall_curve(records: Sequence[Record]) -> Curve:
    """(bytes, recall) of the codecs that no other of the family beats with as few bytes."""
    curve: Curve = []
    for record in sorted(records, key=lambda r: (r.bytes, -r.recall)):
        if not curve or record.recall > curve[-1][1]:
            curve.append((record.bytes, record.recall))
    return curve


def distortion_curve(records: Sequence[Record]) -> Curve:
    """(bits a dimension, decibels above the rate-distortion bound), of the least distortions likewise."""
    curve: Curve = []
    least = math.inf
    for record in sorted(records, key=lambda r: (r.bytes, r.distortion or 0)):
        if record.distortion is not None and record.distortion < least and record.family != BOUND:
            least = record.distortion
            curve.append((record.bits, 10 * math.log10(least / record.bound)))
    return curve


def recall_at(curve: Curve, size: float) -> float | None:
    """The recall at `size` bytes, linear in their logarithm; None beyond the curve's ends.

    Where it ends less than a tenth before, its last code counts: it fits.
    """
    if curve and curve[-1][0] < size <= NEARLY * curve[-1][0]:
        return curve[-1][1]
    return _interpolated([(math.log(x), y) for x, y in curve], math.log(size))


def bytes_at(curve: Curve, recall: float) -> float | None:
    """The bytes that a recall needs, the fewest of the curve if it begins above it; None if it ends below."""
    if curve and recall < curve[0][1]:
        return curve[0][0]
    log = _interpolated([(y, math.log(x)) for x, y in curve], recall)
    return None if log is None else math.exp(log)


def excess_at(curve: Curve, bits: float) -> float | None:
    """Decibels above the bound at a rate; None beyond the curve's ends."""
    return _interpolated(curve, bits)


def _interpolated(points: Curve, x: float) -> float | None:
    if not points or not points[0][0] - 1e-9 <= x <= points[-1][0] + 1e-9:
        return None
    xs, ys = zip(*points)
    return float(np.interp(x, xs, ys))
