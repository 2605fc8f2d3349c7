"""Product quantization (PQ): a codeword for each of m subspaces.

Jegou, Douze and Schmid, "Product quantization for nearest neighbor search", 2011.
"""

from __future__ import annotations

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I32, I64, U8, Bools, Floats, code_size

_METRICS = ("ip", "l2", "cosine")


def pq_fit(
    x: Floats,
    m: int,
    bits: int = 8,
    iterations: int = 25,
    seed: int = 0,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The codebooks of m subspaces of d / m neighbouring dimensions: `kmeans_fit` in each, with seed +
    subspace.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64, at least 2**bits of them.
        m: subspaces, a divisor of d.
        bits: 8 or 4, for 256 or 16 codewords in each subspace.
        iterations: updates of the codebooks at most.
        seed: 0 to 2**64 - 1.
        out: float32 (m, 2**bits, d / m).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codebooks float32 (m, 2**bits, d / m).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, m, bits, iterations or seed other than these; a value that is not finite,
            with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("pq_fit", "x", x, "n", "d")
    n, d = x.shape
    m = _checks.count("pq_fit", "m", m, d, "the dimensions")
    if d % m:
        raise ValueError(f"pq_fit: m must divide the {d} dimensions, got {m}")
    _checks.one_of("pq_fit", "bits", bits, (8, 4))
    if n < 2**bits:
        raise ValueError(f"pq_fit: x must have at least {2**bits} rows, got {n}")
    iterations = _checks.at_least("pq_fit", "iterations", iterations, 0)
    seed = _checks.seed("pq_fit", seed)
    out = _checks.output("pq_fit", out, x, _checks.FLOAT32, m, 2**bits, d // m)
    run("pq_fit", (x, m, bits, iterations, seed), (out,), threads, isa, stream)
    return out


def pq_encode(
    x: Floats,
    codebooks: F32,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """The nearest codeword in each subspace, as near and with ties as in `vq_encode`.

    Args:
        x: rows (n, m * dsub) of float32, float16, bfloat16 or float64.
        codebooks: float (m, ksub, dsub), ksub 256 or 16.
        out: uint8 (n, code_size).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, code_size): m bytes for ksub 256; ceil(m / 2) bytes, the low nibble first, for ksub
        16.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    codebooks, bits = _codebooks("pq_encode", codebooks, x)
    m, _, dsub = codebooks.shape
    x = _checks.floats("pq_encode", "x", x, "n", m * dsub)
    out = _checks.output("pq_encode", out, x, _checks.UINT8, len(x), code_size(m, bits))
    run("pq_encode", (x, codebooks), (out,), threads, isa, stream)
    return out


def pq_decode(
    codes: U8,
    codebooks: F32,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The codewords of each row, side by side.

    Args:
        codes: uint8 (n, code_size), from `pq_encode`.
        codebooks: float (m, ksub, dsub), ksub 256 or 16.
        out: float32 (n, m * dsub).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, m * dsub).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape other than these; a codebook that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codebooks, bits = _codebooks("pq_decode", codebooks, codes)
    m, _, dsub = codebooks.shape
    codes = _checks.typed("pq_decode", "codes", codes, _checks.UINT8, "n", code_size(m, bits))
    out = _checks.output("pq_decode", out, codes, _checks.FLOAT32, len(codes), m * dsub)
    run("pq_decode", (codes, codebooks), (out,), threads, isa, stream)
    return out


def pq_tables(
    queries: Floats,
    codebooks: F32,
    metric: str = "ip",
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The lookup tables of asymmetric distance: each query's part against each codeword.

    Args:
        queries: rows (nq, m * dsub) of float32, float16, bfloat16 or float64.
        codebooks: float (m, ksub, dsub), ksub 256 or 16.
        metric: "ip", "l2" (squared distances, positive) or "cosine" (inner products, as for "ip").
        out: float32 (nq, m, ksub).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Tables float32 (nq, m, ksub).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or metric other than these; a codebook or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codebooks, _ = _codebooks("pq_tables", codebooks, queries)
    m, ksub, dsub = codebooks.shape
    queries = _checks.queries("pq_tables", queries, queries, m * dsub)
    _checks.one_of("pq_tables", "metric", metric, _METRICS)
    out = _checks.output("pq_tables", out, queries, _checks.FLOAT32, len(queries), m, ksub)
    run("pq_tables", (queries, codebooks, metric), (out,), threads, isa, stream)
    return out


def pq_topk(
    codes: U8,
    codebooks: F32,
    queries: Floats,
    k: int,
    metric: str = "ip",
    mask: Bools | None = None,
    centroids: F32 | None = None,
    centroid: I32 | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k codes that score best against each query, by sums of `pq_tables` (asymmetric distance).

    With centroids a row is what `pq_decode` gives + its centroid. An inner product is then the sum + that of
    the query with the centroid; by "l2" and "cosine" rows are decoded, since tables lack what codewords and
    centroids have in common, which takes some five times as long for few queries.

    Args:
        codes: uint8 (n, code_size), from `pq_encode`. In column order (`numpy.asfortranarray`) they are read
            where they lie too, by the CPU, and few queries are faster: no transpose is needed.
        codebooks: float (m, ksub, dsub), ksub 256 or 16.
        queries: rows (nq, m * dsub) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        centroids: float (c, m * dsub).
        centroid: the centroid of each row, int32 (n,), in [0, c); None where c is 1.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k) and row ids int64 (nq, k), as in `sq_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, metric or k other than these; a codebook, centroid or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codebooks, bits = _codebooks("pq_topk", codebooks, codes)
    m, _, dsub = codebooks.shape
    codes = _checks.typed("pq_topk", "codes", codes, _checks.UINT8, "n", code_size(m, bits))
    queries = _checks.queries("pq_topk", queries, codes, m * dsub)
    k, mask, out = _checks.search("pq_topk", codes, len(queries), k, metric, mask, out)
    centroids, centroid = _checks.coarse("pq_topk", codes, m * dsub, centroids, centroid)
    inputs = (codes, codebooks, queries, k, metric, mask, centroids, centroid)
    run("pq_topk", inputs, out, threads, isa, stream)
    return out


def _codebooks(kernel: str, codebooks: F32, like: Floats) -> tuple[F32, int]:
    """The codebooks as a parameter, and the bits of a code: 8 or 4."""
    codebooks = _checks.parameter(kernel, "codebooks", codebooks, like, "m", "ksub", "dsub")
    _checks.one_of(kernel, "ksub", codebooks.shape[1], (256, 16))
    return codebooks, codebooks.shape[1].bit_length() - 1
