"""Vector quantization: k-means and the nearest codeword."""

from __future__ import annotations

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I32, Floats


def kmeans_fit(
    x: Floats,
    k: int,
    iterations: int = 25,
    seed: int = 0,
    init: F32 | None = None,
    *,
    out: tuple[F32, I32] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I32, float]:
    """Lloyd's k-means, from k distinct rows chosen by the seed, or from codewords that are given.

    Stops early when no row changes its cluster. An empty cluster takes over the row that is farthest from its
    codeword. Assignments are near-optimal, as in `vq_encode`. The number of threads changes nothing.

    Lloyd, "Least squares quantization in PCM", 1982.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        k: codewords, 1 to n.
        iterations: updates of the codebook at most.
        seed: 0 to 2**64 - 1.
        init: float (k, d), codewords to begin with; rows if None.
        out: float32 (k, d) and int32 (n,).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        The codebook float32 (k, d), the ids int32 (n,) of the rows' codewords and the inertia, the sum of
        squared distances to them.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, k, iterations or seed other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("kmeans_fit", "x", x, "n", "d")
    n, d = x.shape
    k = _checks.count("kmeans_fit", "k", k, n, "the rows")
    iterations = _checks.at_least("kmeans_fit", "iterations", iterations, 0)
    seed = _checks.seed("kmeans_fit", seed)
    if init is not None:
        init = _checks.parameter("kmeans_fit", "init", init, x, k, d)
    out = _checks.outputs("kmeans_fit", out, x, (_checks.FLOAT32, k, d), (_checks.INT32, n))
    inertia = run("kmeans_fit", (x, k, iterations, seed, init), out, threads, isa, stream)
    return (*out, inertia)


def vq_encode(
    x: Floats,
    codebook: F32,
    *,
    out: I32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> I32:
    """The id of the nearest codeword: its distance is at most (1 + 1e-5) of the smallest, ties to the lower
    id.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        codebook: float (k, d).
        out: int32 (n,).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Ids int32 (n,).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("vq_encode", "x", x, "n", "d")
    codebook = _checks.parameter("vq_encode", "codebook", codebook, x, "k", x.shape[1])
    out = _checks.output("vq_encode", out, x, _checks.INT32, len(x))
    run("vq_encode", (x, codebook), (out,), threads, isa, stream)
    return out
