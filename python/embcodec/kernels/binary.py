"""Binary codes: one bit a dimension, above a threshold or not."""

from __future__ import annotations

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I64, U8, Bools, Floats, code_size

_ORDERS = ("msb", "lsb")


def bits_encode(
    x: Floats,
    threshold: float | F32 = 0.0,
    order: str = "msb",
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """One bit for each value: 1 where x > threshold.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        threshold: a number, or one for each dimension, float (d,).
        order: "msb" (`np.packbits`, Sentence Transformers) or "lsb" (FAISS): where a byte's first bit is.
        out: uint8 (n, ceil(d / 8)).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(d / 8)), rows padded with 0 bits.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or order other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("bits_encode", "x", x, "n", "d")
    n, d = x.shape
    threshold = _checks.per_dimension("bits_encode", "threshold", threshold, x, d)
    _checks.one_of("bits_encode", "order", order, _ORDERS)
    out = _checks.output("bits_encode", out, x, _checks.UINT8, n, code_size(d, 1))
    run("bits_encode", (x, threshold, order), (out,), threads, isa, stream)
    return out


def bits_decode(
    codes: U8,
    d: int,
    low: float | F32 = -1.0,
    high: float | F32 = 1.0,
    order: str = "msb",
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The value `high` for each bit that is 1, `low` for each that is 0.

    Args:
        codes: uint8 (n, ceil(d / 8)).
        d: dimensions.
        low: a number, or one for each dimension, float (d,).
        high: a number, or one for each dimension, float (d,).
        order: "msb" or "lsb", as in `bits_encode`.
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, d or order other than these; a low or high that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    d = _checks.at_least("bits_decode", "d", d, 1)
    codes = _checks.typed("bits_decode", "codes", codes, _checks.UINT8, "n", code_size(d, 1))
    low = _checks.per_dimension("bits_decode", "low", low, codes, d)
    high = _checks.per_dimension("bits_decode", "high", high, codes, d)
    _checks.one_of("bits_decode", "order", order, _ORDERS)
    out = _checks.output("bits_decode", out, codes, _checks.FLOAT32, len(codes), d)
    run("bits_decode", (codes, d, low, high, order), (out,), threads, isa, stream)
    return out


def hamming_topk(
    codes: U8,
    queries: U8,
    k: int,
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k codes that differ in the fewest bits from each query's code.

    Args:
        codes: uint8 (n, code_size), from `bits_encode`.
        queries: uint8 (nq, code_size), encoded alike.
        k: rows wanted, 1 to n.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k), the negative numbers of differing bits, descending, and row ids int64 (nq, k),
        ascending among equal scores. Where the mask leaves fewer than k rows, the rest is -inf and -1.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or k other than these.
        BackendUnavailableError: isa cannot run here.
    """
    codes = _checks.typed("hamming_topk", "codes", codes, _checks.UINT8, "n", "code_size")
    queries = _checks.typed("hamming_topk", "queries", queries, _checks.UINT8, "nq", codes.shape[1])
    queries = _checks.beside(_checks.contiguous(queries), codes)
    k, mask, out = _checks.search("hamming_topk", codes, len(queries), k, "ip", mask, out)
    run("hamming_topk", (codes, queries, k, mask), out, threads, isa, stream)
    return out


def bits_topk(
    codes: U8,
    queries: Floats,
    k: int,
    low: float | F32 = -1.0,
    high: float | F32 = 1.0,
    order: str = "msb",
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k binary codes that score best against each float query (asymmetric distance).

    A row's score is that of the row that `bits_decode` gives.

    Args:
        codes: uint8 (n, ceil(d / 8)), from `bits_encode`. In row or in column order, as for `pq_topk`.
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        low: a number, or one for each dimension, float (d,).
        high: a number, or one for each dimension, float (d,).
        order: "msb" or "lsb", as in `bits_encode`.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k) and row ids int64 (nq, k), as in `sq_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, order, metric or k other than these; a low, high or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    queries = _checks.queries("bits_topk", queries, codes, "d")
    nq, d = queries.shape
    codes = _checks.typed("bits_topk", "codes", codes, _checks.UINT8, "n", code_size(d, 1))
    low = _checks.per_dimension("bits_topk", "low", low, codes, d)
    high = _checks.per_dimension("bits_topk", "high", high, codes, d)
    _checks.one_of("bits_topk", "order", order, _ORDERS)
    k, mask, out = _checks.search("bits_topk", codes, nq, k, metric, mask, out)
    run("bits_topk", (codes, queries, k, low, high, order, metric, mask), out, threads, isa, stream)
    return out
