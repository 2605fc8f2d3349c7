"""Trellis codes at every rate, with an encoder's notes in either memory, equal to those of the CPU."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RATES = (12, 10, 8, 6, 4, 2, 1, 0)


def plan(rates, seed=0):
    """Codebooks, steps, rates and weights of rows of that many dimensions."""
    rng, d = np.random.default_rng(seed), len(rates)
    books = np.clip(rng.standard_normal((8, 128)) * 40, -127, 127).astype(np.int8)
    step, weight = rng.uniform(0.01, 0.04, (2, d)).astype(np.float32)
    return {"codebooks": books, "step": step, "rates": np.array(rates, np.uint8), "weight": weight}


def assert_same(x, **parameters):
    got = on_device.call(kernels.trellis_encode, {"x": x, **parameters})
    np.testing.assert_array_equal(got, kernels.trellis_encode(x, **parameters))


def rows(n, d, seed=1):
    return np.random.default_rng(seed).standard_normal((n, d), np.float32)


@pytest.mark.parametrize("rate", RATES[:-1])
@pytest.mark.parametrize("count", [2, 14, 16, 30, 32, 34, 70])
def test_one_rate(rate, count):
    assert_same(rows(3, count), **plan([rate] * count, count))


@pytest.mark.parametrize("n", [1, 8, 9])
def test_all_rates(n):
    rates = np.repeat(RATES, 48)
    assert_same(rows(n, len(rates)), **plan(rates))


# In shared memory for blocks of eight and of four rows, and in global memory.
@pytest.mark.parametrize("count", [384, 768, 1536, 1600])
def test_long_rows(count):
    rates = np.repeat([6, 4, 2, 1], count // 4)
    assert_same(rows(9 if count == 384 else 2, count), **plan(rates))


@pytest.mark.skipif(not on_device.GPU, reason="takes minutes without a GPU")
def test_more_rows_than_blocks_have_notes():
    assert_same(rows(8 * 1024 + 3, 1600), **plan([4] * 1600))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.float32])
def test_any_strides(dtype):
    x = rows(18, 240).astype(dtype)
    rates = np.repeat([4, 2, 0], 40 * 2)
    for view in (x, x[::-2], np.asfortranarray(x), x[:, ::-1]):
        assert_same(view, **plan(rates))


@pytest.mark.parametrize("rate", RATES[:-1])
def test_equal_costs(rate):
    """Levels that are alike, and weights of 0: the first of the best predecessors is taken."""
    parameters = plan([rate] * 64)
    parameters["codebooks"] //= 64
    parameters["weight"][::3] = 0
    assert_same(np.round(rows(5, 64)) * 2, **parameters)
    parameters["weight"][:] = 0
    assert_same(rows(2, 64), **parameters)


@pytest.mark.parametrize("rate", RATES[:-1])
@pytest.mark.parametrize("at", [0, 5, 63])
def test_errors_beyond_float32(rate, at):
    parameters = plan([rate] * 64)
    for value, weight in ((3e38, 1), (1e25, 1), (1e25, 0), (-3e38, 0)):
        x = rows(2, 64)
        x[0, at] = value
        parameters["weight"][at] = weight
        assert_same(x, **parameters)
    parameters["step"][at] = 1e-42  # has no inverse
    x[:, at] = 0, 1
    assert_same(x, **parameters)


@pytest.mark.parametrize("at", [0, 33, 79])  # of which the last is not coded
def test_rows_that_are_refused(at):
    x = rows(20, 80)
    x[11, at], x[13, 1] = np.nan, -np.inf
    with pytest.raises(ValueError, match="row 11"):
        on_device.call(kernels.trellis_encode, {"x": x, **plan([4] * 64 + [0] * 16)})
