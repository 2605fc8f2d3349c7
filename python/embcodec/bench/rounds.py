"""Two installations or source trees, or two commands, measured in turns: what disturbs one disturbs both."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import uuid4

from embcodec.bench.compare import Change, Tolerance, Verdict, compare
from embcodec.bench.runs import Measurement, Run, read_run
from embcodec.bench.statistics import rounds_needed

__all__ = ["Comparison", "Side", "compare_sides"]

CONFIRMING_ROUNDS = 20
_OUT = "{out}"


@dataclass(frozen=True)
class Side:
    """How to measure one side once: a command that writes a result to {out}.

    Attributes:
        command: its words.
        folder: where to run it; None for a new one, so that no source tree is imported by chance.
        takes_only: whether it knows --only.
    """

    command: tuple[str, ...]
    folder: Path | None
    takes_only: bool

    @classmethod
    def parse(cls, text: str, options: Sequence[str] = ()) -> Side:
        """A command with {out}; or, to run ours with, a Python interpreter or a folder of `embcodec/`.

        Args:
            text: what the user wrote.
            options: for `embcodec bench run`.

        Raises:
            ValueError: it is none of these.
        """
        if _OUT in text:
            return cls(tuple(shlex.split(text)), Path.cwd(), takes_only=False)
        path = Path(text).absolute()  # not resolved: a venv's interpreter is a link that must keep its name
        ours = ("-m", "embcodec", "bench", "run", "--rounds", "1", "-o", _OUT, *options)
        if (path / "embcodec").is_dir():
            return cls((sys.executable, *ours), path, takes_only=True)
        if path.is_file() and os.access(path, os.X_OK):
            return cls((str(path), *ours), None, takes_only=True)
        raise ValueError(
            f"{text}: no Python interpreter, no folder that holds embcodec/, and no command with {_OUT}"
        )

    def measure(self, only: Sequence[str]) -> Run:
        """One round.

        Raises:
            ValueError: the command failed, or wrote no result.
        """
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "result.json"
            command = [word.replace(_OUT, str(out)) for word in self.command]
            if self.takes_only:
                command += [word for name in only for word in ("--only", name)]
            done = subprocess.run(command, cwd=self.folder or scratch, capture_output=True, text=True)
            if done.returncode or not out.exists():
                said = (done.stderr or done.stdout).strip().splitlines()[-1:]
                raise ValueError(
                    f"{shlex.join(command[:4])} ... gave status {done.returncode} and "
                    f"{'a' if out.exists() else 'no'} result: {''.join(said)}"
                )
            return read_run(out)


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
    on_round: Callable[[str, int, int], None] = lambda purpose, i, rounds: None,
) -> Comparison:
    """Screen all benchmarks in a few rounds, then decide about those that look slower in fresh ones.

    The rounds that raised a suspicion have no say in the decision, so looking at many benchmarks raises no
    alarms; and rounds of few benchmarks are short, so there can be enough for a narrow interval.

    Args:
        base: what it is compared with.
        new: what must not be slower.
        rounds: of the screening.
        only: benchmarks whose names contain one of these.
        tolerance: what counts as a change.
        on_round: called before each round with its purpose, its number from 0, and how many there are.
    """
    tolerance = tolerance or Tolerance()
    first = _interleave(base, new, rounds, only, partial(on_round, "screen"))
    changes = {change.name: change for change in compare(*first, tolerance)}
    suspects = [name for name, change in changes.items() if _suspect(change, tolerance)]
    if suspects:
        count = max(CONFIRMING_ROUNDS, rounds_needed(tolerance.risk / len(suspects)))
        again = _interleave(base, new, count, suspects, partial(on_round, "confirm"))
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
    base: Side, new: Side, rounds: int, only: Sequence[str], before: Callable[[int, int], None]
) -> tuple[Run, Run]:
    """Rounds of both sides, every other one the other way round."""
    sides = (base, new)
    results: tuple[list[Run], list[Run]] = ([], [])
    for i in range(rounds):
        before(i, rounds)
        for side in (0, 1)[:: -1 if i % 2 else 1]:
            results[side].append(sides[side].measure(only))
    name = uuid4().hex
    return _joined(results[0], name), _joined(results[1], name)


def _joined(runs: list[Run], name: str) -> Run:
    """One run: of each round the least time, of the first the rest."""
    measurements: dict[str, Measurement] = {}
    for key, first in runs[0].measurements.items():
        of_rounds = [run.measurements[key] for run in runs if key in run.measurements]
        measurements[key] = replace(first, seconds=[min(m.seconds) for m in of_rounds])
    return replace(runs[0], measurements=measurements, rounds_of=name)
