"""Trellis-coded quantization (docs/trellis.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, I32, I64, U8, Bools, Floats
from embcodec.reference.trellis import LEVELS, RATES, UNIT, are_rates, code_size

I8 = np.typing.NDArray[np.int8]
_INT8 = np.dtype(np.int8)


def trellis_encode(
    x: Floats,
    codebooks: I8,
    step: F32,
    rates: U8,
    weight: F32,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """The codes whose decoded rows have the least weighted squared error, found by Viterbi's algorithm.

    A window of 8 bits moves along a row's bit string, by the bits that a component is given; its value picks
    one of 256 levels. Behind the string lie zeros. Trellis-coded quantization is Marcellin and Fischer's
    ("Trellis coded quantization of memoryless and Gauss-Markov sources", 1990), the bit-shift trellis QTIP's
    (Tseng et al., 2024).

    Args:
        x: components (n, d) of float32, float16, bfloat16 or float64.
        codebooks: int8 (8, 128), -127 to 127: the levels of the first and the second of a pair of components
            that share a bit, then those of 1, 2, 3, 4, 5 and 6 bits. A window w above 127 stands for minus
            the level of 255 - w.
        step: what a level is multiplied with, float (d,).
        rates: half bits a component, uint8 (d,): 12, 10, 8, 6, 4, 2, 1 or 0, never rising, constant over
            each 16 components and over what these leave, the last d % 16. At 1 two neighbouring components
            share one bit, which the last of an odd number cannot; components at 0 decode to 0.
        weight: of a component's squared error in units of its step, float (d,), not negative.
        out: uint8 (n, code size).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, code size); the code size is the bits of all components / 8, rounded up.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or value other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x = _checks.floats("trellis_encode", "x", x, "n", "d")
    n, d = x.shape
    codebooks, step, rates = _plan("trellis_encode", codebooks, step, rates, x)
    x = _checks.floats("trellis_encode", "x", x, "n", len(step))
    weight = _checks.parameter("trellis_encode", "weight", weight, x, d)
    out = _checks.output("trellis_encode", out, x, _checks.UINT8, n, code_size(rates))
    run("trellis_encode", (x, codebooks, step, rates, weight), (out,), threads, isa, stream)
    return out


def trellis_decode(
    codes: U8,
    codebooks: I8,
    step: F32,
    rates: U8,
    factors: F32 | None = None,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """The components that codes from `trellis_encode` stand for.

    Args:
        codes: uint8 (n, code size), with factors (n, code size + 1).
        codebooks: int8 (8, 128), as in `trellis_encode`.
        step: float (d,).
        rates: uint8 (d,).
        factors: float (256,): a row is multiplied by the one that the byte behind its bit string chooses.
        out: float32 (n, d).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Components float32 (n, d).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or value other than these.
        BackendUnavailableError: isa cannot run here.
    """
    name = "trellis_decode"
    codebooks, step, rates = _plan(name, codebooks, step, rates, codes)
    factors = _factors(name, factors, codes)
    codes = _checks.typed(name, "codes", codes, _checks.UINT8, "n", code_size(rates) + (factors is not None))
    out = _checks.output(name, out, codes, _checks.FLOAT32, len(codes), len(step))
    run(name, (codes, codebooks, step, rates, factors), (out,), threads, isa, stream)
    return out


def trellis_topk(
    codes: U8,
    codebooks: I8,
    step: F32,
    rates: U8,
    queries: Floats,
    k: int,
    metric: str = "ip",
    mask: Bools | None = None,
    factors: F32 | None = None,
    centroids: F32 | None = None,
    centroid: I32 | U8 | None = None,
    *,
    out: tuple[F32, I64] | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> tuple[F32, I64]:
    """The k codes whose decoded rows score best against each query.

    A row is its decoded components times its factor, plus its centroid, the latter two where they are given;
    in place of centroids, what residual quantization makes of it (`rq_decode`), a codeword after the other.

    Args:
        codes: uint8 (n, code size), with factors (n, code size + 1).
        codebooks: int8 (8, 128), as in `trellis_encode`.
        step: float (d,).
        rates: uint8 (d,).
        queries: rows (nq, d) of float32, float16, bfloat16 or float64.
        k: rows wanted, 1 to n.
        metric: "ip", "l2" (the negative squared distance) or "cosine"; higher is better.
        mask: bool (n,), True where the row may be returned; all rows may if None.
        factors: float (256,), as in `trellis_decode`.
        centroids: float (c, d), or codebooks (m, 256, d).
        centroid: the centroid of each row, int32 (n,), in [0, c), None where c is 1; or the codewords of each
            row, uint8 (n, m), which may be a part of the rows of a larger array.
        out: float32 (nq, k) and int64 (nq, k).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Scores float32 (nq, k) and row ids int64 (nq, k), as in `sq_topk`.

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or value other than these; a query that is not finite.
        BackendUnavailableError: isa cannot run here.
    """
    name = "trellis_topk"
    codebooks, step, rates = _plan(name, codebooks, step, rates, codes)
    factors = _factors(name, factors, codes)
    codes = _checks.typed(name, "codes", codes, _checks.UINT8, "n", code_size(rates) + (factors is not None))
    d = len(step)
    queries = _checks.queries(name, queries, codes, d)
    k, mask, out = _checks.search(name, codes, len(queries), k, metric, mask, out)
    centroids, centroid = _checks.staged(name, codes, d, centroids, centroid)
    inputs = (codes, codebooks, step, rates, queries, k, metric, mask, factors, centroids, centroid)
    run(name, inputs, out, threads, isa, stream)
    return out


def _factors(kernel: str, factors: Any, like: Any) -> F32 | None:
    return None if factors is None else _checks.parameter(kernel, "factors", factors, like, 256)


def _plan(kernel: str, codebooks: Any, step: Any, rates: Any, like: Any) -> tuple[I8, F32, U8]:
    """Codebooks and steps beside the codes; rates on the host, where what follows from them is computed."""
    codebooks = _checks.contiguous(_checks.typed(kernel, "codebooks", codebooks, _INT8, 8, LEVELS))
    step = _checks.parameter(kernel, "step", step, like, "d")
    rates = _checks.on_host(_checks.typed(kernel, "rates", rates, _checks.UINT8, len(step)))
    if _checks.is_on_host(codebooks) and codebooks.min() < -127:
        raise ValueError(f"{kernel}: codebooks must be in [-127, 127]")
    if not are_rates(rates):
        raise ValueError(
            f"{kernel}: rates must be of {RATES}, above 0 first, never rise, be equal over each {UNIT}, "
            "and not end with 1 where their number is odd"
        )
    return _checks.beside(codebooks, like), step, rates
