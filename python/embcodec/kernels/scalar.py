"""Scalar codes: a range for each dimension (sq), for each row (rowsq), halves (half); uncoded rows (flat)."""

from __future__ import annotations

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I64, U8, Bools, Floats, code_size

_BITS = (8, 6, 4)
_HALVES = ("float16", "bfloat16")


def sq_encode(
    x: Floats,
    lo: F32,
    step: F32,
    bits: int = 8,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """Quantize each value to `bits` bits, over a range for each dimension.

    code = rint(clip((x - lo) * (1 / step), 0, 2**bits - 1)), halves to even; 0 where step <= 0.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        lo: smallest value of each dimension, float (d,).
        step: distance of neighbouring levels in each dimension, float (d,).
        bits: 8, 6 or 4.
        out: uint8 (n, ceil(d * bits / 8)).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(d * bits / 8)), packed LSB-first (bits=4: low nibble first), rows padded with 0
        bits.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or bits other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("sq_encode", "x", x, "n", "d")
    n, d = x.shape
    lo = _checks.parameter("sq_encode", "lo", lo, x, d)
    step = _checks.parameter("sq_encode", "step", step, x, d)
    _checks.one_of("sq_encode", "bits", bits, _BITS)
    out = _checks.output("sq_encode", out, x, _checks.UINT8, n, code_size(d, bits))
    run("sq_encode", (x, lo, step, bits), (out,), threads, isa, stream)
    return out


def sq_decode(
    codes: U8,
    lo: F32,
    step: F32,
    bits: int = 8,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The values lo + code * step of codes from `sq_encode`.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)).
        lo: smallest value of each dimension, float (d,).
        step: distance of neighbouring levels in each dimension, float (d,).
        bits: 8, 6 or 4.
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or bits other than these; a parameter that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    _checks.one_of("sq_decode", "bits", bits, _BITS)
    lo = _checks.parameter("sq_decode", "lo", lo, codes, "d")
    d = len(lo)
    step = _checks.parameter("sq_decode", "step", step, codes, d)
    codes = _checks.typed("sq_decode", "codes", codes, _checks.UINT8, "n", code_size(d, bits))
    out = _checks.output("sq_decode", out, codes, _checks.FLOAT32, len(codes), d)
    run("sq_decode", (codes, lo, step, bits), (out,), threads, isa, stream)
    return out


def sq_topk(
    codes: U8,
    lo: F32,
    step: F32,
    queries: Floats,
    k: int,
    bits: int = 8,
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k rows that score best against each query, without decoding them to memory.

    A row's score is that of the row that `sq_decode` gives.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)), from `sq_encode`.
        lo: smallest value of each dimension, float (d,).
        step: distance of neighbouring levels in each dimension, float (d,).
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        bits: 8, 6 or 4.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k), descending, and row ids int64 (nq, k), ascending among equal scores. Where the
        mask leaves fewer than k rows, the rest is -inf and -1.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, bits, metric or k other than these; a parameter or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    _checks.one_of("sq_topk", "bits", bits, _BITS)
    lo = _checks.parameter("sq_topk", "lo", lo, codes, "d")
    d = len(lo)
    step = _checks.parameter("sq_topk", "step", step, codes, d)
    codes = _checks.typed("sq_topk", "codes", codes, _checks.UINT8, "n", code_size(d, bits))
    queries = _checks.queries("sq_topk", queries, codes, d)
    k, mask, out = _checks.search("sq_topk", codes, len(queries), k, metric, mask, out)
    run("sq_topk", (codes, lo, step, queries, k, bits, metric, mask), out, threads, isa, stream)
    return out


def rowsq_encode(
    x: Floats,
    bits: int = 8,
    *,
    out: tuple[U8, F32, F32] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[U8, F32, F32]:
    """Quantize each value to `bits` bits, over the range of its row.

    offset = min(row), scale = (max(row) - min(row)) / (2**bits - 1), codes as in `sq_encode`. Nothing is
    fitted, and a row costs 8 bytes more.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        bits: 8, 6 or 4.
        out: uint8 (n, ceil(d * bits / 8)), float32 (n,) and float32 (n,).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(d * bits / 8)), packed as in `sq_encode`, scale float32 (n,) and offset float32
        (n,).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or bits other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("rowsq_encode", "x", x, "n", "d")
    n, d = x.shape
    _checks.one_of("rowsq_encode", "bits", bits, _BITS)
    wanted = (_checks.UINT8, n, code_size(d, bits)), (_checks.FLOAT32, n), (_checks.FLOAT32, n)
    out = _checks.outputs("rowsq_encode", out, x, *wanted)
    run("rowsq_encode", (x, bits), out, threads, isa, stream)
    return out


