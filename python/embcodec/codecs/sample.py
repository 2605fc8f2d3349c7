"""A uniform sample of a stream of rows, in one pass; see docs/decisions/0001-fit-on-a-sample.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .rows import F32, I64, U64, as_rows, blocks, on_host, refuse_nonfinite, to_float32

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix(z: U64) -> U64:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: U64 = z ^ (z >> np.uint64(31))
    return mixed


def row_keys(seed: int, first: int, n: int) -> U64:
    """The keys of rows first..first + n - 1: a splitmix64 stream started at a hash of seed, no two alike."""
    start = _mix(np.array([(seed + _GOLDEN) & _MASK], np.uint64))
    steps = np.arange(first + 1, first + n + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return _mix(start + steps)


def stage_seed(seed: int, stage: int) -> int:
    """A seed for one stage of a spec, so that two rotations in a row differ."""
    return int(row_keys(seed, stage, 1)[0] >> np.uint64(32))


class RowSample:
    """The `max_rows` rows with the smallest keys; which ones does not depend on how the stream was cut."""

    def __init__(self, max_rows: int, d: int, seed: int) -> None:
        self._rows: F32 = np.empty((max_rows, d), np.float32)  # pages are taken as they are written
        self._keys: U64 = np.empty(max_rows, np.uint64)
        self._index: I64 = np.empty(max_rows, np.int64)
        self.d = d
        self._seed = seed
        self._kept = 0
        self.seen = 0

    def add(self, x: F32) -> None:
        """Take the next rows of the stream."""
        size = len(self._keys)
        keys = row_keys(self._seed, self.seen, len(x))
        every = np.concatenate([self._keys[: self._kept], keys])
        keep = np.ones(len(every), np.bool_)
        if len(every) > size:
            keep[np.argpartition(every, size - 1)[size:]] = False
        new = np.flatnonzero(keep[self._kept :])
        evicted = np.flatnonzero(~keep[: self._kept])
        slots = np.concatenate([evicted, np.arange(self._kept, size)])[: len(new)]
        self._rows[slots], self._keys[slots], self._index[slots] = x[new], keys[new], self.seen + new
        self._kept = min(size, len(every))
        self.seen += len(x)

    def rows(self) -> F32:
        """The sample in the order of the stream, a view; the object is used up."""
        rows, index = self._rows[: self._kept], self._index[: self._kept]
        if (np.diff(index) < 0).any():
            order = np.argsort(index)
            for column in range(0, rows.shape[1], 64):  # a copy of some columns at a time, not of the sample
                rows[:, column : column + 64] = rows[order, column : column + 64]
        return rows


def sample_rows(where: str, x: Any, max_rows: int, seed: int) -> F32:
    """A uniform sample of at most `max_rows` rows of an array or of an iterable of batches, read once.

    Raises:
        TypeError: a dtype that is not a float's.
        ValueError: a shape, a non-finite value (with its row), or no rows at all.
    """
    if hasattr(x, "__array__"):
        rows = on_host(as_rows(where, "x", x))
        if 0 < len(rows) <= max_rows:
            refuse_nonfinite(where, "x", rows)
            return to_float32(rows)
        x = [rows]
    elif not isinstance(x, Iterable) or isinstance(x, (str, bytes)):
        raise TypeError(f"{where}: x must be an array or an iterable of batches, got {type(x).__name__}")
    sample: RowSample | None = None
    for batch in x:
        rows = on_host(as_rows(where, "x", batch, None if sample is None else sample.d))
        sample = sample or RowSample(max_rows, rows.shape[1], seed)
        for part in blocks(rows, 4 * rows.shape[1]):
            refuse_nonfinite(where, "x", rows[part], sample.seen)
            sample.add(to_float32(rows[part]))
    if sample is None or sample.seen == 0:
        raise ValueError(f"{where}: x has no rows")
    return sample.rows()
