"""Vectors that are held in memory: queries, and what an evaluation compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from embcodec.codecs.rows import refuse_nonfinite
from embcodec.io.base import Source
from embcodec.io.formats import find_files, open_source
from embcodec.io.plan import Budget, plan_batch

__all__ = ["common_width", "load_vectors", "open_all"]


def load_vectors(path: Path, column: str | None = None, memory: int = 10**9) -> npt.NDArray[np.float32]:
    """All vectors of a file or folder, float32 (n, d).

    Args:
        path: a `.npy`, `.parquet` or `.safetensors` file, or a folder of such.
        column: the column of vectors; None takes the only one.
        memory: bytes that the process may take; the vectors may take half of what the rest leaves.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: the file is damaged, a value is not finite, there are no rows, or they are too many.
    """
    sources = open_all(path, column)
    d = common_width(path, sources)
    rows = sum(source.rows for source in sources)
    budget = Budget(memory)
    row_bytes = max(4 * d, *(source.row_bytes for source in sources))
    batch_rows = plan_batch(budget.holding(2 * rows * 4 * d), row_bytes)
    vectors = np.empty((rows, d), np.float32)
    at = 0
    for source in sources:
        first = at
        for batch in source.read_rows(batch_rows):
            refuse_nonfinite(str(source.path), source.column, batch, at - first)
            vectors[at : at + len(batch)] = batch
            at += len(batch)
    return vectors


def open_all(path: Path, column: str | None) -> list[Source]:
    """The files of vectors under a path.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: a file is damaged or does not hold vectors.
    """
    return [open_source(file, "vectors", column) for file in find_files(path)]


def common_width(path: Path, sources: list[Source]) -> int:
    """The dimensions that all rows have.

    Raises:
        ValueError: there are no rows, or files differ.
    """
    widths = {source.width: source for source in sources if source.rows}
    if not widths:
        raise ValueError(f"{path}: has no rows")
    if len(widths) > 1:
        listed = ", ".join(f"{source.path.name} has {width}" for width, source in widths.items())
        raise ValueError(f"{path}: all files must have the same dimensions: {listed}")
    return next(width for width in widths if width is not None)
