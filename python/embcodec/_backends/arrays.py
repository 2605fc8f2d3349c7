"""Whose array it is: NumPy's, CuPy's or torch's on a CUDA device, each behind the same few functions.

What has `__cuda_array_interface__` or DLPack on a CUDA device, and is neither of these, becomes CuPy's
without a copy (`adopted`).
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Array = Any
DLPACK_CUDA = (2, 13)  # device types: CUDA, CUDA managed


class Library(Protocol):
    """What kernels need of the library that an array belongs to. `like` says on which device."""

    name: str

    @property
    def xp(self) -> Any:
        """The module of its functions, if they are NumPy's."""

    def dtype(self, a: Array) -> np.dtype[Any]:
        """As NumPy calls it."""

    def is_writeable(self, a: Array) -> bool:
        """And in C order, as an output has to be."""

    def contiguous(self, a: Array) -> Array:
        """The array itself, or a copy in C order."""

    def empty(self, like: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """A new array."""

    def asarray(self, value: Array, like: Array, dtype: np.dtype[Any] | None = None) -> Array:
        """A NumPy array, or one of this library, C-contiguous, of the dtype, on the device of `like`."""

    def to_host(self, a: Array) -> np.ndarray[Any, Any]:
        """As NumPy's; waits for the device."""

    def may_share_memory(self, a: Array, b: Array) -> bool:
        """Whether writing to one could change the other."""


class NumPy:
    """Arrays of the host."""

    name = "NumPy"
    xp = np
    contiguous = staticmethod(np.ascontiguousarray)

    def dtype(self, a: Array) -> np.dtype[Any]:
        return a.dtype  # type: ignore[no-any-return]

    def is_writeable(self, a: Array) -> bool:
        return bool(a.flags.c_contiguous and a.flags.writeable)

    def empty(self, like: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return np.empty(shape, dtype)

    def asarray(self, value: Array, like: Array, dtype: np.dtype[Any] | None = None) -> Array:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
            return np.ascontiguousarray(value, dtype)

    def to_host(self, a: Array) -> np.ndarray[Any, Any]:
        return a  # type: ignore[no-any-return]

    def may_share_memory(self, a: Array, b: Array) -> bool:
        return np.may_share_memory(a, b)


class DeviceLibrary(Library, Protocol):
    """One of arrays on CUDA devices, as `_backends.cuda` sees it."""

    def device(self, a: Array) -> int:
        """Its number."""

    def view(self, a: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Pointer, shape, and strides in bytes."""

    def stream(self, device: int) -> int:
        """The pointer of the current one."""

    def on(self, device: int, stream: int) -> AbstractContextManager[Any]:
        """Arrays made in the context belong to this device and stream."""


class CuPy:
    """Arrays of CuPy."""

    name = "CuPy"

    @property
    def xp(self) -> Any:
        return sys.modules["cupy"]

    def dtype(self, a: Array) -> np.dtype[Any]:
        return a.dtype  # type: ignore[no-any-return]

    def is_writeable(self, a: Array) -> bool:
        return bool(a.flags.c_contiguous)

    def contiguous(self, a: Array) -> Array:
        with self._on(a):
            return self.xp.ascontiguousarray(a)

    def empty(self, like: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        with self._on(like):
            return self.xp.empty(shape, dtype)

    def asarray(self, value: Array, like: Array, dtype: np.dtype[Any] | None = None) -> Array:
        with self._on(like):
            return self.xp.ascontiguousarray(self.xp.asarray(value, dtype))

    def to_host(self, a: Array) -> np.ndarray[Any, Any]:
        return a.get()  # type: ignore[no-any-return]

    def may_share_memory(self, a: Array, b: Array) -> bool:
        return bool(self.xp.may_share_memory(a, b))

    def _on(self, a: Array) -> AbstractContextManager[Any]:
        return self.xp.cuda.Device(self.device(a))  # type: ignore[no-any-return]

    def device(self, a: Array) -> int:
        return int(a.device.id)

    def view(self, a: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        return a.data.ptr, a.shape, a.strides

    def stream(self, device: int) -> int:
        return int(self.xp.cuda.get_current_stream(device).ptr)

    def on(self, device: int, stream: int) -> AbstractContextManager[Any]:
        cuda = self.xp.cuda
        if stream == self.stream(device):
            return cuda.Device(device)  # type: ignore[no-any-return]
        return cuda.ExternalStream(stream, device)  # type: ignore[no-any-return]


class Torch:
    """Tensors of torch on a CUDA device. bfloat16 needs ml_dtypes."""

    name = "torch"
    xp = None

    @property
    def _torch(self) -> Any:
        return sys.modules["torch"]

    def dtype(self, a: Array) -> np.dtype[Any]:
        name: Any = str(a.dtype).removeprefix("torch.")
        if name == "bfloat16":
            import ml_dtypes

            name = ml_dtypes.bfloat16
        dtype: np.dtype[Any] = np.dtype(name)
        return dtype

    def _dtype_of(self, dtype: np.dtype[Any]) -> Any:
        return getattr(self._torch, dtype.name)

    def is_writeable(self, a: Array) -> bool:
        return bool(a.is_contiguous())

    def contiguous(self, a: Array) -> Array:
        return a.contiguous()

    def empty(self, like: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        return self._torch.empty(shape, dtype=self._dtype_of(dtype), device=like.device)

    def asarray(self, value: Array, like: Array, dtype: np.dtype[Any] | None = None) -> Array:
        wanted = None if dtype is None else self._dtype_of(dtype)
        return self._torch.as_tensor(value, dtype=wanted, device=like.device).contiguous()

    def to_host(self, a: Array) -> np.ndarray[Any, Any]:
        return a.cpu().numpy()  # type: ignore[no-any-return]

    def may_share_memory(self, a: Array, b: Array) -> bool:
        return bool(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr())

    def device(self, a: Array) -> int:
        return int(a.device.index)

    def view(self, a: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        size = a.element_size()
        return a.data_ptr(), tuple(a.shape), tuple(size * step for step in a.stride())

    def stream(self, device: int) -> int:
        return int(self._torch.cuda.current_stream(device).cuda_stream)

    def on(self, device: int, stream: int) -> AbstractContextManager[Any]:
        cuda = self._torch.cuda
        if stream == self.stream(device):
            return cuda.device(device)  # type: ignore[no-any-return]
        return cuda.stream(cuda.ExternalStream(stream, device))  # type: ignore[no-any-return]


NUMPY: Library = NumPy()
CUPY: DeviceLibrary = CuPy()
TORCH: DeviceLibrary = Torch()


def library_of(a: Array) -> Any:
    """The `Library` of an array that kernels take; None for anything else."""
    if a.__class__ is np.ndarray:  # the common case, which takes a good part of a short call
        return NUMPY
    package = type(a).__module__.partition(".")[0]
    if package == "cupy":
        return CUPY
    if isinstance(a, np.ndarray):
        return NUMPY
    if package == "torch" and getattr(a, "is_cuda", False):
        return TORCH
    return None


def adopted(a: Array) -> Array:
    """An array of another library on a CUDA device as CuPy's, without a copy; anything else as it is."""
    if library_of(a) is not None:
        return a
    if hasattr(a, "__cuda_array_interface__"):
        return _cupy(a).asarray(a)
    if hasattr(a, "__dlpack_device__") and a.__dlpack_device__()[0] in DLPACK_CUDA:
        return _cupy(a).from_dlpack(a)
    return a


def _cupy(a: Array) -> Any:
    try:
        import cupy
    except ImportError:
        raise TypeError(
            f"arrays of {type(a).__module__} on a CUDA device need CuPy, which is missing"
        ) from None
    return cupy
