"""Which code runs for which arrays: an array stays where it is."""

from __future__ import annotations

from typing import Any

from embcodec._backends import cuda, native
from embcodec._backends.arrays import CUPY, NUMPY, library_of
from embcodec._backends.generic import Generic
from embcodec._errors import BackendUnavailableError


def run(
    kernel: str,
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...],
    threads: int | None,
    isa: str | None,
    stream: int | None = None,
) -> Any:
    """Call a kernel, where its first input is, with its public arguments in order, all checked and allocated.

    Returns what it returns besides the outputs.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"{kernel}: threads must be at least 1, got {threads}")
    library = library_of(inputs[0])
    if library is NUMPY:
        if stream is not None:
            raise ValueError(f"{kernel}: stream is for arrays on a CUDA device")
        return native.run(kernel, inputs, outputs, threads, isa)
    if isa is not None:
        raise BackendUnavailableError(
            f"isa {isa!r} cannot run here: it is for NumPy arrays, these are {library.name}'s"
        )
    if cuda.is_built():
        return cuda.run(kernel, inputs, outputs, stream)
    if library is CUPY:
        return Generic(library.xp).run(kernel, inputs, outputs)
    raise BackendUnavailableError(f"{library.name}'s tensors need CUDA, and this build of embcodec has none")
