"""Randomised Hadamard rotation."""

from __future__ import annotations

from typing import Any

from embcodec._backends import run
from embcodec.kernels import _checks
from embcodec.kernels._checks import F32, U8, Floats


def hadamard_size(d: int) -> int:
    """The smallest allowed size of a rotation of d dimensions: 2**k, 12 * 2**k or 20 * 2**k.

    Raises:
        TypeError: d is not an integer.
        ValueError: d < 1.
    """
    d = _checks.at_least("hadamard_size", "d", d, 1)
    return min(m << (-(-d // m) - 1).bit_length() for m in (1, 12, 20))


def hadamard_rotate(
    x: Floats,
    signs: F32,
    inverse: bool = False,
    *,
    out: F32 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> F32:
    """Rotate by a Hadamard matrix after random signs, at d log d additions a row.

    y = H (signs * x) / sqrt(size), where x is padded with zeros to `size`, and H is the Kronecker product of
    a Hadamard matrix of size 1, 12 or 20 and Sylvester's of size 2**k. The inverse is x = signs * (H y) /
    sqrt(size). Lengths and inner products stay, and the values of a row become alike in distribution.

    Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform and approximate nearest neighbors", 2009.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64, d at most size.
        signs: +1 and -1, float (size,), where hadamard_size(size) == size.
        inverse: undo the rotation. The padding comes back as (nearly) zero.
        out: float32 (n, size).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Rows float32 (n, size).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or signs other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    x, signs = _rotation("hadamard_rotate", x, signs)
    out = _checks.output("hadamard_rotate", out, x, _checks.FLOAT32, len(x), len(signs))
    run("hadamard_rotate", (x, signs, bool(inverse)), (out,), threads, isa, stream)
    return out


def hadamard_sq_encode(
    x: Floats,
    signs: F32,
    lo: F32,
    step: F32,
    bits: int = 8,
    *,
    out: U8 | None = None,
    threads: int | None = None,
    isa: str | None = None,
    stream: int | None = None,
) -> U8:
    """Rotate and quantize: the codes of `sq_encode(hadamard_rotate(x, signs), lo, step, bits)`.

    On a CUDA device the rotated rows never reach memory.

    Args:
        x: rows (n, d) of float32, float16, bfloat16 or float64, d at most size.
        signs: +1 and -1, float (size,), where hadamard_size(size) == size.
        lo: the value of code 0, float (size,).
        step: the distance of neighbouring codes, float (size,), not negative.
        bits: 8, 6 or 4.
        out: uint8 (n, ceil(size * bits / 8)).
        threads: number of threads, the default one if None.
        isa: instruction set, the default one if None.
        stream: CUDA stream, a pointer, for arrays on a device; their library's current one if None.

    Returns:
        Codes uint8 (n, ceil(size * bits / 8)).

    Raises:
        TypeError: an array or dtype other than these.
        ValueError: a shape or value other than these; a value that is not finite, with its row.
        BackendUnavailableError: isa cannot run here.
    """
    name = "hadamard_sq_encode"
    x, signs = _rotation(name, x, signs)
    size = len(signs)
    lo = _checks.parameter(name, "lo", lo, x, size)
    step = _checks.parameter(name, "step", step, x, size)
    _checks.one_of(name, "bits", bits, (8, 6, 4))
    out = _checks.output(name, out, x, _checks.UINT8, len(x), _checks.code_size(size, bits))
    run(name, (x, signs, lo, step, bits), (out,), threads, isa, stream)
    return out


def _rotation(kernel: str, x: Any, signs: Any) -> tuple[Floats, F32]:
    """Rows, and signs of a size that they fit."""
    x = _checks.floats(kernel, "x", x, "n", "d")
    wrong = _checks.is_on_host(signs) and not (abs(signs) == 1).all()
    signs = _checks.parameter(kernel, "signs", signs, x, "size")
    d, size = x.shape[1], signs.shape[0]
    if size < d or hadamard_size(size) != size:
        raise ValueError(
            f"{kernel}: signs must be (size,) with an allowed size of at least {d}, such as "
            f"{hadamard_size(d)}, got ({size},)"
        )
    if wrong:
        raise ValueError(f"{kernel}: signs must be +1 and -1")
    return x, signs
