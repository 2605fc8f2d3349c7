"""FAISS as an oracle: the same codes mean the same vectors and the same results, and recall is no lower."""

import faiss
import numpy as np
import pytest

from embcodec import Codec
from embcodec.data import load_sample
from embcodec.evaluation import recall_at_k
from embcodec.kernels import (
    flat_topk,
    hadamard_rotate,
    hamming_topk,
    pq_decode,
    pq_encode,
    pq_fit,
    pq_topk,
    rq_decode,
    rq_encode,
    rq_products,
)

K = 10
SEEDS = (0, 1, 2)
METRICS = {"ip": faiss.METRIC_INNER_PRODUCT, "l2": faiss.METRIC_L2}
PQ_SHAPES = [(384, 48, 8), (384, 96, 4), (375, 75, 4)]  # (d, m, bits); 75 x 4 bits: half a byte of padding


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """FAISS trains in many short parallel regions: on busy cores two threads spin, waiting for each other."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


@pytest.fixture(scope="module")
def sample():
    return load_sample()


@pytest.fixture(scope="module")
def exact_ids(sample):
    return np.argsort(-(sample.queries @ sample.base.T), axis=1, kind="stable")[:, :K]


@pytest.fixture(scope="module", params=PQ_SHAPES, ids=lambda shape: "{}-{}x{}".format(*shape))
def trained(request, sample):
    """A product quantizer that FAISS trained (briefly: here only its format matters), and the data."""
    d, m, bits = request.param
    pq = faiss.ProductQuantizer(d, m, bits)
    pq.cp.niter = 2
    pq.cp.min_points_per_centroid = 1  # no warning that 4,096 rows are few for 256 centroids
    base, queries = np.ascontiguousarray(sample.base[:, :d]), np.ascontiguousarray(sample.queries[:, :d])
    pq.train(base)
    return pq, faiss.vector_to_array(pq.centroids).reshape(m, pq.ksub, pq.dsub), base, queries


def index_of(codebooks, codes, metric):
    """A FAISS index of these codes, without training."""
    m, ksub, dsub = codebooks.shape
    index = faiss.IndexPQ(m * dsub, m, ksub.bit_length() - 1, METRICS[metric])
    faiss.copy_array_to_vector(codebooks.ravel(), index.pq.centroids)
    index.is_trained = True
    index.add_sa_codes(codes)
    return index


def assert_same_hits(ours, theirs, k=K):
    """The same scores, and the same ids except where two scores are closer than float sums can tell apart.

    Both searches return one more row than is compared, so that a tie across the end is seen.
    """
    (scores, ids), (their_scores, their_ids) = ours, theirs
    np.testing.assert_allclose(scores, their_scores, rtol=2e-6, atol=2e-6)
    tied = np.abs(np.diff(scores, axis=1)) < 4e-6
    near = tied[:, :k] | np.pad(tied, ((0, 0), (1, 0)))[:, :k]
    differ = ids[:, :k] != their_ids[:, :k]
    assert not (differ & ~near).any()
    assert differ.mean() < 0.05


def search_faiss(index, queries, metric, k=K + 1):
    scores, ids = index.search(queries, k)
    return (scores if metric == "ip" else -scores), ids


def test_pq_codes_of_faiss_decode_to_the_same_bits(trained):
    pq, codebooks, base, _ = trained
    codes = pq.compute_codes(base)
    np.testing.assert_array_equal(pq_decode(codes, codebooks), pq.decode(codes))


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_pq_codes_of_faiss_scan_with_the_same_results(trained, metric):
    pq, codebooks, base, queries = trained
    codes = pq.compute_codes(base)
    ours = pq_topk(codes, codebooks, queries, K + 1, metric=metric)
    assert_same_hits(ours, search_faiss(index_of(codebooks, codes, metric), queries, metric))


def test_pq_codes_of_ours_are_the_nearest_codewords_that_faiss_finds(trained):
    pq, codebooks, base, _ = trained
    codes, theirs = pq_encode(base, codebooks), pq.compute_codes(base)
    assert codes.shape == theirs.shape
    assert (codes != theirs).mean() < 1e-4
    distances, their_distances = (
        np.square(base - pq_decode(c, codebooks)).sum(axis=1, dtype=np.float64) for c in (codes, theirs)
    )
    np.testing.assert_allclose(distances, their_distances, rtol=2e-5)


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_pq_codes_and_codebooks_of_ours_decode_and_scan_in_faiss(trained, metric):
    pq, _, base, queries = trained
    codebooks = pq_fit(base, pq.M, bits=pq.nbits, iterations=4)
    codes = pq_encode(base, codebooks)
    index = index_of(codebooks, codes, metric)
    np.testing.assert_array_equal(index.sa_decode(codes), pq_decode(codes, codebooks))
    ours = pq_topk(codes, codebooks, queries, K + 1, metric=metric)
    assert_same_hits(ours, search_faiss(index, queries, metric))


def recall_of_ours(sample, exact_ids, spec, seed=0):
    codec = Codec(spec, seed=seed).fit(sample.base)
    return recall_at_k(codec.search(codec.encode(sample.base), sample.queries, K)[1], exact_ids)


def recall_of_faiss(sample, exact_ids, index):
    index.train(sample.base)
    index.add(sample.base)
    return recall_at_k(index.search(sample.queries, K)[1], exact_ids)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("SQ8", faiss.ScalarQuantizer.QT_8bit),
        ("SQ6", faiss.ScalarQuantizer.QT_6bit),
        ("SQ4", faiss.ScalarQuantizer.QT_4bit),
    ],
)
def test_recall_of_scalar_codecs_is_at_least_that_of_faiss(sample, exact_ids, spec, kind):
    index = faiss.IndexScalarQuantizer(384, kind, faiss.METRIC_INNER_PRODUCT)
    assert recall_of_ours(sample, exact_ids, spec) >= recall_of_faiss(sample, exact_ids, index)


@pytest.mark.slow
def test_recall_of_product_quantization_is_at_least_that_of_faiss(sample, exact_ids):
    ours = [recall_of_ours(sample, exact_ids, "PQ48x8", seed) for seed in SEEDS]
    theirs = []
    for seed in SEEDS:
        index = faiss.IndexPQ(384, 48, 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed = seed + 1
        index.pq.cp.min_points_per_centroid = 1
        theirs.append(recall_of_faiss(sample, exact_ids, index))
    assert np.mean(ours) >= np.mean(theirs)


@pytest.fixture(scope="module")
def residual(sample):
    """A residual quantizer that FAISS trained, and its codebooks."""
    rq = faiss.ResidualQuantizer(384, 4, 8)
    rq.max_beam_size, rq.cp.niter, rq.cp.min_points_per_centroid = 5, 4, 1
    rq.train(sample.base)
    return rq, faiss.vector_to_array(rq.codebooks).reshape(4, 256, 384)


def test_residual_codes_of_faiss_decode_to_the_same_rows(sample, residual):
    rq, codebooks = residual
    codes = rq.compute_codes(sample.base)
    np.testing.assert_allclose(rq_decode(codes, codebooks), rq.decode(codes), rtol=0, atol=1e-6)


@pytest.mark.parametrize("beam", [1, 5, 32])
def test_residual_codes_of_ours_leave_what_those_of_faiss_leave(sample, residual, beam):
    rq, codebooks = residual
    rq.max_beam_size = beam
    ours = rq_encode(sample.base, codebooks, rq_products(codebooks), beam)
    theirs = rq.compute_codes(sample.base)
    assert (ours == theirs).all(axis=1).mean() > 0.99  # the others are paths about as good
    left, their_left = (
        np.square(sample.base - rq_decode(c, codebooks)).sum(axis=1, dtype=np.float64) for c in (ours, theirs)
    )
    assert abs(left.mean() / their_left.mean() - 1) < 1e-4


@pytest.mark.slow
def test_residual_codecs_leave_as_little_of_new_rows_as_those_of_faiss(sample):
    rows, new = np.ascontiguousarray(sample.base[::2]), np.ascontiguousarray(sample.base[1::2])
    rq = faiss.ResidualQuantizer(384, 6, 8)
    rq.cp.min_points_per_centroid, rq.max_beam_size = 1, 5
    rq.train(rows)
    rq.max_beam_size = 32
    codec = Codec("RQ6x8").fit(rows)
    ours, theirs = codec.decode(codec.encode(new)), rq.decode(rq.compute_codes(new))
    assert np.square(new - ours).sum() < 1.005 * np.square(new - theirs).sum()


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_exact_search_equals_flat_indexes(sample, metric):
    index = faiss.IndexFlat(384, METRICS[metric])
    index.add(sample.base)
    ours = flat_topk(sample.base, sample.queries, K + 1, metric=metric)
    assert_same_hits(ours, search_faiss(index, sample.queries, metric))


def test_hamming_search_equals_the_binary_index(sample):
    codes, queries = (np.packbits(x > 0, axis=1) for x in (sample.base, sample.queries))
    index = faiss.IndexBinaryFlat(384)
    index.add(codes)
    distances, their_ids = index.search(queries, K)
    scores, ids = hamming_topk(codes, queries, K)
    np.testing.assert_array_equal(-scores, distances)
    # FAISS leaves the order of equal distances open, and which of those at the last distance come along.
    inside = distances < distances[:, -1:]
    order = np.lexsort((their_ids, distances), axis=1)
    np.testing.assert_array_equal(ids[inside], np.take_along_axis(their_ids, order, axis=1)[inside])


@pytest.mark.parametrize("d", [32, 128, 512])
def test_hadamard_rotation_three_times_equals_faiss(d):
    theirs = faiss.HadamardRotation(d, 7)
    x = np.random.default_rng(0).normal(size=(65, d)).astype(np.float32)
    y = x
    for signs in (theirs.signs1, theirs.signs2, theirs.signs3):
        y = hadamard_rotate(y, faiss.vector_to_array(signs))
    np.testing.assert_allclose(y, theirs.apply(x), atol=3e-6)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 2])
def test_recall_of_rabitq_is_at_least_that_of_faiss_in_fewer_bytes(sample, exact_ids, bits):
    ours = [recall_of_ours(sample, exact_ids, f"RaBitQ{bits}", seed) for seed in SEEDS]
    theirs = []
    for seed in SEEDS:
        rotation = faiss.RandomRotationMatrix(384, 384)
        rotation.init(seed + 1)
        index = faiss.IndexRaBitQ(384, faiss.METRIC_INNER_PRODUCT, bits)
        index.qb = 0  # queries as they are
        index.train(rotation.apply(sample.base))
        index.add(rotation.apply(sample.base))
        theirs.append(recall_at_k(index.search(rotation.apply(sample.queries), K)[1], exact_ids))
    assert 48 * bits + 3 < index.code_size
    assert np.mean(ours) >= np.mean(theirs)


@pytest.mark.slow
def test_recall_of_opq_is_at_least_that_of_faiss(sample, exact_ids):
    matrix = faiss.OPQMatrix(384, 48)
    matrix.niter, matrix.pq = 10, faiss.ProductQuantizer(384, 48, 4)
    matrix.pq.cp.min_points_per_centroid = 1
    index = faiss.IndexPreTransform(matrix, faiss.IndexPQ(384, 48, 4, faiss.METRIC_INNER_PRODUCT))
    assert recall_of_ours(sample, exact_ids, "OPQ48,PQ48x4") >= recall_of_faiss(sample, exact_ids, index)
