"""The best rows where one chunk of rows or one group of queries is not all: those of the CPU, ties too."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RNG = np.random.default_rng(3)
CODES = RNG.integers(0, 256, (40000, 2), np.uint8)  # distances of 0 to 16: ties in all places


def assert_same(codes, queries, k, mask=None):
    got = on_device.call(kernels.hamming_topk, {"codes": codes, "queries": queries, "k": k, "mask": mask})
    for g, w in zip(got, kernels.hamming_topk(codes, queries, k, mask)):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("order", range(3))
@pytest.mark.parametrize("k", [1, 10, 256, 4097])
def test_several_chunks_of_rows(k, order):
    on_device.set_order(order)
    try:
        assert_same(CODES, CODES[:2], k)
    finally:
        on_device.set_order(0)


def test_scores_that_rise_row_by_row():
    """Every row of the later chunks is better than all before it: none of them may get lost."""
    codes = np.zeros((40000, 4), np.uint8)
    codes[:] = (255 << (np.arange(40000) * 8 // 40000) & 255)[:, None]
    assert_same(codes, np.full((1, 4), 0, np.uint8), 33)
    assert_same(codes[::-1], np.full((1, 4), 0, np.uint8), 33)


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.5])
def test_a_mask_that_leaves_few(share):
    assert_same(CODES, CODES[:1], 50, RNG.random(len(CODES)) < share)


def test_several_groups_of_queries():
    """As many rows wanted as let 102 queries share the memory of candidates."""
    assert_same(CODES[:20000], RNG.integers(0, 256, (104, 2), np.uint8), 16385)
