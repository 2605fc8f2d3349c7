"""Rows of one dtype that lie one after the other in a file: what `.npy` and safetensors share.

Files are read, not mapped: mapped pages would count against the memory that a job may use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embcodec.io.base import Source, Writer
from embcodec.io.columns import Kind, column_of, rows_of, type_of

__all__ = ["RawArray", "RawSource", "RawWriter"]

_DTYPES: dict[Kind, tuple[str, ...]] = {"vectors": ("float16", "float32", "float64"), "codes": ("uint8",)}


@dataclass(frozen=True)
class RawArray:
    """Where an array lies in a file, and in which form."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    bfloat16: bool = False

    @property
    def native_dtype(self) -> np.dtype[Any]:
        """Of what `to_native` returns: neither NumPy nor Arrow has bfloat16, and float32 holds it exactly."""
        return np.dtype(np.float32) if self.bfloat16 else self.dtype.newbyteorder("=")

    def to_native(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Elements as read from the file, in the machine's byte order and a dtype that NumPy has."""
        if self.bfloat16:
            stored = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return stored.astype(self.native_dtype, copy=False)


class RawSource(Source):
    """A file with one array of rows."""

    def __init__(self, path: Path, array: RawArray, kind: Kind, metadata: Mapping[str, str]) -> None:
        if array.native_dtype.name not in _DTYPES[kind]:
            allowed = " or ".join(_DTYPES[kind])
            raise ValueError(f"{path}: {array.name} must be {allowed}, got {array.native_dtype}")
        if len(array.shape) != 2 or array.shape[1] == 0:
            raise ValueError(f"{path}: {array.name} must have rows and columns, got shape {array.shape}")
        self.path = path
        self.column = array.name
        self.rows, self.width = array.shape
        self.row_bytes = array.shape[1] * array.dtype.itemsize
        self.carried_bytes = 0
        self.metadata = metadata
        self.schema = pa.schema([(array.name, type_of(array.native_dtype, array.shape[1]))])
        self._array = array
        if array.offset + self.rows * self.row_bytes > path.stat().st_size:
            raise self._truncated()

    def read(self, start: int, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """See Source."""
        width = self._array.shape[1]
        with self.path.open("rb") as file:
            file.seek(self._array.offset + start * self.row_bytes)
            for first in range(start, self.rows, size):
                count = min(size, self.rows - first)
                stored = np.fromfile(file, self._array.dtype, count * width)
                if len(stored) < count * width:
                    raise self._truncated()
                rows = self._array.to_native(stored).reshape(count, width)
                yield pa.record_batch([column_of(rows)], schema=self.schema)

    def _truncated(self) -> ValueError:
        return ValueError(f"{self.path}: ends before its {self.rows} rows do")


class RawWriter(Writer):
    """Writes a header that is known beforehand, then the rows of one column."""

    def __init__(self, path: Path, header: bytes, column: str) -> None:
        self._path = path
        self._column = column
        self._file = path.open("wb")
        self._file.write(header)

    def write(self, table: pa.Table) -> None:
        """See Writer."""
        for piece in table.column(self._column).chunks:
            self._file.write(np.ascontiguousarray(rows_of(piece, str(self._path))).data)

    def finish(self) -> None:
        """See Writer."""
        self._file.close()

    def drop(self) -> None:
        """See Writer."""
        self._file.close()
