"""Assignments by tensor cores: shapes at the edges of tiles, data that their precision cannot decide.

The nearest codeword is asked for, more than the contract does. test_sanitizers.py plants wrong fragments.
"""

import numpy as np
import on_device
import pytest

from embcodec import kernels
from embcodec.reference.pq import pq_encode

pytestmark = on_device.skip_without

M = 2


def some(n, dsub, center=0.0):
    rng = np.random.default_rng(n + dsub)
    x = rng.standard_normal((n, M * dsub), np.float32)
    return x + np.float32(center), rng.standard_normal((M, 256, dsub), np.float32) + np.float32(center)


def encode(x, codebooks):
    return on_device.call(kernels.pq_encode, {"x": x, "codebooks": codebooks})


@pytest.mark.parametrize("dsub", [3, 4, 5, 8, 9, 12, 15, 16, 17])
@pytest.mark.parametrize("n", [1, 9, 31, 32, 150])
def test_shapes(n, dsub):
    x, codebooks = some(n, dsub)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_more_rows_than_a_block_takes():
    x, codebooks = some(2200, 4)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_rows_of_other_types_and_strides(dtype):
    x, codebooks = some(40, 12)
    wide = np.repeat(x.astype(dtype), 2, axis=1)[::-1, ::2]
    np.testing.assert_array_equal(encode(wide, codebooks), pq_encode(wide, codebooks))


@pytest.mark.parametrize("scale", [1e-22, 1e-16, 1e15, 1e17])
def test_scales(scale):
    x, codebooks = (a * np.float32(scale) for a in some(40, 8))
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_far_from_the_origin():
    x, codebooks = some(150, 8, center=1000.0)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_codewords_closer_than_bfloat16_tells():
    x, codebooks = some(150, 8)
    codebooks[:, 128:] = codebooks[:, :128] + np.float32(1e-6)
    codebooks[:, 7] = codebooks[:, 30]
    codebooks[:, 0] = 1e3  # far from all
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_codewords_beyond_range():
    x, codebooks = some(40, 8)
    codebooks[:, ::3] *= np.float32(1e30)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 33, 149])
def test_refused_rows(row, value):
    x, codebooks = some(150, 8)
    x[row, 13] = value
    with pytest.raises(ValueError, match=f"row {row}\\b"):
        encode(x, codebooks)


def test_fits_and_vector_quantizers():
    x, _ = some(300, 4)
    codebook, ids, _ = on_device.call(kernels.kmeans_fit, {"x": x, "k": 256, "iterations": 2})
    again = on_device.call(kernels.vq_encode, {"x": x, "codebook": codebook})
    np.testing.assert_array_equal(again, pq_encode(x, codebook[None])[:, 0])
    assert ids.shape == again.shape
