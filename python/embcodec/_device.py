"""Waiting for CUDA devices."""

from __future__ import annotations

from embcodec._backends import cuda


def synchronize(device: int | None = None) -> None:
    """Wait for the kernels on a CUDA device, on all if None, and raise what they refused since the last time.

    Raises:
        ValueError: a kernel met a value that is not finite or sparse indices out of order; the lowest row
            of all its calls is named.
    """
    cuda.raise_refused(device)
