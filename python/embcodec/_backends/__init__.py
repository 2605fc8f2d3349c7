"""Which code runs for which arrays: an array stays where it is."""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np

from embcodec._backends import native
from embcodec._backends.generic import Generic


class Backend(Protocol):
    """Runs a kernel on arrays that are checked and allocated."""

    def run(
        self,
        kernel: str,
        inputs: tuple[Any, ...],
        outputs: tuple[Any, ...],
        threads: int | None,
        isa: str | None,
    ) -> Any:
        """Call a kernel with its public arguments in order; what it returns besides the outputs."""


def module_of(array: Any) -> Any:
    """NumPy or CuPy, whichever the array belongs to; None for anything else."""
    if isinstance(array, np.ndarray):
        return np
    if type(array).__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    return None


def backend_for(array: Any) -> Backend:
    """The backend of an array's module."""
    xp = module_of(array)
    return native if xp is np else Generic(xp)


def run(
    kernel: str, inputs: tuple[Any, ...], outputs: tuple[Any, ...], threads: int | None, isa: str | None
) -> Any:
    """Run a kernel where its first input is."""
    if threads is not None and threads < 1:
        raise ValueError(f"{kernel}: threads must be at least 1, got {threads}")
    return backend_for(inputs[0]).run(kernel, inputs, outputs, threads, isa)
