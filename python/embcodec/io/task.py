"""One file of a job: which rows it is made of, and what is written for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa

from embcodec.io.base import Source, Writer
from embcodec.io.columns import column_of, rows_of
from embcodec.io.conversion import Conversion
from embcodec.io.formats import check_suffix, open_source, open_writer
from embcodec.io.plan import Plan
from embcodec.io.progress import Progress

__all__ = ["FileTask"]


class FileTask:
    """One file to convert.

    Args:
        source: what to read.
        conversion: what to do with it.
        target: where the result is to be.

    Raises:
        ValueError: the codec does not fit the source, or `target` does not end as a format's files do.
    """

    def __init__(self, source: Source, conversion: Conversion, target: Path) -> None:
        conversion.check(source)
        self.source = source
        self.target = target
        self._conversion = conversion
        self._keeps_columns = check_suffix(target) == ".parquet"
        self._columns = source.schema.names if self._keeps_columns else [source.column]
        self._schema = conversion.schema(source, self._columns)

    @property
    def left_out(self) -> list[str]:
        """Columns that the format of the target has no place for."""
        return [] if self._keeps_columns else self.source.carried

    @property
    def row_bytes(self) -> tuple[int, int]:
        """What a row takes as it is read and converted, and as it is written; with what is carried along."""
        carried = self.source.carried_bytes if self._keeps_columns else 0
        vector = 4 * self._conversion.codec.d
        return max(self.source.row_bytes, vector) + carried, self._conversion.row_bytes + carried

    def is_done(self) -> bool:
        """Whether the target is there, with as many rows as the source and of the same codec."""
        if not self.target.exists():
            return False
        try:
            found = self._open_result()
        except ValueError:
            return False
        expected = self._conversion.metadata(self.source)
        return (found.rows, found.width) == (self.source.rows, self._conversion.width) and (
            expected.items() <= found.metadata.items()
        )

    def _open_result(self) -> Source:
        named = self._conversion.result_kind == "vectors" and self.target.suffix != ".npy"
        column = self._conversion.column(self.source) if named else None
        return open_source(self.target, self._conversion.result_kind, column)

    def chunk_count(self, plan: Plan) -> int:
        """How many chunks the file is made of."""
        return -(-self.source.rows // plan.chunk_rows)

    def chunks(self, plan: Plan, first: int, progress: Progress) -> Iterator[pa.Table]:
        """The chunks from number `first` on, converted.

        Raises:
            ValueError: the source is damaged, or a row cannot be converted.
        """
        row = first * plan.chunk_rows
        progress.skip(row)
        pieces: list[pa.RecordBatch] = []
        for batch in _exact(self.source.read(row, plan.batch_rows, self._columns), plan.batch_rows):
            pieces.append(self._converted(batch, row))
            row += batch.num_rows
            progress.advance(batch.num_rows)
            if row % plan.chunk_rows == 0:
                yield _joined(pieces)
                pieces.clear()
        if row != self.source.rows:
            raise ValueError(f"{self.source.path}: has {row} rows, but should have {self.source.rows}")
        if pieces:
            yield _joined(pieces)

    def open_writer(self, path: Path) -> Writer:
        """Begin the file, at a path other than the target."""
        column, metadata = self._conversion.column(self.source), self._conversion.metadata(self.source)
        return open_writer(path, self._schema, column, self.source.rows, metadata, self.source.compression)

    def _converted(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        columns = batch.columns
        at = self._columns.index(self.source.column)
        rows = rows_of(columns[at], str(self.source.path), first)
        columns[at] = column_of(self._conversion.convert(rows, self.source, first))
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _exact(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of exactly `size`, the last one aside."""
    held: list[pa.RecordBatch] = []
    missing = size
    for batch in batches:
        while batch.num_rows >= missing:
            yield _only_batch([*held, batch.slice(0, missing)])
            batch = batch.slice(missing)
            held, missing = [], size
        if batch.num_rows:
            held.append(batch)
            missing -= batch.num_rows
    if held:
        yield _only_batch(held)


def _only_batch(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pieces[0] if len(pieces) == 1 else _joined(pieces).to_batches()[0]


def _joined(pieces: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(pieces).unify_dictionaries().combine_chunks()
