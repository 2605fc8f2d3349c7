"""NumPy arrays to the compiled kernels, as `_native.pyi` describes their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embcodec import _native
from embcodec._errors import BackendUnavailableError
from embcodec.reference import REGISTRY

Array = NDArray[Any]

DTYPES = {"f": 0, "e": 1, "d": 3}  # by dtype.char, which is much faster than dtype.name
BFLOAT16 = 2
METRICS = {"ip": 0, "l2": 1, "cosine": 2}
ORDERS = {"msb": 0, "lsb": 1}
HALVES = {"float16": 1, "bfloat16": 2}  # as dtypes


def _typed(x: Array) -> tuple[Array, int]:
    """The binding knows no bfloat16 and reads aligned elements, at any strides."""
    if not x.flags.aligned:
        x = x.copy()
    code = DTYPES.get(x.dtype.char, BFLOAT16)
    return (x.view(np.uint16) if code == BFLOAT16 else x), code


_NUMBERS = {"metric": METRICS, "order": ORDERS, "half": HALVES}


def _hadamard_sq_encode(
    x: Array,
    dtype: int,
    signs: Array,
    lo: Array,
    step: Array,
    bits: int,
    codes: Array,
    threads: int,
    isa: int,
) -> None:
    """Two kernels: the second reads at the rate of memory what the first wrote."""
    rotated = np.empty((len(x), len(signs)), np.float32)
    try:
        _native.hadamard_rotate(x, dtype, signs, False, rotated, threads, isa)
        _native.sq_encode(rotated, DTYPES["f"], lo, step, bits, codes, threads, isa)
    except ValueError as error:
        raise ValueError(f"hadamard_sq_encode: {str(error).partition(': ')[2]}") from None


_COMPOSED: dict[str, Callable[..., Any]] = {"hadamard_sq_encode": _hadamard_sq_encode}


@cache
def _plan(kernel: str) -> tuple[Callable[..., Any], bool, tuple[tuple[int, dict[str, int]], ...]]:
    """The compiled function, whether x comes first, and the numbers of which other arguments it takes.

    By the names of the public ones.
    """
    names = list(signature(REGISTRY[kernel].reference).parameters)
    assert "x" not in names[1:], f"{kernel}: x must come first"
    numbered = tuple([(i, _NUMBERS[name]) for i, name in enumerate(names) if name in _NUMBERS])
    return _COMPOSED.get(kernel) or getattr(_native, kernel), names[0] == "x", numbered


@cache
def level_index(isa: str) -> int:
    available = _native.available_levels()
    if isa not in available:
        raise BackendUnavailableError(f"isa {isa!r} cannot run here, available: {', '.join(available)}")
    return _native.levels().index(isa)


def run(
    kernel: str,
    inputs: tuple[Any, ...],
    outputs: tuple[Array, ...],
    threads: int | None,
    isa: str | None,
) -> Any:
    """Call a kernel with its public arguments in order; what it returns besides the outputs."""
    function, has_x, numbered = _plan(kernel)
    arguments = [*inputs, *outputs, threads or 0, -1 if isa is None else level_index(isa)]
    for i, numbers in numbered:
        arguments[i] = numbers[arguments[i]]
    if has_x:
        arguments[:1] = _typed(arguments[0])
    return function(*arguments)
