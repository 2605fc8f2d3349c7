"""Rows that are too long for shared memory, and for indices of 16 bits."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RNG = np.random.default_rng(3)


def assert_same(kernel, **inputs):
    got, want = on_device.call(kernel, inputs), kernel(**inputs)
    for g, w in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,)):
        assert g.tobytes() == w.tobytes()
    return want


@pytest.mark.parametrize("size", [8192, 10240, 12288, 16384])
def test_rotation(size):
    x = RNG.standard_normal((3, size - 5), np.float32)
    signs = np.where(RNG.random(size) < 0.5, np.float32(-1), np.float32(1))
    y = assert_same(kernels.hadamard_rotate, x=x, signs=signs)
    assert_same(kernels.hadamard_rotate, x=y, signs=signs, inverse=True)
    lo, step = np.full(size, -4, np.float32), np.full(size, 8 / 63, np.float32)
    assert_same(kernels.hadamard_sq_encode, x=x, signs=signs, lo=lo, step=step, bits=6)


def test_sparse_indices_of_32_bits():
    x = RNG.standard_normal((3, 70000), np.float32)
    indices, values = assert_same(kernels.topk_encode, x=x, k=40)
    assert indices.dtype == np.uint32
    assert_same(kernels.topk_decode, indices=indices, values=values, d=70000)
    for nq in (1, 5):
        assert_same(
            kernels.sparse_topk, indices=indices, values=values, queries=np.resize(x, (nq, 70000)), k=2
        )


def test_scan():
    x = RNG.standard_normal((5, 40000), np.float32)
    for metric in ("ip", "l2", "cosine"):
        assert_same(kernels.flat_topk, x=x, queries=x[:4], k=5, metric=metric)
