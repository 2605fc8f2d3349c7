"""Assignments to 256 codewords, by tensor cores, and to 16: edges of tiles, data that rounding cannot decide.

The nearest codeword is asked for, more than the contract does. test_sanitizers.py plants wrong fragments.
"""

import numpy as np
import on_device
import pytest

from embcodec import kernels
from embcodec.reference.cluster import nearest
from embcodec.reference.pq import pq_encode

SUBSPACES = {16: 11, 256: 2}
pytestmark = [on_device.skip_without, pytest.mark.parametrize("ksub", SUBSPACES)]


def some(n, dsub, ksub, center=0.0):
    rng = np.random.default_rng(n + dsub)
    m = SUBSPACES[ksub]
    x = rng.standard_normal((n, m * dsub), np.float32)
    return x + np.float32(center), rng.standard_normal((m, ksub, dsub), np.float32) + np.float32(center)


def encode(x, codebooks):
    return on_device.call(kernels.pq_encode, {"x": x, "codebooks": codebooks})


@pytest.mark.parametrize("dsub", [1, 3, 4, 5, 8, 9, 12, 15, 16, 17])
@pytest.mark.parametrize("n", [1, 9, 31, 32, 150])
def test_shapes(n, dsub, ksub):
    x, codebooks = some(n, dsub, ksub)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("dsub", [4, 8, 16])
def test_many_subspaces(dsub, ksub):
    rng = np.random.default_rng(dsub)
    x, codebooks = (
        rng.standard_normal((5, 384), np.float32),
        rng.standard_normal((384 // dsub, ksub, dsub), np.float32),
    )
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_more_rows_than_blocks_take_at_once(ksub):
    rng = np.random.default_rng(1)
    x, codebooks = (
        rng.standard_normal((1100, 128), np.float32),
        rng.standard_normal((32, ksub, 4), np.float32),
    )
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("dsub", [4, 8, 12, 16])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_of_all_types_and_strides(dtype, dsub, ksub):
    x, codebooks = some(40, dsub, ksub)
    memory = np.zeros((40, x.shape[1] + 8), dtype)
    for first in (0, 1, 4):  # aligned, not, and by half as much
        rows = memory[::-1, first : first + x.shape[1]]
        rows[:] = x
        np.testing.assert_array_equal(encode(rows, codebooks), pq_encode(rows, codebooks))
    wide = np.repeat(x.astype(dtype), 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(encode(wide, codebooks), pq_encode(wide, codebooks))


@pytest.mark.parametrize("scale", [1e-22, 1e-16, 1e15, 1e17, 1e19])
def test_scales(scale, ksub):
    x, codebooks = (a * np.float32(scale) for a in some(40, 8, ksub))
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 30, 1e4])
def test_rows_shorter_and_longer_than_codewords(scale, ksub):
    x, codebooks = some(150, 8, ksub)
    x *= np.float32(scale)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_codewords_themselves(ksub):
    _, codebooks = some(1, 8, ksub)
    x = np.ascontiguousarray(codebooks.transpose(1, 0, 2)).reshape(ksub, -1)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_far_from_the_origin(ksub):
    x, codebooks = some(150, 8, ksub, center=1000.0)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


def test_codewords_closer_than_precision_tells(ksub):
    x, codebooks = some(150, 8, ksub)
    codebooks[:, ksub // 2 :] = codebooks[:, : ksub // 2] + np.float32(1e-6)
    codebooks[:, 7] = codebooks[:, ksub // 8]
    codebooks[:, 0] = 1e3  # far from all
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_codewords_far_beyond_others(scale, ksub):
    x, codebooks = some(40, 8, ksub)
    codebooks[:, ::3] *= np.float32(scale)
    np.testing.assert_array_equal(encode(x, codebooks), pq_encode(x, codebooks))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 33, 149])
def test_refused_rows(row, value, ksub):
    x, codebooks = some(150, 8, ksub)
    x[row, 13] = value
    with pytest.raises(ValueError, match=f"row {row}\\b"):
        encode(x, codebooks)


def test_fits_and_vector_quantizers(ksub):
    x, _ = some(300, 4, ksub)
    codebook, ids, _ = on_device.call(kernels.kmeans_fit, {"x": x[:, :4], "k": ksub, "iterations": 2})
    again = on_device.call(kernels.vq_encode, {"x": x[:, :4], "codebook": codebook})
    np.testing.assert_array_equal(again, nearest(x[:, :4], codebook, np)[0])
    assert ids.shape == again.shape
