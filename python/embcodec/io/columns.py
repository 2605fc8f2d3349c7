"""A column of vectors or codes: its Arrow type, and its rows as a NumPy array and back, without copies."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Kind", "column_of", "element_dtype", "find_column", "row_width", "rows_of", "type_of"]

Kind = Literal["vectors", "codes"]
Rows = npt.NDArray[Any]

_FLOATS: dict[pa.DataType, np.dtype[Any]] = {
    pa.from_numpy_dtype(dtype): np.dtype(dtype) for dtype in (np.float16, np.float32, np.float64)
}
_MEANING = {"vectors": "a list of float16, float32 or float64", "codes": "binary of a fixed size"}


def find_column(schema: pa.Schema, kind: Kind, column: str | None, where: str) -> int:
    """The index in `schema` of the column `column`, or of the only one that can hold `kind`.

    Raises:
        ValueError: there is no such column, more than one, or the one named is of another type.
    """
    fitting = [i for i, field in enumerate(schema) if _holds(field.type, kind)]
    if column is not None:
        index: int = schema.get_field_index(column)
        if index < 0:
            raise ValueError(f"{where}: no column {column!r}; it has {_listed(schema.names)}")
        if index not in fitting:
            raise ValueError(f"{where}: column {column!r} is {schema.types[index]}, not {_MEANING[kind]}")
        return index
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        columns = [f"{field.name} ({field.type})" for field in schema]
        raise ValueError(f"{where}: no column is {_MEANING[kind]}; it has {_listed(columns)}")
    names = [schema.names[i] for i in fitting]
    raise ValueError(f"{where}: columns {_listed(names)} all hold vectors; choose one with --column")


def row_width(type_: pa.DataType) -> int | None:
    """Elements in a row of this type: dimensions, or bytes of a code; None where rows may differ."""
    storage = _storage(type_)
    if pa.types.is_fixed_size_list(storage):
        width = int(storage.list_size)
    elif pa.types.is_fixed_size_binary(storage):
        width = int(storage.byte_width)
    else:
        return None
    return width


def element_dtype(type_: pa.DataType) -> np.dtype[Any]:
    """The dtype of an element of a vector or code column: a float, or uint8."""
    storage = _storage(type_)
    if pa.types.is_fixed_size_binary(storage):
        return np.dtype(np.uint8)
    return _FLOATS[storage.value_type]


def rows_of(array: pa.Array, where: str, first_row: int = 0) -> Rows:
    """The rows of a vector or code column as (n, width), sharing memory with it.

    Args:
        array: lists of floats or binary of a fixed size.
        where: the file, for messages.
        first_row: the number of the array's first row in its file.

    Raises:
        ValueError: a row or an element is null, or rows differ in length; the message names the row.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if array.null_count:
        row = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{where}: row {first_row + row} is null")
    if pa.types.is_fixed_size_binary(array.type):
        return _bytes_of(array)
    width = row_width(array.type)
    if width is None:
        width = _common_length(array, where, first_row)
    values = array.flatten()
    if values.null_count:
        row = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False))) // width
        raise ValueError(f"{where}: row {first_row + row} holds a null")
    rows: Rows = values.to_numpy(zero_copy_only=True).reshape(len(array), width)
    return rows


def column_of(rows: Rows) -> pa.Array:
    """C-contiguous rows (n, width) as a column, sharing their memory: floats as lists, uint8 as codes."""
    type_ = type_of(rows.dtype, rows.shape[1])
    if rows.dtype == np.uint8:
        return pa.FixedSizeBinaryArray.from_buffers(type_, len(rows), [None, pa.py_buffer(rows)])
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=type_)


def type_of(dtype: np.dtype[Any], width: int) -> pa.DataType:
    """The column type that holds rows of `width` elements of this dtype."""
    return pa.binary(width) if dtype == np.uint8 else pa.list_(pa.from_numpy_dtype(dtype), width)


def _storage(type_: pa.DataType) -> pa.DataType:
    return type_.storage_type if isinstance(type_, pa.BaseExtensionType) else type_


def _holds(type_: pa.DataType, kind: Kind) -> bool:
    storage = _storage(type_)
    if kind == "codes":
        return bool(pa.types.is_fixed_size_binary(storage))
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(storage) for test in lists) and storage.value_type in _FLOATS


def _common_length(array: pa.Array, where: str, first_row: int) -> int:
    if len(array) == 0:
        return 0
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    odd = np.flatnonzero(lengths != lengths[0])
    if len(odd):
        row = int(odd[0])
        raise ValueError(
            f"{where}: row {first_row + row} has {lengths[row]} values, row {first_row} has {lengths[0]}"
        )
    return int(lengths[0])


def _bytes_of(array: pa.Array) -> Rows:
    width = array.type.byte_width
    if len(array) == 0:
        return np.empty((0, width), np.uint8)
    data = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return data.reshape(len(array), width)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"
