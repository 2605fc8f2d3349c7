"""Two sides measured in turns: what disturbs one disturbs the other, and cancels in their ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from embcodec.bench.compare import Change, Tolerance, Verdict, compare
from embcodec.bench.machine import commit_of
from embcodec.bench.runs import Run
from embcodec.bench.sides import Measurements, Side, measure_round
from embcodec.bench.statistics import rounds_needed

__all__ = ["Comparison", "compare_sides"]

CONFIRMING_ROUNDS = 25

OnRound = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Comparison:
    """What was decided, and the runs of the screening rounds."""

    changes: list[Change]
    base: Run
    new: Run


def compare_sides(
    base: Side,
    new: Side,
    *,
    rounds: int = 5,
    only: Sequence[str] = (),
    tolerance: Tolerance | None = None,
    on_round: OnRound = lambda purpose, i, rounds: None,
) -> Comparison:
    """Screen all benchmarks in a few rounds, then decide about those that look slower in fresh ones.

    The rounds that raised a suspicion have no say in the decision, so looking at many benchmarks raises no
    alarms; and rounds of few benchmarks are short, so there can be enough for a narrow interval. Each round
    has new processes, because where memory happens to lie makes a difference of its own.

    Args:
        base: what it is compared with.
        new: what must not be slower.
        rounds: of the screening.
        only: benchmarks whose names contain one of these.
        tolerance: what counts as a change.
        on_round: called before each round with its purpose, its number from 0, and how many there are.

    Raises:
        ValueError: a side failed, or they have no benchmark in common.
    """
    tolerance = tolerance or Tolerance()
    first = _interleave((base, new), rounds, only, True, partial(on_round, "screen"))
    changes = {change.name: change for change in compare(*first, tolerance)}
    if not changes:
        raise ValueError("the two sides have no benchmark in common")
    suspects = [name for name, change in changes.items() if _suspect(change, tolerance)]
    if suspects:
        count = max(CONFIRMING_ROUNDS, rounds_needed(tolerance.risk / len(suspects)))
        again = _interleave((base, new), count, suspects, False, partial(on_round, "confirm"))
        decided = compare(_select(again[0], suspects), _select(again[1], suspects), tolerance)
        changes |= {change.name: change for change in decided}
    return Comparison(list(changes.values()), *first)


def _suspect(change: Change, tolerance: Tolerance) -> bool:
    return (
        change.ratio is not None
        and change.verdict is not Verdict.worse
        and change.ratio.middle > 1 + tolerance.speed / 2
    )


def _select(run: Run, names: Sequence[str]) -> Run:
    return replace(run, measurements={name: run.measurements[name] for name in names})


def _interleave(
    sides: tuple[Side, Side],
    rounds: int,
    only: Sequence[str],
    judge: bool,
    before: Callable[[int, int], None],
) -> tuple[Run, Run]:
    """Rounds of both sides; quality, which does not vary, in the first."""
    found = []
    for i in range(rounds):
        before(i, rounds)
        found.append(measure_round(sides, only, swap=i % 2 == 1, judge=judge and i == 0))
    name = uuid4().hex
    base, new = (_joined(side, list(of_rounds), name) for side, of_rounds in zip(sides, zip(*found)))
    return base, new


def _joined(side: Side, rounds: list[Measurements], name: str) -> Run:
    """One run: the time of each round, and the rest from the first."""
    measurements = {
        key: replace(first, seconds=[m[key].seconds[0] for m in rounds if key in m])
        for key, first in rounds[0].items()
    }
    commit, time = commit_of(side.folder or Path.cwd())
    return Run(commit, time, {}, measurements, name)
