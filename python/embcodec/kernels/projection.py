"""Rows times a matrix."""

from __future__ import annotations

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, Floats


def project(
    x: Floats,
    matrix: F32,
    mean: F32 | None = None,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """(x - mean) @ matrix: a rotation, principal components, a random projection.

    Each value is a float32 sum by fused multiply-add in order of dimension. So a row's result does not depend
    on the rows beside it, the threads or the machine, as that of a BLAS does.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        matrix: float (d, c); used where it lies if it is float32 in C order.
        mean: taken off each row first, in float32; float (d,), nothing if None.
        out: float32 (n, c).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, c).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape other than these; a matrix or mean that is not finite; a value of x that is not
            finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("project", "x", x, "n", "d")
    d = x.shape[1]
    matrix = _checks.parameter("project", "matrix", matrix, x, d, "c")
    if mean is not None:
        mean = _checks.parameter("project", "mean", mean, x, d)
    out = _checks.output("project", out, x, _checks.FLOAT32, x.shape[0], matrix.shape[1])
    run("project", (x, matrix, mean), (out,), threads, isa, stream)
    return out
