"""PQ codes searched for many queries: tensor cores nominate, and no row of the best may get lost.

They work on the rows behind the first chunk of 1024. test_sanitizers.py plants wrong fragments and bounds.
"""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

FIRST = 1024
METRICS = ("ip", "l2", "cosine")


def some(later, nq, m, dsub, ksub=256):
    """Codes, codebooks and queries, none of whose axes may be mistaken for another. Later rows are better."""
    rng = np.random.default_rng(later + nq + dsub)
    codebooks = (
        rng.standard_normal((m, ksub, dsub), np.float32)
        * np.linspace(1, 2, m, dtype=np.float32)[:, None, None]
    )
    queries = rng.standard_normal((nq, m * dsub), np.float32) * np.linspace(1, 3, m * dsub, dtype=np.float32)
    codes = rng.integers(0, 256, (FIRST + later, m if ksub == 256 else (m + 1) // 2), np.uint8)
    codes[FIRST:] = kernels.pq_encode(queries[rng.integers(nq, size=later)] / 2, codebooks)
    return codes, codebooks, queries


def assert_same(codes, codebooks, queries, k, metric="ip", mask=None, **centroids):
    inputs = {
        "codes": codes,
        "codebooks": codebooks,
        "queries": queries,
        "k": k,
        "metric": metric,
        "mask": mask,
        **centroids,
    }
    for got, want in zip(on_device.call(kernels.pq_topk, inputs), kernels.pq_topk(**inputs)):
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("later", "nq", "m", "dsub", "ksub"),
    [
        (1, 64, 1, 1, 256),
        (127, 65, 3, 8, 256),
        (128, 100, 4, 3, 16),
        (129, 129, 6, 9, 256),
        (300, 200, 2, 20, 16),
        (300, 63, 5, 8, 256),
        (300, 31, 5, 8, 256),
        (300, 5, 3, 9, 256),
        (300, 4, 5, 8, 256),  # tables alone
    ],
)
def test_shapes(later, nq, m, dsub, ksub, metric):
    assert_same(*some(later, nq, m, dsub, ksub), 10, metric)


@pytest.mark.parametrize("nq", [1, 5, 65, 129])
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1, 300, 1e20, 3e38])
@pytest.mark.parametrize("count", [1, 3, 300])
def test_centroids(nq, scale, count):
    codes, codebooks, queries = some(140, nq, 4, 8)
    rng = np.random.default_rng(count)
    centroids = (rng.uniform(-1, 1, (count, 32)) * scale).astype(np.float32)
    centroid = rng.integers(0, count, len(codes)).astype(np.int32)
    mask = rng.random(len(codes)) < 0.5
    assert_same(codes, codebooks, queries, 10, centroids=centroids, centroid=centroid)
    assert_same(codes, codebooks, queries, 10, mask=mask, centroids=centroids, centroid=centroid)
    if count == 1:
        assert_same(codes, codebooks, queries, 10, centroids=centroids)


@pytest.mark.parametrize("along", [-300, -1, 1, 300])
def test_centroids_leave_the_bound_as_large_as_the_errors(along):
    """Rows as in rounded_down; the product with the centroid takes away nearly all, or adds as much."""
    codes, codebooks, queries = rounded_down(1)
    centroids = queries[:3] * np.float32(along)
    centroid = (np.arange(len(codes)) % 3).astype(np.int32)
    assert_same(codes, codebooks, queries, 300, centroids=centroids, centroid=centroid)
    assert_same(codes, codebooks, -queries, 300, centroids=centroids, centroid=centroid)


def rounded_down(scale):
    """Queries and later rows are parallel, and bfloat16 makes both smaller by as much as it can.

    Earlier rows are a shade worse, by a subspace that is not quite as long.
    """
    ones = np.full((12, 16, 8), 1 + 0.98 / 256, np.float32)
    ones[:, 1] *= np.float32(0.997)
    codes = np.zeros((FIRST + 200, 6), np.uint8)
    codes[:FIRST, 0] = 1
    return codes, ones * np.float32(scale), np.full((70, 96), 1 + 0.98 / 256, np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-22, 1e-7, 1, 3e15, 1e37])
def test_the_bound_holds_for_the_largest_errors(metric, scale):
    codes, codebooks, queries = rounded_down(scale)
    assert_same(codes, codebooks, queries, 300, metric)
    assert_same(codes, codebooks, -queries, 300, metric)
    assert_same(codes, codebooks, queries * np.float32(scale if scale < 1e18 else 1), 300, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_scores_closer_than_bfloat16_tells(metric):
    codes, codebooks, queries = some(200, 70, 4, 8)
    assert_same(codes, 1 + codebooks * np.float32(1e-3), 1 + queries * np.float32(1e-3), 20, metric)
    assert_same(codes, codebooks, queries * np.float32(1e-3) + np.float32(100), 20, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-40, 1e-15, 1e15, 1e37])
def test_scales(scale, metric):
    codes, codebooks, queries = some(140, 70, 4, 8)
    scale = np.float32(scale)
    assert_same(codes, codebooks * scale, queries, 10, metric)
    mixed = codebooks.copy()
    mixed[:, ::3] *= scale
    assert_same(codes, mixed, queries, 10, metric)
    queries[::2] *= scale
    queries[1] = 0
    assert_same(codes, codebooks, queries, 10, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_ties_go_to_the_lower_row(metric):
    codes, codebooks, queries = some(200, 70, 3, 4, ksub=16)
    codes[FIRST:] = codes[:200]
    codebooks = np.round(codebooks)
    assert_same(codes, codebooks, np.round(queries), 100, metric)
    assert_same(np.zeros_like(codes), codebooks, queries, 100, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 17, 1024])
def test_all_later_rows_are_better(metric, k):
    """Each of them is nominated, and there is room for them."""
    codes, codebooks, queries = some(300, 64, 2, 4)
    codes[:FIRST] = np.argmin(np.abs(codebooks).sum(2), axis=1)
    queries[:] = queries[0]
    codes[FIRST:] = kernels.pq_encode(queries[:1], codebooks)
    assert_same(codes, codebooks, queries, k, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("early", [0, 9, 10, 1000])
def test_masks(metric, early):
    """Few rows of the first chunk, fewer than wanted even, and half of the later ones."""
    codes, codebooks, queries = some(300, 70, 4, 8)
    mask = np.random.default_rng(early).random(len(codes)) < 0.5
    mask[early:FIRST] = False
    mask[:early] = True
    assert_same(codes, codebooks, queries, 10, metric, mask)


def test_several_groups_of_queries():
    """As many rows wanted as let 255 queries share the memory of candidates; then 70 are left."""
    assert_same(*some(3572, 325, 2, 4), 4097)


@pytest.mark.parametrize("order", range(3))
def test_the_order_of_threads_changes_nothing(order):
    on_device.set_order(order)
    try:
        assert_same(*some(300, 140, 7, 8), 10, "l2")
    finally:
        on_device.set_order(0)


def test_codes_with_a_stride():
    codes, codebooks, queries = some(150, 70, 4, 8)
    wide = np.random.default_rng(1).integers(0, 256, (len(codes), 7), np.uint8)
    wide[:, :4] = codes
    assert_same(wide[:, :4], codebooks, queries, 10, "cosine")
