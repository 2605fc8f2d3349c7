"""The CUDA kernels: how `_backends/cuda.py` calls them.

Every kernel takes its inputs in the order of the public function in `embcodec.kernels`, then its
preallocated outputs, as `_native.pyi` has them, then `where`: (refused, scratch, stream, first), three
pointers and a number. All arguments are positional.

An array is (pointer, rows, columns, bytes from row to row, bytes from column to column), of three axes
the last two as one, and (0, 0, 0, 0, 0) for None. `x` may have any strides, the items of a row of
`codes`, `indices` and `values` are side by side, everything else is C-contiguous. `rates` of the trellis
and `inertia` of `kmeans_fit`, which stands behind its outputs, are on the host, all else on the current
device.

Behind `x` stands its dtype, as `_native.pyi` numbers them; behind `factor` and `shift`, whose rows may be any
distance apart, 0 for float32, 1 for float16, 2 for int8.

`refused` takes the lowest row that a kernel with `x` or `indices` refuses, counted from `first`, if that is
lower, as unsigned, than what is there. A kernel returns the bytes of scratch that it needs where `scratch`
is 0, and then did nothing; else 0.
"""

from typing import Any

Array = tuple[int, int, int, int, int]
Where = tuple[int, int, int, int]

# each raises BackendUnavailableError without a driver
def device_count() -> int: ...
def current_device() -> int: ...
def set_device(device: int, /) -> None: ...
def synchronize(device: int, /) -> None: ...
def refuse_rows(marked: Array, where: Where, /) -> None: ...
def __getattr__(kernel: str) -> Any: ...  # the kernels
