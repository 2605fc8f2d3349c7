"""fit reads once and keeps a uniform sample that does not depend on how the input was cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embcodec.codecs import Codec
from embcodec.codecs.sample import row_keys, sample_rows


def numbered(n: int) -> np.ndarray:
    return np.stack([np.arange(n), -np.arange(n)], axis=1).astype(np.float32)


def splitmix64(state: int) -> tuple[int, int]:
    """The generator as Vigna's reference has it."""
    mask = (1 << 64) - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return state, z ^ (z >> 31)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_keys_are_a_splitmix64_stream(seed: int) -> None:
    state, start = splitmix64(seed)
    state, want = start, []
    for _ in range(50):
        state, key = splitmix64(state)
        want.append(key)
    assert row_keys(seed, 0, 50).tolist() == want
    assert row_keys(seed, 20, 30).tolist() == want[20:]


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 300), max_rows=st.integers(1, 350), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_the_cut_does_not_show(n: int, max_rows: int, cuts: list[int]) -> None:
    x = numbered(n)
    batches = np.split(x, sorted(min(cut, n) for cut in cuts))
    sample = sample_rows("f", iter(batches), max_rows, 5)
    np.testing.assert_array_equal(sample, sample_rows("f", x, max_rows, 5))
    order = np.argsort(row_keys(5, 0, n))[:max_rows]
    np.testing.assert_array_equal(sample, x[np.sort(order)])


def test_the_sample_is_uniform() -> None:
    counts = np.zeros(1000)
    for seed in range(200):
        counts[sample_rows("f", numbered(1000), 100, seed)[:, 0].astype(int)] += 1
    # each row is drawn in a tenth of 200 samples: 20, with a standard deviation of 4.2
    assert abs(counts.mean() - 20) < 1e-9
    assert 3.6 < counts.std() < 4.9
    assert abs(counts[:500].mean() - 20) < 0.7


def test_a_generator_is_read_once(rows: np.ndarray) -> None:
    reads = []

    def batches() -> Iterator[np.ndarray]:
        for start in range(0, len(rows), 11):
            reads.append(start)
            yield rows[start : start + 11]

    streamed = Codec("PCA16,SQ8", seed=2).fit(batches(), max_rows=90)
    assert reads == list(range(0, len(rows), 11))
    assert streamed.fingerprint == Codec("PCA16,SQ8", seed=2).fit(rows, max_rows=90).fingerprint
    assert streamed.fingerprint != Codec("PCA16,SQ8", seed=2).fit(rows).fingerprint
    assert streamed.fingerprint != Codec("PCA16,SQ8", seed=4).fit(rows, max_rows=90).fingerprint


def test_batches_may_be_empty_and_of_any_float(rows: np.ndarray) -> None:
    narrow = rows.astype(np.float16)
    batches = [narrow[:0], narrow[:40].astype(np.float64), narrow[40:40], narrow[40:]]
    assert Codec("SQ8").fit(batches).fingerprint == Codec("SQ8").fit(narrow.astype(np.float32)).fingerprint


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((0, 4), np.float32), ValueError, "x has no rows"),
        ([], ValueError, "x has no rows"),
        ([np.ones((0, 4), np.float32)], ValueError, "x has no rows"),
        (iter([np.ones((3, 4), np.float32), np.ones((3, 5), np.float32)]), ValueError, r"x must be \(n, 4\)"),
        (np.ones((3, 0), np.float32), ValueError, r"x must be \(n, d\).*, got \(3, 0\)"),
        (np.ones(3, np.float32), ValueError, r"x must be \(n, d\), got \(3,\)"),
        ([[1.0, 2.0], [3.0, 4.0]], ValueError, r"x must be \(n, d\), got \(2,\)"),
        (np.ones((3, 4), int), TypeError, "x must be float32, float16, bfloat16 or float64, got int64"),
        ("vectors.npy", TypeError, "x must be an array or an iterable of batches, got str"),
        (3, TypeError, "x must be an array or an iterable of batches, got int"),
    ],
)
def test_what_fit_refuses(x: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=r"^Codec\.fit: " + message):
        Codec("SQ8").fit(x)  # type: ignore[arg-type]


@pytest.mark.parametrize(("max_rows", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
def test_max_rows(rows: np.ndarray, max_rows: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Codec\.fit: max_rows must be"):
        Codec("SQ8").fit(rows, max_rows=max_rows)
