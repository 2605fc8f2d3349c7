"""Rows in a safetensors file: one 2-d tensor; codes are the tensor `codes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from embcodec.io.base import damage_reported
from embcodec.io.columns import Kind, element_dtype, row_width
from embcodec.io.raw import RawArray, RawSource, RawWriter

__all__ = ["open_tensors", "tensors_metadata", "write_tensors"]

CODES_TENSOR = "codes"
_MAX_HEADER = 100_000_000  # the format's own limit
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "|u1"}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}


def open_tensors(path: Path, kind: Kind, column: str | None) -> RawSource:
    """Open the tensor `column`, or the only one that is 2-d; for codes the tensor `codes`.

    Raises:
        ValueError: the file is none, is truncated, or has no such tensor.
    """
    with damage_reported(path):
        header, data_start = _read_header(path)
        metadata = header.pop("__metadata__", {})
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
    column = column or (CODES_TENSOR if kind == "codes" else _only_matrix(path, shapes))
    if column not in header:
        raise ValueError(f"{path}: no tensor {column!r}; it has {', '.join(sorted(shapes)) or 'none'}")
    entry = header[column]
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"{path}: tensor {column!r} is {entry['dtype']}, not one of {', '.join(_DTYPES)}")
    offset = data_start + int(entry["data_offsets"][0])
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    array = RawArray(column, dtype, shapes[column], offset, bfloat16=entry["dtype"] == "BF16")
    return RawSource(path, array, kind, metadata)


def write_tensors(
    path: Path, schema: pa.Schema, column: str, rows: int, metadata: Mapping[str, str]
) -> RawWriter:
    """Begin a file with one tensor, the `rows` rows of `column`."""
    type_ = schema.field(column).type
    dtype, shape = element_dtype(type_), (rows, row_width(type_))
    size = rows * (row_width(type_) or 0) * dtype.itemsize
    name = CODES_TENSOR if dtype == np.uint8 else column
    entry = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": (0, size)}
    header = json.dumps({"__metadata__": dict(metadata), name: entry}).encode()
    header += b" " * (-len(header) % 8)
    return RawWriter(path, len(header).to_bytes(8, "little") + header, column)


def tensors_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says about itself.

    Raises:
        ValueError: it is none.
    """
    with damage_reported(path):
        metadata: dict[str, str] = _read_header(path)[0].get("__metadata__", {})
        return dict(metadata)


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= min(_MAX_HEADER, path.stat().st_size - 8):
            raise ValueError("not a safetensors file")
        header = json.loads(file.read(size))
    if not isinstance(header, dict):
        raise ValueError("not a safetensors file")
    return header, 8 + size


def _only_matrix(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(matrices) != 1:
        listed = ", ".join(sorted(shapes)) or "none"
        raise ValueError(f"{path}: one tensor must be 2-d, or --column choose among: {listed}")
    return matrices[0]
