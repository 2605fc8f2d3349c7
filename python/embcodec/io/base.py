"""A file of rows as the jobs see it: read in batches, written in batches, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embcodec.io.columns import element_dtype, rows_of

__all__ = ["Source", "Writer", "damage_reported"]


class Source(ABC):
    """The rows of one file: a column of vectors or codes, and columns that are carried along.

    Attributes:
        path: the file.
        rows: how many rows it has.
        schema: its columns, as Arrow types.
        column: the name of the column of vectors or codes.
        width: dimensions of a vector or bytes of a code; None where there is no row to tell.
        row_bytes: memory that a row of that column takes.
        carried_bytes: memory that a row of the other columns takes, estimated.
        metadata: text that the file keeps about itself.
        compression: how the leaves of the other columns are compressed, where the format has that.
    """

    path: Path
    rows: int
    schema: pa.Schema
    column: str
    width: int | None
    row_bytes: int
    carried_bytes: int
    metadata: Mapping[str, str]
    compression: Mapping[str, str] = {}

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of an element: a float, or uint8 for codes."""
        return element_dtype(self.schema.field(self.column).type)

    @property
    def carried(self) -> list[str]:
        """The names of the other columns."""
        return [name for name in self.schema.names if name != self.column]

    @abstractmethod
    def read(self, start: int, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows from `start` to the end, in batches of at most `size`; `columns` None stands for all.

        Raises:
            ValueError: the file is damaged.
        """

    def read_rows(self, size: int) -> Iterator[npt.NDArray[Any]]:
        """The vectors or codes alone, in batches (m, width) of at most `size` rows.

        Raises:
            ValueError: the file is damaged, or a row is null or of another length.
        """
        start = 0
        for batch in self.read(0, size, [self.column]):
            yield rows_of(batch.column(0), str(self.path), start)
            start += batch.num_rows


class Writer(ABC):
    """A file being written. As a context manager it ends the file, or drops it where an error came up."""

    @abstractmethod
    def write(self, table: pa.Table) -> None:
        """Append rows."""

    @abstractmethod
    def finish(self) -> None:
        """Write what stands at the end of the file, and close it."""

    @abstractmethod
    def drop(self) -> None:
        """Close the file unfinished."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.drop()


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn what a library says about a damaged file into one line that names the file.

    Raises:
        ValueError: in place of the library's errors, whatever their class.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"{path}: cannot be read: {lines[0]}") from error
