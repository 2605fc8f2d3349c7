"""The CUDA kernels on the host's memory: `_cuda` as the preset `cuda_on_cpu` builds it, and a CuPy of NumPy.

`EMBCODEC_CUDA_ON_CPU` names the folder of that module; without it nothing runs here.
"""

import ctypes
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from embcodec import _backends

FOLDER = os.environ.get("EMBCODEC_CUDA_ON_CPU")


class ndarray(np.ndarray):  # noqa: N801 (CuPy's name)
    """What the adaptor looks at of CuPy's."""

    __module__ = "cupy"
    device = SimpleNamespace(id=0)
    waits = 0  # how often the host had to know what is on the device

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    @property
    def __cuda_array_interface__(self):
        return {**self.__array_interface__, "version": 3, "strides": self.strides, "stream": None}

    def get(self, out=None, stream=None, blocking=True):
        if out is None:
            waited()
            return self.view(np.ndarray)
        stream.work.append(lambda: np.copyto(out, self.view(np.ndarray)))
        return out

    def set(self, array, stream):
        self.view(np.ndarray)[...] = array

    def astype(self, dtype, *args, **options):
        refuse_foreign([self])
        if self.dtype == np.float64 and np.dtype(dtype) == np.float16:
            raise TypeError("CuPy rounds to float32 in between, NumPy does not")
        return super().astype(dtype, *args, **options)

    def __getitem__(self, at):
        if isinstance(at, np.ndarray) and at.dtype == bool:  # how many there are gives the shape
            waited()
        return super().__getitem__(at)

    def __bool__(self):
        return bool(waited() or host(self))

    def __int__(self):
        return int(waited() or host(self))

    def __float__(self):
        return float(waited() or host(self))

    def __index__(self):
        return (waited() or host(self)).__index__()

    def __array_ufunc__(self, function, method, *args, out=(), **options):
        """As CuPy: arrays of the host are not mixed in, and results stay on the device."""
        refuse_foreign([*args, *out])
        if method == "__call__" and "where" in options:
            raise TypeError(f"Wrong arguments {options}")
        if out:
            options["out"] = tuple(host(o) for o in out)
        with np.errstate(all="ignore"):
            result = getattr(function, method)(*map(host, args), **options)
        return out[0] if out else device(result)

    def __array_function__(self, function, types, args, options):
        refuse_foreign([*args, *options.values()])
        if function in (np.unique, np.nonzero, np.flatnonzero):
            waited()
        if function is np.take and "mode" in options:
            raise TypeError("take() got an unexpected keyword argument 'mode'")
        return device(function(*map(host, args), **{name: host(value) for name, value in options.items()}))


class Stream:
    """A stream, and the context in which it is the current one. What it fetches comes when one waits."""

    current = 1

    def __init__(self, ptr=9, device=None, non_blocking=False):
        self.ptr, self.work = ptr, []

    def synchronize(self):
        while self.work:
            self.work.pop(0)()

    def __enter__(self):
        self.before, Stream.current = Stream.current, self.ptr

    def __exit__(self, *error):
        Stream.current = self.before


class Device:
    """A device, and the context in which it is the current one."""

    current = 0

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        self.before, Device.current = Device.current, self.number

    def __exit__(self, *error):
        Device.current = self.before


def device(array):
    """As an array of the device: the same memory. CuPy has arrays where NumPy has scalars."""
    return np.asarray(array).view(ndarray) if isinstance(array, (np.ndarray, np.generic)) else array


def host(value):
    """As NumPy's, also inside lists."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(host, value))
    return value.view(np.ndarray) if isinstance(value, ndarray) else value


def waited():
    ndarray.waits += 1


def refuse_foreign(values):
    """What CuPy's functions cannot work on."""
    for value in values:
        if isinstance(value, (list, tuple)):
            refuse_foreign(value)
        elif type(value) is np.ndarray and value.ndim:
            raise TypeError("an array of the host among those of the device")
        elif isinstance(value, ndarray) and not value.flags.aligned:
            raise TypeError("a misaligned address")


def on_device(function):
    return lambda *args, **options: device(function(*map(host, args), **options))


def cupy():
    """NumPy's functions, with arrays of the device for results."""
    module = ModuleType("cupy")

    def attribute(name):
        value = getattr(np, name)
        return on_device(value) if callable(value) and not isinstance(value, type) else value

    module.__getattr__ = attribute
    module.ndarray = ndarray
    module.cuda = SimpleNamespace(
        Device=Device,
        get_current_stream=lambda number=None: Stream(Stream.current),
        ExternalStream=Stream,
        Stream=Stream,
    )
    return module


def load():
    """The emulated module, in the place of the one for GPUs."""
    (path,) = Path(FOLDER).glob("_cuda.*.so")
    spec = importlib.util.spec_from_file_location("_cuda", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _backends.cuda._cuda = module
    sys.modules["cupy"] = cupy()
    sys.modules["cupyx"] = SimpleNamespace(empty_pinned=np.empty)
    return module


def set_order(order, seed=1):
    """In which order blocks and threads take their turns: 0 forward, 1 reverse, 2 random."""
    ctypes.CDLL(native.__file__).cuda_on_cpu_set_order(order, ctypes.c_uint64(seed))


if FOLDER:
    native = load()
