"""NumPy's `.npy`: a header, then the rows. Codes have their header in a JSON file beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from embcodec.io.base import damage_reported
from embcodec.io.columns import Kind, element_dtype, row_width
from embcodec.io.header import CODE_COLUMN, VECTOR_COLUMN, sidecar_path
from embcodec.io.raw import RawArray, RawSource, RawWriter

__all__ = ["open_npy", "write_npy"]


def open_npy(path: Path, kind: Kind, column: str | None) -> RawSource:
    """Open a 2-d array in C order.

    Raises:
        ValueError: the file is none, is truncated, or holds another shape, order or dtype.
    """
    if column is not None:
        raise ValueError(f"{path}: a .npy file has no columns to choose from")
    with damage_reported(path), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read_header(file)
        offset = file.tell()
    if fortran_order and len(shape) > 1:
        raise ValueError(f"{path}: rows must be contiguous, but the array is in Fortran order")
    name = CODE_COLUMN if kind == "codes" else VECTOR_COLUMN
    metadata = _read_sidecar(path) if kind == "codes" else {}
    return RawSource(path, RawArray(name, dtype, shape, offset), kind, metadata)


def write_npy(
    path: Path, schema: pa.Schema, column: str, rows: int, metadata: Mapping[str, str]
) -> RawWriter:
    """Begin an array of `rows` rows of `column`; `metadata`, if any, goes beside it at once."""
    type_ = schema.field(column).type
    header = io.BytesIO()
    shape = (rows, row_width(type_))
    descr = np.lib.format.dtype_to_descr(element_dtype(type_))
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    if metadata:
        sidecar_path(path).write_text(json.dumps(dict(metadata), indent=2) + "\n", encoding="utf-8")
    return RawWriter(path, header.getvalue(), column)


def _read_sidecar(path: Path) -> dict[str, str]:
    sidecar = sidecar_path(path)
    if not sidecar.exists():
        return {}
    with damage_reported(sidecar):
        metadata = json.loads(sidecar.read_text(encoding="utf-8"))
    if not isinstance(metadata, dict):
        raise ValueError(f"{sidecar}: must hold a JSON object")
    return {str(key): str(value) for key, value in metadata.items()}
