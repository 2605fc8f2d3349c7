"""How many rows to hold at once, so that a process stays within its memory.

What is planned depends on the arguments alone, not on what is free at the time: an interrupted job must go on
with the same rows in each chunk, and a fit must take the same sample again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

__all__ = ["Budget", "Plan", "plan_batch", "plan_chunks", "plan_fit"]

_RESERVED = 170_000_000  # the interpreter, the libraries, Parquet's buffers and pages: measured 90 to 160 MB
_CODEC_COPIES = 4  # of a codec's file while it is loaded, and of its matrices in float64
_BATCH_COPIES = 8  # of a batch: as read, decompressed, and as the stages of a codec pass it on
_CHUNK_COPIES = 4  # of a chunk: in pieces, joined, and in a writer's pages
_SAMPLE_COPIES = 5  # of the sample: as drawn, before and after a stage, and while a stage is fitted
_BATCH_BYTES = 16 << 20
_CHUNK_ROWS = 65536


@dataclass(frozen=True)
class Budget:
    """The memory of the whole process.

    Attributes:
        memory: bytes, everything included.
        held: bytes of them that are taken whatever the rows are.
    """

    memory: int
    held: int = _RESERVED

    def holding(self, size: int) -> Budget:
        """With `size` bytes more that are held."""
        return replace(self, held=self.held + size)

    def holding_codec(self, path: Path) -> Budget:
        """With this codec loaded."""
        return self.holding(_CODEC_COPIES * path.stat().st_size)

    def rows(self, row_bytes: int) -> int:
        """How many rows fit beside what is held.

        Raises:
            ValueError: not one does.
        """
        rows = (self.memory - self.held) // max(row_bytes, 1)
        if rows < 1:
            memory, need = (f"{size / 1e6:,.1f} MB" for size in (self.memory, self.held + row_bytes))
            raise ValueError(f"a memory of {memory} is too small: this takes {need} at least")
        return rows


@dataclass(frozen=True)
class Plan:
    """Rows that a codec is given at once, and rows that are committed at once: both powers of two."""

    batch_rows: int
    chunk_rows: int


def plan_batch(budget: Budget, row_bytes: int, most: int | None = None) -> int:
    """Rows of a batch, a power of two.

    Args:
        budget: what there is.
        row_bytes: what a row of a batch takes, its vector and what is carried along.
        most: bytes of a batch at most, one row aside; None takes 16 MB.

    Raises:
        ValueError: not one row fits.
    """
    rows = min(budget.rows(_BATCH_COPIES * row_bytes), max(1, (most or _BATCH_BYTES) // max(row_bytes, 1)))
    return 1 << (rows.bit_length() - 1)


def plan_fit(budget: Budget, row_bytes: int, sample_row_bytes: int) -> tuple[int, int]:
    """Rows of a batch, and rows of the sample that a codec is fitted on.

    Args:
        budget: what there is.
        row_bytes: what a row takes as it is read.
        sample_row_bytes: what a row takes in float32, where it has the most dimensions.

    Raises:
        ValueError: not one row fits.
    """
    batch_rows = plan_batch(budget, 2 * row_bytes)
    rest = budget.holding(_BATCH_COPIES * batch_rows * row_bytes)
    return batch_rows, rest.rows(_SAMPLE_COPIES * sample_row_bytes)


def plan_chunks(budget: Budget, batch_row_bytes: int, chunk_row_bytes: int) -> Plan:
    """Divide what there is, half for the batch in work, half for the chunk that is gathered.

    Args:
        budget: what there is.
        batch_row_bytes: what a row of a batch takes, its vector and what is carried along.
        chunk_row_bytes: what a row of the result takes, with what is carried along.

    Raises:
        ValueError: not one row fits.
    """
    batch_rows = plan_batch(budget, 2 * batch_row_bytes)
    rows = min(budget.rows(2 * _CHUNK_COPIES * chunk_row_bytes), _CHUNK_ROWS)
    chunk_rows = 1 << (rows.bit_length() - 1)
    return Plan(min(batch_rows, chunk_rows), chunk_rows)
