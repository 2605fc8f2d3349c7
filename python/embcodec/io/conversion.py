"""The two directions: vectors to codes, codes to vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embcodec.codecs import Codec
from embcodec.codecs.rows import refuse_nonfinite
from embcodec.io.base import Source
from embcodec.io.columns import Kind, type_of
from embcodec.io.device import DeviceEncoder
from embcodec.io.header import CODE_COLUMN, CodesHeader

__all__ = ["Conversion", "Decoding", "Device", "Encoding"]

Rows = npt.NDArray[Any]
Device = Literal["cpu", "cuda"]


class Conversion(ABC):
    """Turns a column of one kind into a column of the other.

    Attributes:
        name: of the command.
        kind: what is read.
        result_kind: what is written.
        codec: a fitted codec.
        dtype: of an element that is written.
        width: elements of a row that is written.
    """

    name: str
    kind: Kind
    result_kind: Kind

    def __init__(self, codec: Codec, dtype: np.dtype[Any], width: int) -> None:
        self.codec = codec
        self.dtype = dtype
        self.width = width

    @property
    def row_bytes(self) -> int:
        """Of a row that is written."""
        return self.width * self.dtype.itemsize

    def schema(self, source: Source, columns: list[str]) -> pa.Schema:
        """What is written for these columns of the source.

        Raises:
            ValueError: a column that is carried along has the name of the one that is written.
        """
        name = self.column(source)
        if name in source.carried and name in columns:
            raise ValueError(f"{source.path}: already has a column {name!r}, which {self.name} would write")
        new = pa.field(name, type_of(self.dtype, self.width))
        return pa.schema([new if c == source.column else source.schema.field(c) for c in columns])

    @abstractmethod
    def check(self, source: Source) -> None:
        """Raise a ValueError if the codec does not fit the source."""

    @abstractmethod
    def column(self, source: Source) -> str:
        """The name of the column that is written."""

    @abstractmethod
    def metadata(self, source: Source) -> dict[str, str]:
        """What the written file says about itself."""

    @abstractmethod
    def convert(self, rows: Rows, source: Source, first: int) -> Rows:
        """A batch, whose first row is row `first` of the source; a ValueError names a row that cannot be."""


class Encoding(Conversion):
    """Vectors (n, d) to codes (n, code_size)."""

    name = "encode"
    kind: Kind = "vectors"
    result_kind: Kind = "codes"

    def __init__(self, codec: Codec, device: Device = "cpu") -> None:
        super().__init__(codec, np.dtype(np.uint8), codec.code_size)
        self._encode = codec.encode if device == "cpu" else DeviceEncoder(codec).encode

    def check(self, source: Source) -> None:
        """See Conversion."""
        if source.width not in (None, self.codec.d):
            raise ValueError(
                f"{source.path}: rows have {source.width} dimensions, the codec takes {self.codec.d}"
            )

    def column(self, source: Source) -> str:
        """See Conversion."""
        return CODE_COLUMN

    def metadata(self, source: Source) -> dict[str, str]:
        """See Conversion."""
        return CodesHeader.of(self.codec, source.column).metadata()

    def convert(self, rows: Rows, source: Source, first: int) -> Rows:
        """See Conversion."""
        if rows.shape[1] != self.codec.d:
            raise ValueError(
                f"{source.path}: row {first} has {rows.shape[1]} dimensions, the codec takes {self.codec.d}"
            )
        try:
            return self._encode(rows)
        except ValueError:
            refuse_nonfinite(str(source.path), source.column, rows, first)  # by its number in the file
            raise


class Decoding(Conversion):
    """Codes (n, code_size) to vectors (n, d)."""

    name = "decode"
    kind: Kind = "codes"
    result_kind: Kind = "vectors"

    def __init__(self, codec: Codec, dtype: np.dtype[Any]) -> None:
        super().__init__(codec, dtype, codec.d)

    def check(self, source: Source) -> None:
        """See Conversion."""
        check_codes(source, self.codec)

    def column(self, source: Source) -> str:
        """See Conversion."""
        return CodesHeader.parse(source.metadata, str(source.path)).column

    def metadata(self, source: Source) -> dict[str, str]:
        """See Conversion."""
        return {}

    def convert(self, rows: Rows, source: Source, first: int) -> Rows:
        """See Conversion."""
        with np.errstate(over="ignore"):
            vectors: Rows = self.codec.decode(rows).astype(self.dtype, copy=False)
        if self.dtype == np.float16:
            refuse_nonfinite(str(source.path), "the vector as float16", vectors, first)
        return vectors


def check_codes(source: Source, codec: Codec) -> None:
    """Refuse codes that this codec did not write.

    Raises:
        ValueError: they are another codec's, or do not say whose.
    """
    CodesHeader.parse(source.metadata, str(source.path)).check(codec, str(source.path))
    if source.width != codec.code_size:
        raise ValueError(
            f"{source.path}: codes have {source.width} bytes, the codec's have {codec.code_size}"
        )
