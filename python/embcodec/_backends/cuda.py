"""Arrays on a CUDA device to the kernels of `_cuda`: on the device of the first, on a stream of the caller's.

Nothing here waits for the device. So what only a pass over the data can see, a NaN or indices out of order,
is noted on the device: `raise_refused` raises it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from inspect import signature
from typing import Any

import numpy as np

from embcodec._backends.arrays import CUPY, TORCH, Array, library_of
from embcodec._errors import BackendUnavailableError
from embcodec.reference import DISORDER, NON_FINITE, NON_FINITE_CODES, REGISTRY

_cuda: Any
try:
    from embcodec import _cuda
except ImportError:  # this build has no CUDA
    _cuda = None

DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2, "float64": 3}
COLUMNS = {"float32": 0, "float16": 1, "int8": 2}
METRICS = {"ip": 0, "l2": 1, "cosine": 2}
ORDERS = {"msb": 0, "lsb": 1}
HALVES = {"float16": 1, "bfloat16": 2}  # as dtypes
NONE = (0, 0, 0, 0, 0)
OF_HALVES = ("half_decode", "half_topk")
WAITING = ("kmeans_fit", "pq_fit")  # they look at what they did after each iteration anyway
_UINT8 = np.dtype(np.uint8)

# By device and message: the lowest row, int64 (1,) on the device; -1, without a sign the largest, for none.
_refused: dict[tuple[int, str], Array] = {}

# In whose name rows are refused, the kernel's if None, and the number of the first.
_numbering: ContextVar[tuple[str | None, int]] = ContextVar("numbering", default=(None, 0))


def is_built() -> bool:
    """Whether this build has `_cuda`."""
    return _cuda is not None


def device_count() -> int:
    """How many CUDA devices there are.

    Raises:
        BackendUnavailableError: this build has no CUDA, or there is no driver.
    """
    if _cuda is None:
        raise BackendUnavailableError("this build of embcodec has no CUDA")
    return int(_cuda.device_count())


def _array(a: Array) -> tuple[int, int, int, int, int]:
    """Pointer, rows, columns, bytes between rows and columns; the last two of three axes as one."""
    if a is None:
        return NONE
    if isinstance(a, np.ndarray) and library_of(a) not in (CUPY, TORCH):
        pointer, shape, strides = a.ctypes.data, a.shape, a.strides
    else:
        pointer, shape, strides = library_of(a).view(a)
    if len(shape) == 1:
        return pointer, shape[0], 1, strides[0], 0
    if len(shape) == 3:
        return pointer, shape[0], shape[1] * shape[2], strides[0], strides[2]
    return pointer, shape[0], shape[1], strides[0], strides[1]


def _typed(x: Array) -> tuple[Any, ...]:
    return _array(x), DTYPES[library_of(x).dtype(x).name]


def _rows(a: Array) -> tuple[Any, ...]:
    """Rows may be any distance apart, the items of one must be side by side."""
    library = library_of(a)
    item = library.dtype(a).itemsize
    return (a if _array(a)[4] == item or _array(a)[2] == 1 else library.contiguous(a),)


def _even(a: Array) -> Array:
    """Rows that a device can read as numbers of two bytes, which it does only at even addresses."""
    pointer, _, _, step, _ = _array(a)
    if (pointer | step) % 2 == 0:
        return a
    library = library_of(a)
    copy = library.empty(a, a.shape, _UINT8)
    copy[...] = a
    return copy


_CONVERTERS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "metric": lambda metric: (METRICS[metric],),
    "order": lambda order: (ORDERS[order],),
    "half": lambda half: (HALVES[half],),
}


@cache
def _names(kernel: str) -> list[str]:
    return list(signature(REGISTRY[kernel].reference).parameters)


def _is_array(value: Any) -> bool:
    return value is None or library_of(value) is not None


class numbered:  # noqa: N801 (a context, like contextlib's)
    """Rows that are refused in this context are part of what `name` was given, from its row `first` on.

    Contexts within each other add up, and the outermost gives the name. (`contextmanager` would take a good
    part of a short call on the host, where it changes nothing.)
    """

    __slots__ = ("_first", "_name", "_token")

    def __init__(self, name: str, first: int) -> None:
        self._name, self._first = name, first

    def __enter__(self) -> None:
        outer, offset = _numbering.get()
        self._token = _numbering.set((outer or self._name, offset + self._first))

    def __exit__(self, *error: object) -> None:
        _numbering.reset(self._token)


def _with_device(a: Array, stream: int | None, call: Callable[[Any, int, int], Any]) -> Any:
    """What call(library, device, stream) returns, with the device of an array as the current one."""
    library = library_of(a)
    device = library.device(a)
    before = _cuda.current_device()
    _cuda.set_device(device)
    try:
        on = library.stream(device) if stream is None else stream
        with library.on(device, on):
            return call(library, device, on)
    finally:
        _cuda.set_device(before)


def run(kernel: str, inputs: tuple[Any, ...], outputs: tuple[Array, ...], stream: int | None) -> Any:
    """Call a kernel with its public arguments in order; what it returns besides the outputs."""
    return _with_device(inputs[0], stream, partial(_call, kernel, inputs, outputs))


def refuse(message: str, bad: Array) -> None:
    """Refuse the lowest row that is marked in bad, bool (n,), in a context of `numbered`."""

    def call(library: Any, device: int, stream: int) -> None:
        name, first = _numbering.get()
        word = _word(device, f"{name}: {message}", bad, library)
        marked = library.contiguous(bad)
        _cuda.refuse_rows(_array(marked), (word, 0, stream, first))

    _with_device(bad, None, call)


def _call(
    kernel: str, inputs: tuple[Any, ...], outputs: tuple[Array, ...], library: Any, device: int, stream: int
) -> Any:
    arguments: list[Any] = []
    alive: list[Array] = []  # copies, until the kernel is on its stream
    for name, value in zip(_names(kernel), inputs):
        if name == "x":
            arguments += _typed(value)
        elif name in ("codes", "indices", "values"):
            alive += _rows(_even(value) if kernel in OF_HALVES else value)
            arguments.append(_array(alive[-1]))
        elif name in ("factor", "shift"):
            arguments += _array(value), COLUMNS[library.dtype(value).name] if value is not None else 0
        elif name in _CONVERTERS:
            arguments += _CONVERTERS[name](value)
        else:
            arguments.append(_array(value) if _is_array(value) else value)
    arguments += map(_array, outputs)
    rest = None
    if kernel == "kmeans_fit":
        rest = np.zeros(1)
        arguments.append(_array(rest))
    caller, first = _numbering.get()
    message = _message(kernel, inputs)
    word = _word(device, f"{caller or kernel}: {message}", inputs[0], library) if message else 0
    function = getattr(_cuda, kernel)
    needed = function(*arguments, (word, 0, stream, first))
    if needed:
        scratch = library.empty(inputs[0], (needed,), _UINT8)
        function(*arguments, (word, library.view(scratch)[0], stream, first))
    if kernel in WAITING:
        raise_refused(device)
    return None if rest is None else float(rest[0])


def _message(kernel: str, inputs: tuple[Any, ...]) -> str:
    """What is wrong with a row that this kernel refuses; empty if it refuses none."""
    names = _names(kernel)
    if "x" in names:
        return NON_FINITE
    if kernel == "half_topk":
        return NON_FINITE_CODES
    if "indices" in names:
        d = inputs[2] if kernel == "topk_decode" else inputs[2].shape[1]
        return DISORDER.format(d=d, row="{row}")
    return ""


def _word(device: int, message: str, like: Array, library: Any) -> int:
    """The pointer of the word that takes the lowest row that is refused with this message."""
    key = device, message
    if key not in _refused:
        _refused[key] = library.asarray(np.full(1, -1), like)
        _cuda.synchronize(device)  # this once: calls on other streams will use it
    return int(library.view(_refused[key])[0])


def raise_refused(device: int | None = None) -> None:
    """Wait for the device (for all if None) and raise a ValueError for what a kernel refused there.

    The row is the lowest of all calls of the kernel since the last time.
    """
    for (at, message), word in _refused.items():
        if device not in (None, at):
            continue
        _cuda.synchronize(at)
        row = int(library_of(word).to_host(word)[0])
        if row != -1:
            word[:] = -1
            raise ValueError(message.format(row=row))
