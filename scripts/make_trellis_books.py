"""Fit the codebooks that every TCQ codec starts from, on Gaussian samples.

    python scripts/make_trellis_books.py

For each rate, Lloyd iterations through the trellis: encode, move each level to the mean of what chose
it. They start from the Gaussian's quantiles in a random order, which is as good a labelling of the
trellis as any known. Prints the distortion of each rate on fresh samples, for the table in
codecs/trellis.py. Takes about five minutes on two cores.
"""

import math
from pathlib import Path
from statistics import NormalDist

import numpy as np

from embcodec.kernels import trellis_decode, trellis_encode

TARGET = Path(__file__).parents[1] / "python/embcodec/codecs/trellis_books.npy"
RATES = (1, 2, 4, 6, 8, 10, 12)  # half bits
ROWS, DIMS, ITERATIONS = 6000, 256, 30


def rows_of(rate: int) -> list[int]:
    """The books of a rate: two for a pair of components that share a bit."""
    return [0, 1] if rate == 1 else [rate // 2 + 1]


def quantized(books: np.ndarray) -> tuple[np.ndarray, float]:
    """Levels int8 and their scale."""
    scale = np.abs(books).max() / 127
    return np.rint(books / scale).astype(np.int8), float(scale)


def code(x: np.ndarray, books: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The decoded rows, and the windows that they came from."""
    levels, scale = quantized(books)
    d = x.shape[1]
    rates, weight = np.full(d, rate, np.uint8), np.ones(d, np.float32)
    codes = trellis_encode(x, levels, np.full(d, scale, np.float32), rates, weight)
    decoded = trellis_decode(codes, levels, np.full(d, scale, np.float32), rates)
    identity = np.tile(np.arange(256) - 128, (8, 1)).astype(np.int8)  # a book whose levels tell the window
    windows = trellis_decode(codes, identity, np.ones(d, np.float32), rates)
    return decoded, windows.astype(int) + 128


def fit(rate: int, rng: np.random.Generator) -> np.ndarray:
    """The books of one rate, the others 0."""
    books = np.zeros((8, 256))
    quantiles = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
    for row in rows_of(rate):
        books[row] = rng.permutation(quantiles) * math.sqrt(1 - 4.0 ** (-rate / 2))
    x = rng.standard_normal((ROWS, DIMS), np.float32)
    for _ in range(ITERATIONS):
        _, windows = code(x, books, rate)
        for part, row in enumerate(rows_of(rate)):
            step = len(rows_of(rate))
            chosen, values = windows[:, part::step].ravel(), x[:, part::step].ravel()
            count = np.bincount(chosen, minlength=256)
            mean = np.bincount(chosen, values, minlength=256) / np.maximum(count, 1)
            books[row] = np.where(count > 0, mean, books[row])
    return books


def main() -> None:
    """Fit all rates, print their distortion, write the file."""
    rng = np.random.default_rng(1990)
    result = np.zeros((8, 256), np.float32)
    for rate in RATES:
        books = fit(rate, rng)
        fresh = rng.standard_normal((ROWS, DIMS), np.float32)
        distortion = float(((fresh - code(fresh, books, rate)[0]) ** 2).mean())
        above = 10 * math.log10(distortion * 4 ** (rate / 2))
        print(f"{rate}: {distortion:.5f},  # {rate / 2} bits, {above:.2f} dB above the bound", flush=True)
        result[rows_of(rate)] = books[rows_of(rate)]
    np.save(TARGET, result)


if __name__ == "__main__":
    main()
