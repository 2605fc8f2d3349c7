"""How far a job is, on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from embcodec.io import format_size

if TYPE_CHECKING:
    from embcodec.evaluation import Result

__all__ = ["Meter", "measuring"]

_SECONDS_BETWEEN_LINES = 10.0


class Meter:
    """Shows rows, rate and time left, from when a job begins until the `with` block ends.

    Args:
        label: the command.

    Attributes:
        fresh: rows done in this run.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._rows = self._row_bytes = self._done = self.fresh = 0
        self._started = self._last_line = time.monotonic()
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}")
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task(label, state="", visible=False) if self._bar else None

    def __enter__(self) -> Meter:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, rows: int, row_bytes: int) -> None:
        """See embcodec.io.Progress."""
        self._rows, self._row_bytes = rows, row_bytes
        self._started = self._last_line = time.monotonic()

    def skip(self, rows: int) -> None:
        """See embcodec.io.Progress."""
        self._done += rows
        self._show()

    def advance(self, rows: int) -> None:
        """See embcodec.io.Progress."""
        self._done += rows
        self.fresh += rows
        self._show()

    def _show(self) -> None:
        if self._bar and self._task is not None:
            self._bar.update(
                self._task, total=self._rows, completed=self._done, visible=True, state=self._state()
            )
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            print(f"{self._label}: {self._state()}", file=sys.stderr, flush=True)

    def _state(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = self.fresh / seconds
        done = f"{self._done:,}/{self._rows:,} rows"
        return f"{done}  {rate:,.0f} rows/s  {format_size(rate * self._row_bytes)}/s  {self._left(rate)}"

    def _left(self, rate: float) -> str:
        if self._done >= self._rows:
            return "finishing"
        return f"{timedelta(seconds=round((self._rows - self._done) / rate))} left" if rate else ""


@contextmanager
def measuring() -> Iterator[Callable[[Result], None]]:
    """While codecs are measured: says which was measured last."""
    console = Console(stderr=True)
    with console.status("measuring exact search") as status:

        def on_result(result: Result) -> None:
            status.update(f"measured {result.spec}")
            if not console.is_terminal:
                print(f"measured {result.spec}", file=sys.stderr, flush=True)

        yield on_result
