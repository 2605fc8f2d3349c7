"""Fit the codebooks that every TCQ codec starts from, on Gaussian samples.

    python scripts/make_trellis_books.py

For each rate, Lloyd iterations through the trellis: encode, move each level to the mean of what chose
it or its mirror image. They start from the Gaussian's quantiles in a random order, which is as good a
labelling of the trellis as any known; the best of several orders is taken. Prints the distortion of each
rate on fresh samples, for the table in codecs/trellis.py. Takes some minutes on two cores.
"""

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np

from embcodec.codecs.trellis import mirrored_sums
from embcodec.kernels import trellis_decode, trellis_encode
from embcodec.reference.trellis import LEVELS, windows

TARGET = Path(__file__).parents[1] / "python/embcodec/codecs/trellis_books.npy"
RATES = (1, 2, 4, 6, 8, 10, 12)  # half bits
DIMS, ORDERS = 256, 8
TRIAL_ROWS, TRIAL_ITERATIONS = 1000, 8
ROWS, ITERATIONS = 6000, 20


def rows_of(rate: int) -> list[int]:
    """The books of a rate: two for a pair of components that share a bit."""
    return [0, 1] if rate == 1 else [rate // 2 + 1]


def quantized(books: np.ndarray) -> tuple[np.ndarray, float]:
    """Levels int8 and their scale."""
    scale = np.abs(books).max() / 127
    return np.rint(books / scale).astype(np.int8), float(scale)


def code(x: np.ndarray, books: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean squared error, and the windows."""
    levels, scale = quantized(books)
    d = x.shape[1]
    plan = levels, np.full(d, scale, np.float32), np.full(d, rate, np.uint8)
    codes = trellis_encode(x, *plan, np.ones(d, np.float32))
    error = float(((x - trellis_decode(codes, *plan)) ** 2).mean())
    return error, windows(codes, plan[2].tolist()).astype(np.int64)


def start(rate: int, rng: np.random.Generator) -> np.ndarray:
    """Quantiles in a random order, of random sign; the books of other rates 0."""
    books = np.zeros((8, LEVELS))
    quantiles = np.array([NormalDist().inv_cdf(0.5 + (i + 0.5) / 256) for i in range(LEVELS)])
    for row in rows_of(rate):
        books[row] = (
            rng.permutation(quantiles) * rng.choice([-1, 1], LEVELS) * math.sqrt(1 - 4.0 ** (-rate / 2))
        )
    return books


def refine(books: np.ndarray, x: np.ndarray, rate: int, iterations: int) -> np.ndarray:
    """Lloyd iterations."""
    rows = rows_of(rate)
    row = np.resize(rows, x.shape[1])
    for _ in range(iterations):
        count, total = mirrored_sums(code(x, books, rate)[1] + 256 * row, x)
        books = np.where(count > 0, total / np.maximum(count, 1), books)
    return books


def main() -> None:
    """Fit all rates, print their distortion, write the file."""
    rng = np.random.default_rng(1990)
    result = np.zeros((8, LEVELS), np.float32)
    for rate in RATES:
        trial, x, fresh = (rng.standard_normal((n, DIMS), np.float32) for n in (TRIAL_ROWS, ROWS, ROWS))
        orders = [refine(start(rate, rng), trial, rate, TRIAL_ITERATIONS) for _ in range(ORDERS)]
        best = min(orders, key=lambda books: code(x[:TRIAL_ROWS], books, rate)[0])
        books = refine(best, x, rate, ITERATIONS)
        distortion = code(fresh, books, rate)[0]
        above = 10 * math.log10(distortion * 4 ** (rate / 2))
        print(f"{rate}: {distortion:.5f},  # {rate / 2} bits, {above:.2f} dB above the bound", flush=True)
        result[rows_of(rate)] = books[rows_of(rate)]
    np.save(TARGET, result)


if __name__ == "__main__":
    main()
