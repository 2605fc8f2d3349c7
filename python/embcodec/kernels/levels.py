"""Quantization to levels that all dimensions share, each with a step of its own."""

from __future__ import annotations

from typing import Any

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I8, I32, I64, U8, Bools, Floats, code_size

_COUNTS = tuple(2**bits for bits in range(1, 9))


def levels_encode(
    x: Floats,
    levels: F32,
    step: F32,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """Quantize each value to the nearest of 2**bits levels times the step of its dimension.

    code = the number of midpoints 0.5 * levels[i] + 0.5 * levels[i + 1] below x * (1 / step), so that a tie
    goes to the lower level; 0 where step <= 0. With levels of least squared error for the values' density it
    is the quantizer of Lloyd (1982) and Max (1960).

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64.
        levels: float (2**bits,), bits 1 to 8, ascending.
        step: what the levels are multiplied with in each dimension, float (d,).
        out: uint8 (n, ceil(d * bits / 8)).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(d * bits / 8)), packed LSB-first, rows padded with 0 bits.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or levels other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("levels_encode", "x", x, "n", "d")
    n, d = x.shape
    levels, bits = _levels("levels_encode", levels, x)
    step = _checks.parameter("levels_encode", "step", step, x, d)
    out = _checks.output("levels_encode", out, x, _checks.UINT8, n, code_size(d, bits))
    run("levels_encode", (x, levels, step), (out,), threads, isa, stream)
    return out


def levels_decode(
    codes: U8,
    levels: F32,
    step: F32,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The values levels[code] * step of codes from `levels_encode`.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)).
        levels: float (2**bits,), bits 1 to 8, ascending.
        step: float (d,).
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or levels other than these; a parameter that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codes, levels, step = _parameters("levels_decode", codes, levels, step)
    out = _checks.output("levels_decode", out, codes, _checks.FLOAT32, len(codes), len(step))
    run("levels_decode", (codes, levels, step), (out,), threads, isa, stream)
    return out


def levels_topk(
    codes: U8,
    levels: F32,
    step: F32,
    queries: Floats,
    k: int,
    metric: str = "ip",
    mask: Bools | None = None,
    factor: Floats | None = None,
    centroids: F32 | None = None,
    centroid: I32 | None = None,
    shift: Floats | I8 | None = None,
    direction: F32 | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k codes whose decoded rows score best against each query, without decoding them to memory.

    A row is factor * (what `levels_decode` gives + shift * direction) + its centroid, where these are given.

    Args:
        codes: uint8 (n, ceil(d * bits / 8)), from `levels_encode`. In row order, or,
            at 1 bit to advantage, in column order, as for `pq_topk`.
        levels: float (2**bits,), bits 1 to 8, ascending.
        step: float (d,).
        queries: rows (nq, d) of float32, float16, bfloat16 or float64; as wide as the centroids, if given.
        k: rows wanted, 1 to n.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        factor: of each row, float (n,); float16 is read in place at any stride, and 0 if not finite.
        centroids: float (c, d), or wider: beyond d a row is its centroid alone, as cosines need for what all
            rows of a subspace have outside of it.
        centroid: the centroid of each row, int32 (n,), in [0, c); None where c is 1.
        shift: of each row, float (n,), with `direction`; int8 is read in place at any stride.
        direction: float (d,).
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k) and row ids int64 (nq, k), as in `sq_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape, levels, metric or k other than these; a parameter or query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codes, levels, step = _parameters("levels_topk", codes, levels, step)
    centroids, centroid = _checks.coarse("levels_topk", codes, "d", centroids, centroid)
    d = len(step)
    if centroids is not None:
        if centroids.shape[1] < d:
            raise ValueError(f"levels_topk: centroids must be (c, {d}) or wider, got {centroids.shape}")
        d = centroids.shape[1]
    queries = _checks.queries("levels_topk", queries, codes, d)
    k, mask, out = _checks.search("levels_topk", codes, len(queries), k, metric, mask, out)
    if factor is not None:
        factor = _checks.column("levels_topk", "factor", factor, codes, "float16")
    if (shift is None) != (direction is None):
        raise ValueError("levels_topk: shift and direction go together")
    if shift is not None:
        shift = _checks.column("levels_topk", "shift", shift, codes, "int8")
        direction = _checks.parameter("levels_topk", "direction", direction, codes, len(step))
    inputs = (codes, levels, step, queries, k, metric, mask, factor, centroids, centroid, shift, direction)
    run("levels_topk", inputs, out, threads, isa, stream)
    return out


def shape_encode(
    x: Floats,
    levels: F32,
    step: F32,
    direction: F32,
    scales: F32,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """Quantize each row's shape to levels, and keep what makes its inner products right.

    A row is scaled so that x / step has the root mean square 1, or one of `scales`: of these the one whose
    decoded values y make the least angle with the row. Two numbers follow: an int8, which times `direction`
    is added to y, so that the row's inner product with the direction is right, and a float16, which the sum
    is multiplied with, so that the row's inner product with itself is. That is gain-shape quantization (Sabin
    and Gray, 1984) with the factors of RaBitQ (Gao and Long, 2024).

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64, rotated if their coordinates are not alike.
        levels: float (2**bits,), bits 1 to 8, ascending.
        step: what the levels are multiplied with in each dimension, float (d,). Where it is 0, a row counts
            for the direction alone.
        direction: float (d,).
        scales: float (s,).
        out: uint8 (n, ceil(d * bits / 8) + 3).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(d * bits / 8) + 3): those of `levels_encode`, int8, little-endian float16, the
        `shift` and `factor` of `levels_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or levels other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("shape_encode", "x", x, "n", "d")
    n, d = x.shape
    levels, bits = _levels("shape_encode", levels, x)
    step = _checks.parameter("shape_encode", "step", step, x, d)
    direction = _checks.parameter("shape_encode", "direction", direction, x, d)
    scales = _checks.parameter("shape_encode", "scales", scales, x, "s")
    out = _checks.output("shape_encode", out, x, _checks.UINT8, n, code_size(d, bits) + 3)
    run("shape_encode", (x, levels, step, direction, scales), (out,), threads, isa, stream)
    return out


def shape_decode(
    codes: U8,
    levels: F32,
    step: F32,
    direction: F32,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The rows factor * (levels[code] * step + shift * direction) of codes from `shape_encode`.

    Args:
        codes: uint8 (n, ceil(d * bits / 8) + 3). A factor that is not finite counts as 0.
        levels: float (2**bits,), bits 1 to 8, ascending.
        step: float (d,).
        direction: float (d,).
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or levels other than these; a parameter that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    codes, levels, step = _parameters("shape_decode", codes, levels, step, 3)
    direction = _checks.parameter("shape_decode", "direction", direction, codes, len(step))
    out = _checks.output("shape_decode", out, codes, _checks.FLOAT32, len(codes), len(step))
    run("shape_decode", (codes, levels, step, direction), (out,), threads, isa, stream)
    return out


def _parameters(kernel: str, codes: Any, levels: Any, step: Any, more: int = 0) -> tuple[U8, F32, F32]:
    """Codes, and `more` bytes, and the levels and steps to which they must fit."""
    levels, bits = _levels(kernel, levels, codes)
    step = _checks.parameter(kernel, "step", step, codes, "d")
    codes = _checks.typed(kernel, "codes", codes, _checks.UINT8, "n", code_size(len(step), bits) + more)
    return codes, levels, step


def _levels(kernel: str, levels: Any, like: Any) -> tuple[F32, int]:
    ascending = not _checks.is_on_host(levels) or not (levels[1:] < levels[:-1]).any()
    levels = _checks.parameter(kernel, "levels", levels, like, "2**bits")
    if len(levels) not in _COUNTS:
        raise ValueError(f"{kernel}: levels must be (2**bits,) with bits from 1 to 8, got ({len(levels)},)")
    if not ascending:
        raise ValueError(f"{kernel}: levels must ascend")
    return levels, len(levels).bit_length() - 1
