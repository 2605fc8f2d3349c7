"""Threads and instruction sets of the compiled kernels.

The environment variables EMBCODEC_NUM_THREADS and EMBCODEC_ISA set the defaults when the package is loaded.
"""

from __future__ import annotations

import operator

from embcodec import _native
from embcodec._errors import BackendUnavailableError


def get_num_threads() -> int:
    """Threads that a kernel uses when it is called without `threads`."""
    return _native.get_num_threads()


def set_num_threads(threads: int) -> None:
    """Set the threads that a kernel uses when it is called without `threads`.

    Raises ValueError if `threads` is below 1.
    """
    if operator.index(threads) < 1:
        raise ValueError(f"set_num_threads: threads must be at least 1, got {threads}")
    _native.set_num_threads(threads)


def available_isa() -> list[str]:
    """Instruction sets that this build has and this machine can run, from the least to the best."""
    return _native.available_levels()


def get_isa() -> str:
    """The instruction set that a kernel uses when it is called without `isa`."""
    return _native.default_level()


def set_isa(isa: str) -> None:
    """Set the instruction set that a kernel uses when it is called without `isa`.

    Raises BackendUnavailableError if this build lacks it or this machine cannot run it.
    """
    available = available_isa()
    if isa not in available:
        raise BackendUnavailableError(f"isa {isa!r} cannot run here, available: {', '.join(available)}")
    _native.set_default_level(isa)
