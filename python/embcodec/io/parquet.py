"""Parquet: a column of float lists or of fixed-size binary, among other columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from embcodec.io.base import Source, Writer, damage_reported
from embcodec.io.columns import Kind, find_column, row_width, rows_of
from embcodec.io.header import CODE_COLUMN

__all__ = ["ParquetSource", "ParquetWriter"]

_READ_BUFFER = 1 << 20
_PROBE_ROWS = 64
_WRITABLE = ("SNAPPY", "GZIP", "BROTLI", "LZ4", "ZSTD")  # others that can be read become uncompressed


class ParquetSource(Source):
    """A Parquet file, read in batches even where all its rows are one row group.

    Raises:
        ValueError: the file is damaged, or has not exactly one column that fits.
    """

    def __init__(self, path: Path, kind: Kind, column: str | None) -> None:
        self.path = path
        with self._open() as file:
            footer = file.metadata
            self.schema = file.schema_arrow
        if len(set(self.schema.names)) < len(self.schema.names):
            raise ValueError(f"{path}: two columns have the same name")
        column = CODE_COLUMN if kind == "codes" and column is None else column
        self.column = self.schema.names[find_column(self.schema, kind, column, str(path))]
        self.rows = footer.num_rows
        self.metadata = _as_text(self.schema.metadata)
        self._group_rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
        self._measure(footer)

    def read(self, start: int, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """See Source."""
        first, skip = 0, start
        while first < len(self._group_rows) and skip >= self._group_rows[first]:
            skip -= self._group_rows[first]
            first += 1
        groups = list(range(first, len(self._group_rows)))
        with self._open() as file:
            for batch in file.iter_batches(size, row_groups=groups, columns=columns, use_threads=False):
                dropped = min(skip, batch.num_rows)
                skip -= dropped
                if dropped < batch.num_rows:
                    yield batch.slice(dropped)

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        """Without buffer_size, a column chunk is read whole: one row group of 1.5 GB takes 1.5 GB."""
        options = {"buffer_size": _READ_BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        with damage_reported(self.path), pq.ParquetFile(self.path, **options) as file:
            yield file

    def _measure(self, footer: pq.FileMetaData) -> None:
        """Set what a row takes, from the footer and from the first rows: dictionaries hide in the footer."""
        self.width = row_width(self.schema.field(self.column).type)
        self.row_bytes = self.carried_bytes = 0
        self.compression = {}
        probe = next(self.read(0, _PROBE_ROWS), None)
        if probe is None:
            return
        self.width = rows_of(probe.column(self.column), str(self.path)).shape[1]
        self.row_bytes = self.width * self.dtype.itemsize
        probed = probe.select(self.carried).nbytes // probe.num_rows
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        stated = [
            sum(leaf.total_uncompressed_size for leaf in _carried(group, self.column)) // group.num_rows
            for group in groups
            if group.num_rows
        ]
        self.carried_bytes = max(probed, *stated)
        self.compression = {
            leaf.path_in_schema: leaf.compression
            for leaf in _carried(groups[0], self.column)
            if leaf.compression in _WRITABLE
        }


class ParquetWriter(Writer):
    """Writes each table as one row group; a carried column keeps the compression that it had."""

    def __init__(self, path: Path, schema: pa.Schema, column: str, compression: Mapping[str, str]) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression=dict(compression),
            use_dictionary=[name for name in schema.names if name != column],
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """See Writer."""
        self._writer.write_table(table, row_group_size=max(table.num_rows, 1))

    def finish(self) -> None:
        """See Writer."""
        self._writer.close()
        self._sink.close()

    def drop(self) -> None:
        """See Writer."""
        with suppress(OSError, pa.ArrowException):
            self.finish()


def _carried(group: pq.RowGroupMetaData, column: str) -> list[pq.ColumnChunkMetaData]:
    leaves = [group.column(i) for i in range(group.num_columns)]
    return [leaf for leaf in leaves if not f"{leaf.path_in_schema}.".startswith(f"{column}.")]


def _as_text(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in (metadata or {}).items()
    }
