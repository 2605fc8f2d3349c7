"""The CUDA device of the tests: the emulated one where `EMBCODEC_CUDA_ON_CPU` asks for it, else a GPU.

`DEVICES` is empty where there is neither.
"""

import ctypes

import emulated
import numpy as np
import pytest

from embcodec import _backends

ALIGNMENT = 256  # of memory that a GPU gives out


def _gpu():
    """CuPy, if it sees a device and this build has kernels for it."""
    if emulated.FOLDER or not _backends.cuda.is_built():
        return None
    try:
        import cupy

        return cupy if cupy.cuda.runtime.getDeviceCount() else None
    except Exception:  # CuPy is missing, or there is no driver, or none that it can use
        return None


GPU = _gpu()
DEVICES = (
    ["cuda"] if emulated.FOLDER or GPU else []
)  # beside the instruction sets, where a test runs on each of them
ndarray = GPU.ndarray if GPU else emulated.ndarray
skip_without = pytest.mark.skipif(not DEVICES, reason="needs EMBCODEC_CUDA_ON_CPU or a GPU")
needs_emulation = pytest.mark.skipif(not emulated.FOLDER, reason="needs EMBCODEC_CUDA_ON_CPU")


def device(value):
    """On the device, with the strides and as far from an aligned address as here; what is no array stays."""
    if not GPU:
        return emulated.device(value)
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 0:
        return GPU.empty(value.shape, value.dtype)
    reach = [step * (count - 1) for step, count in zip(value.strides, value.shape)]
    before, size = -sum(min(r, 0) for r in reach), sum(map(abs, reach)) + value.itemsize
    first = value.ctypes.data - before
    ahead = first % ALIGNMENT
    memory = GPU.empty(ahead + size, np.uint8)
    memory[ahead:].set(np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(first)))
    return GPU.ndarray(value.shape, value.dtype, memory.data + (ahead + before), value.strides)


def host(value):
    return value.get() if isinstance(value, ndarray) else value


def call(function, inputs, out=None):
    """A kernel on arrays of the device, refusing what it refuses; its results as NumPy's, but `out` as is."""
    result = function(**{name: device(value) for name, value in inputs.items()}, out=out)
    _backends.cuda.raise_refused()
    if isinstance(out, tuple):  # and what else there is
        return (*out, *result[len(out) :])
    if out is not None:
        return out
    return tuple(map(host, result)) if isinstance(result, tuple) else host(result)


def set_order(order):
    """In which order blocks and threads take their turns, where that is for us to say."""
    if emulated.FOLDER:
        emulated.set_order(order)