def rowsq_decode(
    codes: U8,
    scale: F32,
    offset: F32,
    d: int,
    bits: int = 8,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The values offset + code * scale of codes from `rowsq_encode`.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)).
        scale: distance of neighbouring levels in each row, float (n,).
        offset: smallest value of each row, float (n,).
        d: dimensions.
        bits: 8, 6 or 4.
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, d or bits other than these; a scale or offset that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    d = _checks.at_least("rowsq_decode", "d", d, 1)
    _checks.one_of("rowsq_decode", "bits", bits, _BITS)
    codes = _checks.typed("rowsq_decode", "codes", codes, _checks.UINT8, "n", code_size(d, bits))
    n = len(codes)
    scale = _checks.parameter("rowsq_decode", "scale", scale, codes, n)
    offset = _checks.parameter("rowsq_decode", "offset", offset, codes, n)
    out = _checks.output("rowsq_decode", out, codes, _checks.FLOAT32, n, d)
    run("rowsq_decode", (codes, scale, offset, d, bits), (out,), threads, isa, stream)
    return out


def rowsq_topk(
    codes: U8,
    scale: F32,
    offset: F32,
    queries: Floats,
    k: int,
    bits: int = 8,
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k rows that score best against each query, without decoding them to memory.

    A row's score is that of the row that `rowsq_decode` gives.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)), from `rowsq_encode`.
        scale: distance of neighbouring levels in each row, float (n,).
        offset: smallest value of each row, float (n,).
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        bits: 8, 6 or 4.
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
        ValueError: a shape, bits, metric or k other than these; a scale, offset or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    _checks.one_of("rowsq_topk", "bits", bits, _BITS)
    queries = _checks.queries("rowsq_topk", queries, codes, "d")
    nq, d = queries.shape
    codes = _checks.typed("rowsq_topk", "codes", codes, _checks.UINT8, "n", code_size(d, bits))
    n = len(codes)
    scale = _checks.parameter("rowsq_topk", "scale", scale, codes, n)
    offset = _checks.parameter("rowsq_topk", "offset", offset, codes, n)
    k, mask, out = _checks.search("rowsq_topk", codes, nq, k, metric, mask, out)
    run("rowsq_topk", (codes, scale, offset, queries, k, bits, metric, mask), out, threads, isa, stream)
    return out


def half_encode(
    x: Floats,
    half: str = "float16",
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """Round each value to 16 bits, halves to even; beyond the largest finite one, to that.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        half: "float16" (IEEE half precision, up to 65504) or "bfloat16" (a float32's upper half).
        out: uint8 (n, 2 * d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, 2 * d), little-endian: float16's are `codes.view(np.float16)`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or half other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("half_encode", "x", x, "n", "d")
    n, d = x.shape
    _checks.one_of("half_encode", "half", half, _HALVES)
    out = _checks.output("half_encode", out, x, _checks.UINT8, n, 2 * d)
    run("half_encode", (x, half), (out,), threads, isa, stream)
    return out


def half_decode(
    codes: U8,
    half: str = "float16",
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The values of codes from `half_encode`.

    Args:
        codes: uint8 (n, 2 * d).
        half: "float16" or "bfloat16".
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or half other than these.
        BackendUnavailableError: isa cannot run here.
    """
    _checks.one_of("half_decode", "half", half, _HALVES)
    codes = _checks.typed("half_decode", "codes", codes, _checks.UINT8, "n", "2 * d")
    n, size = codes.shape
    if size % 2:
        raise ValueError(f"half_decode: codes must be (n, 2 * d), got ({n}, {size})")
    out = _checks.output("half_decode", out, codes, _checks.FLOAT32, n, size // 2)
    run("half_decode", (codes, half), (out,), threads, isa, stream)
    return out


def half_topk(
    codes: U8,
    queries: Floats,
    k: int,
    half: str = "float16",
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k rows that score best against each query, without decoding them to memory.

    A row's score is that of the row that `half_decode` gives.

    Args:
        codes: uint8 (n, 2 * d), from `half_encode`.
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        half: "float16" or "bfloat16".
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
        ValueError: a shape, half, metric or k other than these; a value that is not finite, with its row, in
            the queries or in codes that may be returned.
        BackendUnavailableError: isa cannot run here.
    """
    _checks.one_of("half_topk", "half", half, _HALVES)
    queries = _checks.queries("half_topk", queries, codes, "d")
    nq, d = queries.shape
    codes = _checks.typed("half_topk", "codes", codes, _checks.UINT8, "n", 2 * d)
    k, mask, out = _checks.search("half_topk", codes, nq, k, metric, mask, out)
    run("half_topk", (codes, queries, k, half, metric, mask), out, threads, isa, stream)
    return out


def flat_topk(
    x: Floats,
    queries: Floats,
    k: int,
    metric: str = "ip",
    mask: Bools | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """Exact search: the k rows of x that score best against each query.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64; 4, 2, 2 or 8 bytes a value, scored in
            float32.
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
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
        ValueError: a shape, metric or k other than these; a value that is not finite, with its row, in
            the queries or in a row of x that may be returned.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("flat_topk", "x", x, "n", "d")
    queries = _checks.queries("flat_topk", queries, x, x.shape[1])
    k, mask, out = _checks.search("flat_topk", x, len(queries), k, metric, mask, out)
    run("flat_topk", (x, queries, k, metric, mask), out, threads, isa, stream)
    return out
