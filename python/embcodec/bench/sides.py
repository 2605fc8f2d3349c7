"""What two runs are made of: a Python, a source tree, or a command that writes a result."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from embcodec.bench.runs import Measurement, read_run
from embcodec.bench.timing import least_in_turns

__all__ = ["Measurements", "Side", "measure_round"]

Measurements = dict[str, Measurement]
_OUT = "{out}"


@dataclass(frozen=True)
class Side:
    """How to measure one side.

    Attributes:
        command: its words; with {out} it writes a result there, else it is a process of `serve`.
        folder: where to run it; None for a new one, so that no source tree is imported by chance.
    """

    command: tuple[str, ...]
    folder: Path | None

    @classmethod
    def parse(cls, text: str, options: Sequence[str] = ()) -> Side:
        """A command with {out}; or, to run ours with, a Python interpreter or a folder of `embcodec/`.

        Args:
            text: what the user wrote.
            options: for `embcodec bench serve`.

        Raises:
            ValueError: it is none of these.
        """
        if _OUT in text:
            return cls(tuple(shlex.split(text)), Path.cwd())
        path = Path(text).absolute()  # not resolved: a venv's interpreter is a link that must keep its name
        ours = ("-m", "embcodec", "bench", "serve", *options)
        if (path / "embcodec").is_dir():
            return cls((sys.executable, *ours), path)
        if path.is_file() and os.access(path, os.X_OK):
            return cls((str(path), *ours), None)
        raise ValueError(
            f"{text}: no Python interpreter, no folder that holds embcodec/, and no command with {_OUT}"
        )

    @property
    def writes(self) -> bool:
        """Whether it writes a result to {out}."""
        return any(_OUT in word for word in self.command)


def measure_round(
    sides: tuple[Side, Side], only: Sequence[str], swap: bool, judge: bool
) -> tuple[Measurements, Measurements]:
    """Measure both sides once, each benchmark with one number.

    Args:
        sides: base and new.
        only: benchmarks whose names contain one of these; commands know nothing of it.
        swap: whether the second goes first.
        judge: whether to find accuracy and error too; commands always do.

    Raises:
        ValueError: a side failed.
    """
    if any(side.writes for side in sides):
        written = {i: _written(sides[i]) for i in ((1, 0) if swap else (0, 1))}
        return written[0], written[1]
    with ExitStack() as stack:
        base, new = (stack.enter_context(_Worker(side, only)) for side in sides)  # both prepare at a time
        offered, also = base.read(), new.read()
        found: tuple[Measurements, Measurements] = ({}, {})
        for name in offered:
            if name in also:
                times = least_in_turns(partial(base.time, name), partial(new.time, name), swap)
                found[1][name] = new.measurement(name, also[name], times[1], judge)
            else:
                times = base.time(name), 0.0
            found[0][name] = base.measurement(name, offered[name], times[0], judge)
        return found


def _written(side: Side) -> Measurements:
    """What a command measures, the least time of each benchmark."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "result.json"
        command = [word.replace(_OUT, str(out)) for word in side.command]
        done = subprocess.run(command, cwd=side.folder, capture_output=True, text=True)
        if done.returncode or not out.exists():
            raise _failed(side, done.returncode, done.stderr or done.stdout)
        found = read_run(out).measurements
    return {name: replace(m, seconds=[min(m.seconds)]) for name, m in found.items()}


class _Worker:
    """A process of `serve`."""

    def __init__(self, side: Side, only: Sequence[str]) -> None:
        self._side, self._only = side, only

    def __enter__(self) -> _Worker:
        with ExitStack() as stack:
            folder = self._side.folder or stack.enter_context(tempfile.TemporaryDirectory())
            self._stderr = stack.enter_context(tempfile.TemporaryFile("w+"))
            command = [*self._side.command, *(word for name in self._only for word in ("--only", name))]
            self._process = stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._stderr,
                    text=True,
                )
            )
            stack.callback(self._process.kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def time(self, name: str) -> float:
        """A sample of a benchmark."""
        return float(self.ask(f"time {name}"))

    def measurement(self, name: str, offer: dict[str, Any], seconds: float, judge: bool) -> Measurement:
        """What it offered under a name, timed; judged too if so wanted."""
        accuracy, error = self.ask(f"quality {name}") if judge else ({}, {})
        return Measurement(**{**offer, "seconds": [seconds], "accuracy": accuracy, "error": error})

    def ask(self, request: str) -> Any:
        """The answer to a request."""
        assert self._process.stdin is not None, "it was opened as a pipe"
        try:
            self._process.stdin.write(f"{request}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # then there is no answer either
        return self.read()

    def read(self) -> Any:
        """The next answer."""
        assert self._process.stdout is not None, "it was opened as a pipe"
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._stderr.seek(0)
            raise _failed(self._side, status, self._stderr.read())
        return json.loads(line)


def _failed(side: Side, status: int, output: str) -> ValueError:
    said = "".join(output.strip().splitlines()[-1:])
    command = shlex.join(side.command)
    return ValueError(
        f"{command if len(command) < 60 else command[:57] + '...'} left with status {status}: {said}"
    )
