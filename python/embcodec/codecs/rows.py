"""Rows as the codecs take them: checks, cutting into blocks, and products that do not depend on the cut.

On the host they are NumPy's, on a CUDA device CuPy's, which has NumPy's functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec._backends import cuda, run
from embcodec._backends.arrays import CUPY, NUMPY, TORCH, adopted, library_of
from embcodec.kernels import _checks

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[Any]  # float32, float16, bfloat16 or float64

BLOCK_BYTES = 8 << 20  # float32; with what stages make of it, a few times this is in use
DEVICE_BLOCK_BYTES = 256 << 20


def as_rows(where: str, name: str, x: Any, d: int | None = None) -> Floats:
    """x as an array (n, d) of one of the four float dtypes, not copied if it is an array already.

    Raises:
        TypeError: another dtype.
        ValueError: another shape.
    """
    return _checks.floats(where, name, as_array(x), "n", d or "d")


def as_array(x: Any) -> Any:
    """NumPy's, or on a CUDA device CuPy's, without a copy."""
    if x.__class__ is np.ndarray:
        return x
    x = adopted(x)
    library = library_of(x)
    if library is TORCH:
        return _as_cupy(x)
    return np.asarray(x) if library is None else x


def _as_cupy(tensor: Any) -> Any:
    """A tensor of torch's. One of bfloat16, which CuPy does not take from it, becomes float32."""
    try:
        import cupy
    except ImportError:
        raise TypeError("codecs take torch's tensors by way of CuPy, which is missing") from None
    return cupy.asarray(tensor.float() if TORCH.dtype(tensor).name == "bfloat16" else tensor)


def on_first(x: F32, d: int, change: Callable[[F32], F32]) -> F32:
    """change(x[:, :d]), followed by the other columns as they are."""
    if x.shape[1] == d:
        return change(x)
    return np.concatenate([change(x[:, :d]), x[:, d:]], axis=1)


def as_given(result: Any, x: Any) -> Any:
    """What was computed from `as_array(x)`, in the library of x."""
    if result.__class__ is np.ndarray or library_of(adopted(x)) is not TORCH:
        return result
    import torch

    return torch.as_tensor(result, device=x.device)


def on_device(x: Any) -> bool:
    """Whether an array that `as_array` gave is on a CUDA device."""
    return x.__class__ is not np.ndarray and library_of(x) is not NUMPY


def on_host(x: Any) -> npt.NDArray[Any]:
    """An array that `as_array` gave as NumPy's; waits for a device."""
    return library_of(x).to_host(x)  # type: ignore[no-any-return]


def finish(x: Any) -> None:
    """Wait for what the current stream does, if x is on a device."""
    if on_device(x):
        CUPY.xp.cuda.get_current_stream().synchronize()


def empty(like: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A new array in C order, beside `like`."""
    return library_of(like).empty(like, shape, dtype)


def refuse_rows(where: str, message: str, bad: Bools, first: int = 0) -> None:
    """Raise a ValueError if rows are marked in bad (n,): of the lowest, counted from `first`, as {row}.

    On a device nothing waits: `embcodec.synchronize` raises it.
    """
    if on_device(bad) and cuda.is_built():
        with cuda.numbered(where, first):
            cuda.refuse(message, bad)
    elif bad.any():
        raise ValueError(f"{where}: {message.format(row=first + int(bad.argmax()))}")


def refuse_nonfinite(where: str, name: str, x: Floats, first: int = 0) -> None:
    """Refuse the lowest row of x, counted from `first`, that is not finite in float32."""
    for rows in blocks(x, 4 * x.shape[1]):
        finite: Bools = np.isfinite(to_float32(x[rows]))
        if on_device(x) or not finite.all():
            bad = np.logical_not(finite.all(axis=1))
            refuse_rows(where, f"{name} has a non-finite value in row {{row}}", bad, first + rows.start)


def to_float32(x: Floats) -> F32:
    """x as float32; a float64 beyond its range becomes infinite, for the caller to refuse."""
    if x.dtype is _checks.FLOAT32:  # as it is; entering errstate takes longer than all the rest
        return x
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False)


def blocks(x: npt.NDArray[Any], row_bytes: int) -> Iterator[slice]:
    """Cut the rows of x, each with `row_bytes` of temporaries, into slices of one row or more.

    So that they take at most `BLOCK_BYTES`, or on a device `DEVICE_BLOCK_BYTES`.
    """
    n = len(x)
    step = max(1, (DEVICE_BLOCK_BYTES if on_device(x) else BLOCK_BYTES) // max(1, row_bytes))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def row_sums(x: npt.NDArray[Any]) -> F64:
    """The sum of each row in float64, in an order that does not depend on how many rows there are."""
    sums: F64 = _checks.contiguous(x).sum(axis=1, dtype=np.float64)
    return sums


def ratios(numerator: Any, denominator: npt.NDArray[Any], where: Bools) -> npt.NDArray[Any]:
    """Quotients, 0 where they are not wanted. (CuPy's `divide` has no `where`.)"""
    return np.where(where, numerator / np.where(where, denominator, 1), 0)


def numbers(codes: U8, dtype: str) -> npt.NDArray[Any]:
    """The little-endian numbers that rows of codes are made of; a copy where it has to be.

    A device reads numbers only from where they are aligned, and codes may lie anywhere.
    """
    if on_device(codes):
        pointer, _, strides = library_of(codes).view(codes)
        if (pointer | strides[0]) % np.dtype(dtype).itemsize:
            codes = codes.copy()
    elif codes.strides[1] != 1:  # in column order: an array of each byte is much faster than a copy
        size = np.dtype(dtype).itemsize
        words = codes[:, size - 1 :: size].astype(f"u{size}", order="F")
        for i in reversed(range(size - 1)):
            words *= 256
            words += codes[:, i::size]
        return words.view(np.dtype(dtype).newbyteorder("="))
    return codes.view(dtype).astype(np.dtype(dtype).newbyteorder("="), copy=False)


def halves(column: npt.NDArray[np.float16]) -> F32:
    """As float32, 0 for what is not finite, so that hostile codes decode to something."""
    values = column.astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(0))


def project(x: Floats, matrix: F32, mean: F32 | None = None) -> F32:
    """`kernels.project`, for matrices that were checked, in C order, when they were fitted or loaded."""
    out: F32 = empty(x, (x.shape[0], matrix.shape[1]), _checks.FLOAT32)
    run("project", (x, matrix, mean), (out,), None, None)
    return out
