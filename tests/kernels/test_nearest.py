"""The nearest codeword where float32 cannot tell: float64 decides among those that it leaves open."""

import numpy as np
import pytest

from embcodec import available_isa, kernels


@pytest.mark.parametrize("isa", available_isa())
@pytest.mark.parametrize(("k", "d"), [(96, 4), (100, 24), (257, 384)])
def test_codewords_that_float32_takes_for_equal(k, d, isa):
    rng = np.random.default_rng(d)
    codebook = np.repeat(rng.standard_normal((k // 8 + 1, d), np.float32), 8, axis=0)[:k]
    codebook += rng.standard_normal((k, d), np.float32) * np.float32(2e-7)
    codebook[k // 2] = codebook[k // 2 - 8]  # the lower id wins
    codebook = codebook[rng.permutation(k)]
    x = codebook[rng.integers(k, size=200)] + rng.standard_normal((200, d), np.float32) * np.float32(0.3)
    squares = np.square(x[:, None].astype(np.float64) - codebook).sum(axis=2)
    want = squares.argmin(axis=1)
    values = np.square(codebook).sum(axis=1) / 2 - x @ codebook.T
    assert (values.argmin(axis=1) != want).mean() > 0.1
    np.testing.assert_array_equal(kernels.vq_encode(x, codebook, isa=isa), want)
