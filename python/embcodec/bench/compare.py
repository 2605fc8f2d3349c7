"""Two runs side by side: which benchmarks became slower, or less accurate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from embcodec.bench.runs import Measurement, Run
from embcodec.bench.statistics import Interval, paired_ratio, rounds_needed, unpaired_ratio

__all__ = ["Change", "Tolerance", "Verdict", "are_paired", "compare", "rounds_to_decide", "speed_of"]


class Verdict(str, Enum):
    """What became of a benchmark."""

    same = "same"
    faster = "faster"
    slower = "slower"
    worse = "worse"  # less accurate
    missing = "missing"  # in the new run
    undecided = "undecided"  # it looks slower, and there are too few rounds to tell


@dataclass(frozen=True)
class Tolerance:
    """What counts as a change.

    Attributes:
        speed: a time may rise or fall by this share.
        risk: of any false alarm among all benchmarks together.
        accuracy: a measure of which more is better may fall by this.
        error: a measure of which less is better may rise by this share.
    """

    speed: float = 0.05
    risk: float = 0.05
    accuracy: float = 0.005
    error: float = 0.02


@dataclass(frozen=True)
class Change:
    """One benchmark in both runs.

    Attributes:
        ratio: the new time over the base's; None where the new run lacks it.
        quality: measures of the result that became worse, as "recall@10 0.952 to 0.931".
    """

    name: str
    verdict: Verdict
    base: Measurement
    new: Measurement | None
    ratio: Interval | None
    quality: tuple[str, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether somebody must look at it."""
        return self.verdict in (Verdict.slower, Verdict.worse, Verdict.missing)


def compare(base: Run, new: Run, tolerance: Tolerance | None = None) -> list[Change]:
    """What changed, benchmark by benchmark of the base.

    Runs that are the two sides of the same interleaved rounds are compared round by round, others by their
    medians. A time has changed if the whole interval of the ratio lies beyond the tolerance; the risk of that
    by chance is shared out among the benchmarks (Bonferroni).

    Raises:
        ValueError: they were measured on another machine, or in another setting.
    """
    for name, value in base.setting.items():
        if new.setting[name] != value:
            raise ValueError(f"the results differ in {name}: {value} and {new.setting[name]}")
    tolerance = tolerance or Tolerance()
    paired = are_paired(base, new)
    risk = tolerance.risk / max(1, len(base.measurements))
    return [
        _change(name, measurement, new.measurements.get(name), paired, risk, tolerance)
        for name, measurement in base.measurements.items()
    ]


def are_paired(base: Run, new: Run) -> bool:
    """Whether they are the two sides of the same rounds."""
    return bool(base.rounds_of) and base.rounds_of == new.rounds_of


def _change(
    name: str, base: Measurement, new: Measurement | None, paired: bool, risk: float, tolerance: Tolerance
) -> Change:
    if new is None:
        return Change(name, Verdict.missing, base, None, None)
    ratio = (paired_ratio if paired else unpaired_ratio)(base.seconds, new.seconds, risk)
    worse = _worse(base, new, tolerance)
    return Change(name, Verdict.worse if worse else speed_of(ratio, tolerance), base, new, ratio, worse)


def rounds_to_decide(benchmarks: int, tolerance: Tolerance, paired: bool) -> int:
    """How many rounds a comparison of so many benchmarks needs."""
    return rounds_needed(tolerance.risk / benchmarks / (1 if paired else 2))


def speed_of(ratio: Interval, tolerance: Tolerance) -> Verdict:
    """What an interval of new time over base time says."""
    if not ratio.is_bounded:
        return Verdict.undecided if ratio.middle > 1 + tolerance.speed else Verdict.same
    if ratio.low > 1 + tolerance.speed:
        return Verdict.slower
    return Verdict.faster if ratio.high < 1 / (1 + tolerance.speed) else Verdict.same


def _worse(base: Measurement, new: Measurement, tolerance: Tolerance) -> tuple[str, ...]:
    lost = []
    for measure, was in base.accuracy.items():
        now = new.accuracy.get(measure)
        if now is None or now < was - tolerance.accuracy:
            lost.append(_fall(measure, was, now))
    for measure, was in base.error.items():
        now = new.error.get(measure)
        if now is None or now > was * (1 + tolerance.error):
            lost.append(_fall(measure, was, now))
    return tuple(lost)


def _fall(measure: str, was: float, now: float | None) -> str:
    return f"{measure} {was:.4g} to {'nothing' if now is None else f'{now:.4g}'}"
