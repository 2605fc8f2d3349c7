"""Which format a path is in, by its ending: the one list of formats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from embcodec.io.base import Source, Writer
from embcodec.io.columns import Kind
from embcodec.io.npy import open_npy, write_npy
from embcodec.io.parquet import ParquetSource, ParquetWriter
from embcodec.io.tensors import open_tensors, write_tensors

__all__ = ["SUFFIXES", "check_suffix", "find_files", "open_source", "open_writer"]

_OPENERS = {".npy": open_npy, ".parquet": ParquetSource, ".safetensors": open_tensors}
SUFFIXES = tuple(_OPENERS)


def check_suffix(path: Path) -> str:
    """The ending of a path, if it names a format.

    Raises:
        ValueError: it names none.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
    return path.suffix


def find_files(path: Path) -> list[Path]:
    """The files to read: `path` itself, or the files of one format in the folder `path`, by name.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: it is of no known format, or a folder without such files or with several formats.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if not path.is_dir():
        check_suffix(path)
        return [path]
    files = sorted(
        file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith((".", "_"))
    )
    formats = {file.suffix for file in files}
    if len(formats) != 1:
        found = ", ".join(sorted(formats)) or "none"
        raise ValueError(
            f"{path}: a folder must hold files of one format, {', '.join(SUFFIXES)}; found {found}"
        )
    return files


def open_source(path: Path, kind: Kind, column: str | None = None) -> Source:
    """Open one file for reading.

    Args:
        path: a `.npy`, `.parquet` or `.safetensors` file.
        kind: whether vectors or codes are sought in it.
        column: the column or tensor; None takes the only one that fits.

    Raises:
        ValueError: the file is damaged, empty, or does not hold what is sought.
    """
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty (0 bytes)")
    return _OPENERS[check_suffix(path)](path, kind, column)


def open_writer(
    path: Path,
    schema: pa.Schema,
    column: str,
    rows: int,
    metadata: Mapping[str, str],
    compression: Mapping[str, str],
) -> Writer:
    """Begin a file in the format that its name says.

    Args:
        path: where to write; what is there is lost.
        schema: the columns of the batches to come; `.npy` and `.safetensors` keep only `column`.
        column: the column of vectors or codes.
        rows: how many rows will come.
        metadata: text that the file is to keep about itself.
        compression: of the other columns' leaves, where the format has that.
    """
    suffix = check_suffix(path)
    if suffix == ".npy":
        return write_npy(path, schema, column, rows, metadata)
    if suffix == ".safetensors":
        return write_tensors(path, schema, column, rows, metadata)
    return ParquetWriter(path, schema.with_metadata(dict(metadata)), column, compression)
