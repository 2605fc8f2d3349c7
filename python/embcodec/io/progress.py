"""How far a job is: what it tells, and to whom."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "Silent"]


class Progress(Protocol):
    """Is told how far a job is."""

    def begin(self, rows: int, row_bytes: int) -> None:
        """The amount of work: rows to read, and the bytes of a row."""

    def skip(self, rows: int) -> None:
        """These rows were done by an earlier run."""

    def advance(self, rows: int) -> None:
        """These rows are done now."""


class Silent:
    """Progress that goes nowhere."""

    def begin(self, rows: int, row_bytes: int) -> None:
        """Nothing."""

    def skip(self, rows: int) -> None:
        """Nothing."""

    def advance(self, rows: int) -> None:
        """Nothing."""
