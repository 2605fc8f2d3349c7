"""Rows as the codecs take them: checks, cutting into blocks, and products that do not depend on the cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec._backends.arrays import NUMPY, adopted, library_of
from embcodec.kernels import _checks

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[Any]  # float32, float16, bfloat16 or float64

BLOCK_BYTES = 8 << 20  # float32; with the float64 of `project`, six times this is in use at a time


def as_rows(where: str, name: str, x: Any, d: int | None = None) -> Floats:
    """x as an array (n, d) of one of the four float dtypes, not copied if it is an array already.

    Raises:
        TypeError: another dtype.
        ValueError: another shape.
    """
    return _checks.floats(where, name, as_array(x), "n", d or "d")


def as_array(x: Any) -> Any:
    """NumPy's, or on a device as it is."""
    return x if on_device(x) else np.asarray(x)


def on_device(x: Any) -> bool:
    """Whether an array is on a CUDA device."""
    return x.__class__ is not np.ndarray and library_of(adopted(x)) not in (None, NUMPY)


def refuse_nonfinite(where: str, name: str, x: Floats, first: int = 0) -> None:
    """Raise a ValueError for the lowest row of x, counted from `first`, that is not finite in float32.

    On a device nothing waits: the kernels there note it.
    """
    if on_device(x):
        return
    for rows in blocks(len(x), 4 * x.shape[1]):
        finite = np.isfinite(to_float32(x[rows]))
        if not finite.all():
            row = first + rows.start + int(np.argmin(finite.all(axis=1)))
            raise ValueError(f"{where}: {name} has a non-finite value in row {row}")


def to_float32(x: Floats) -> F32:
    """x as float32; a float64 beyond its range becomes infinite, for the caller to refuse."""
    if x.dtype is _checks.FLOAT32:  # as it is; entering errstate takes longer than all the rest
        return x
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False)


def blocks(n: int, row_bytes: int) -> Iterator[slice]:
    """Cut n rows of `row_bytes` into slices of at most `BLOCK_BYTES`, but at least one row."""
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def row_sums(x: npt.NDArray[Any]) -> F64:
    """The sum of each row in float64, in an order that does not depend on how many rows there are."""
    sums: F64 = np.ascontiguousarray(x).sum(axis=1, dtype=np.float64)
    return sums


def halves(column: npt.NDArray[np.float16]) -> F32:
    """As float32, 0 for what is not finite, so that hostile codes decode to something."""
    values = column.astype(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        values[bad] = 0
    return values


def project(x: F32, matrix: F32, minus: F32 | None = None) -> F32:
    """(x - minus) @ matrix, accumulated in float64.

    BLAS orders its sums by the number of rows and of threads. The float64 sum hides that: after rounding to
    float32 a row has the same bits in whatever batch it comes, which a float32 product would not give.
    """
    wide = x.astype(np.float64)
    if minus is not None:
        wide -= minus
    return to_float32(wide @ matrix.astype(np.float64))
