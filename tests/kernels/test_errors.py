"""Bad input: the right exception, one line that says what was expected and what came."""

from itertools import product

import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY

LEVELS = _native.available_levels()
N, D = 10, 24
X = np.random.default_rng(0).standard_normal((N, D), np.float32)
LO, STEP, SIGNS = X.min(axis=0), np.ones(D, np.float32), np.ones(D, np.float32)
CODES, WORDS = np.zeros((N, D), np.uint8), np.zeros((N, 3), np.uint8)
ROW = np.ones(N, np.float32)
BOOKS = np.zeros((4, 16, 6), np.float32)
RQ_BOOKS, PRODUCTS = np.zeros((2, 256, D), np.float32), np.zeros((1, 256, 256), np.float32)
INDICES, VALUES = np.tile(np.arange(3, dtype=np.uint16), (N, 1)), np.ones((N, 3), np.float32)
LEVELS_OF = np.linspace(-1, 1, 16, dtype=np.float32)
BAD = np.where(np.arange(D) == 5, np.float32(np.nan), np.float32(1))

k = kernels
ERRORS = [
    # not an array, not this dtype
    (
        lambda: k.sq_encode(X.tolist(), LO, STEP),
        TypeError,
        "sq_encode: x must be a NumPy, CuPy or CUDA torch array, got list",
    ),
    (
        lambda: k.sq_encode(X, 1.0, STEP),
        TypeError,
        "sq_encode: lo must be a NumPy, CuPy or CUDA torch array, got float",
    ),
    (
        lambda: k.bits_encode(X.astype(np.int32)),
        TypeError,
        "bits_encode: x must be float32, float16, bfloat16 or float64, got int32",
    ),
    (
        lambda: k.bits_encode(X.astype(">f4")),
        TypeError,
        "bits_encode: x must be float32, float16, bfloat16 or float64, got >f4",
    ),
    (
        lambda: k.sq_decode(CODES.tolist(), LO, STEP),
        TypeError,
        "sq_decode: codes must be a NumPy, CuPy or CUDA torch array, got list",
    ),
    (
        lambda: k.sq_decode(CODES.astype(np.int8), LO, STEP),
        TypeError,
        "sq_decode: codes must be uint8, got int8",
    ),
    (
        lambda: k.sq_topk(CODES, LO, STEP, X.tolist(), 1),
        TypeError,
        "sq_topk: queries must be a NumPy, CuPy or CUDA torch array",
    ),
    (lambda: k.hamming_topk(WORDS, X, 1), TypeError, "hamming_topk: queries must be uint8, got float32"),
    (
        lambda: k.flat_topk(X, X, 1, mask=np.ones(N, np.uint8)),
        TypeError,
        "flat_topk: mask must be bool, got uint8",
    ),
    (lambda: k.flat_topk(X, X, 1.0), TypeError, "flat_topk: k must be an integer, got float"),
    (lambda: k.flat_topk(X, X, 1, out=X), TypeError, "flat_topk: out must be a tuple of 2 arrays"),
    (
        lambda: k.topk_decode(INDICES.astype(np.int64), VALUES, D),
        TypeError,
        "topk_decode: indices must be uint16, got int64",
    ),
    (
        lambda: k.topk_decode(INDICES, VALUES, 70000),
        TypeError,
        "topk_decode: indices must be uint32, got uint16",
    ),
    (lambda: k.hadamard_size(1.5), TypeError, "hadamard_size: d must be an integer, got float"),
    # not this shape
    (
        lambda: k.pq_encode(np.zeros((10, 768), np.float32), np.zeros((48, 16, 8))),
        ValueError,
        "pq_encode: x must be (n, 384), got (10, 768)",
    ),
    (lambda: k.bits_encode(X[0]), ValueError, "bits_encode: x must be (n, d), got (24,)"),
    (
        lambda: k.bits_encode(X[:, :0]),
        ValueError,
        "bits_encode: x must be (n, d) with d > 0, got (10, 0)",
    ),
    (lambda: k.sq_encode(X, LO[1:], STEP), ValueError, "sq_encode: lo must be (24,), got (23,)"),
    (lambda: k.sq_encode(X, LO, STEP[None]), ValueError, "sq_encode: step must be (24,), got (1, 24)"),
    (lambda: k.sq_decode(CODES, LO, STEP, 4), ValueError, "sq_decode: codes must be (n, 12), got (10, 24)"),
    (
        lambda: k.rowsq_decode(CODES, ROW[1:], ROW, D),
        ValueError,
        "rowsq_decode: scale must be (10,), got (9,)",
    ),
    (
        lambda: k.rowsq_topk(CODES, ROW, ROW, X[:, 1:], 1),
        ValueError,
        "rowsq_topk: codes must be (n, 23), got (10, 24)",
    ),
    (lambda: k.flat_topk(X, X[:, 1:], 1), ValueError, "flat_topk: queries must be (nq, 24), got (10, 23)"),
    (
        lambda: k.flat_topk(X, X, 1, mask=np.ones(9, bool)),
        ValueError,
        "flat_topk: mask must be (10,), got (9,)",
    ),
    (lambda: k.bits_encode(X, LO[1:]), ValueError, "bits_encode: threshold must be (24,), got (23,)"),
    (lambda: k.bits_decode(WORDS, 25), ValueError, "bits_decode: codes must be (n, 4), got (10, 3)"),
    (
        lambda: k.hamming_topk(WORDS, WORDS[:, 1:], 1),
        ValueError,
        "hamming_topk: queries must be (nq, 3), got (10, 2)",
    ),
    (lambda: k.vq_encode(X, X[:, 1:]), ValueError, "vq_encode: codebook must be (k, 24), got (10, 23)"),
    (
        lambda: k.vq_encode(X, X[:0]),
        ValueError,
        "vq_encode: codebook must be (k, 24) with k > 0, got (0, 24)",
    ),
    (
        lambda: k.pq_encode(X, BOOKS[0]),
        ValueError,
        "pq_encode: codebooks must be (m, ksub, dsub), got (16, 6)",
    ),
    (lambda: k.pq_encode(X, BOOKS[:, 1:]), ValueError, "pq_encode: ksub must be 256 or 16, got 15"),
    (lambda: k.pq_decode(WORDS, BOOKS), ValueError, "pq_decode: codes must be (n, 2), got (10, 3)"),
    (lambda: k.pq_tables(X[:, 1:], BOOKS), ValueError, "pq_tables: queries must be (nq, 24), got (10, 23)"),
    (lambda: k.project(X, BOOKS[0]), ValueError, "project: matrix must be (24, c), got (16, 6)"),
    (lambda: k.rq_decode(WORDS, RQ_BOOKS), ValueError, "rq_decode: codes must be (n, 2), got (10, 3)"),
    (
        lambda: k.rq_encode(X, BOOKS, PRODUCTS),
        ValueError,
        "rq_encode: codebooks must be (m, 256, d), got (4, 16, 6)",
    ),
    (
        lambda: k.rq_encode(X, RQ_BOOKS, PRODUCTS[:0]),
        ValueError,
        "rq_encode: products must be (1, 256, 256), got (0, 256, 256)",
    ),
    (
        lambda: k.rq_beam(X[:, 1:], RQ_BOOKS, PRODUCTS),
        ValueError,
        "rq_beam: x must be (n, 24), got (10, 23)",
    ),
    (
        lambda: k.project(X, np.ones((D, 0), np.float32)),
        ValueError,
        "project: matrix must be (24, c) with c > 0, got (24, 0)",
    ),
    (
        lambda: k.project(X, np.full((D, 2), np.inf, np.float32)),
        ValueError,
        "project: matrix has a non-finite value",
    ),
    (
        lambda: k.project(X, np.ones((D, 2), np.float32), SIGNS[1:]),
        ValueError,
        "project: mean must be (24,), got (23,)",
    ),
    (
        lambda: k.topk_decode(INDICES, VALUES[1:], D),
        ValueError,
        "topk_decode: values must be (10, 3), got (9, 3)",
    ),
    (
        lambda: k.topk_decode(INDICES, VALUES, 2),
        ValueError,
        "topk_decode: k must be from 1 to 2 (the dimensions), got 3",
    ),
    (lambda: k.pq_fit(X, 5), ValueError, "pq_fit: m must divide the 24 dimensions, got 5"),
    (lambda: k.pq_fit(X, 4, 4), ValueError, "pq_fit: x must have at least 16 rows, got 10"),
    (
        lambda: k.hadamard_rotate(X, np.ones(16, np.float32)),
        ValueError,
        "hadamard_rotate: signs must be (size,) with an allowed size of at least 24, such as 24, got (16,)",
    ),
    (
        lambda: k.hadamard_rotate(X, np.ones(25, np.float32)),
        ValueError,
        "hadamard_rotate: signs must be (size,) with an allowed size of at least 24, such as 24, got (25,)",
    ),
    (
        lambda: k.levels_encode(X, LEVELS_OF[:15], STEP),
        ValueError,
        "levels_encode: levels must be (2**bits,) with bits from 1 to 8, got (15,)",
    ),
    (
        lambda: k.levels_encode(X, LEVELS_OF, STEP[1:]),
        ValueError,
        "levels_encode: step must be (24,), got (23,)",
    ),
    (
        lambda: k.levels_decode(CODES, LEVELS_OF, STEP),
        ValueError,
        "levels_decode: codes must be (n, 12), got (10, 24)",
    ),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, factor=ROW[1:]),
        ValueError,
        "levels_topk: factor must be (10,), got (9,)",
    ),
    # not this value
    (lambda: k.levels_encode(X, -LEVELS_OF, STEP), ValueError, "levels_encode: levels must ascend"),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, centroids=X),
        ValueError,
        "levels_topk: centroids need centroid",
    ),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, centroids=X[:1, 1:]),
        ValueError,
        "levels_topk: centroids must be (c, 24) or wider, got (1, 23)",
    ),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, centroids=np.zeros((1, 30), np.float32)),
        ValueError,
        "levels_topk: queries must be (nq, 30), got (10, 24)",
    ),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, shift=ROW),
        ValueError,
        "levels_topk: shift and direction go together",
    ),
    (
        lambda: k.levels_topk(
            CODES[:, :12], LEVELS_OF, STEP, X, 1, centroids=X, centroid=np.full(N, 10, np.int32)
        ),
        ValueError,
        "levels_topk: centroid must be in [0, 10)",
    ),
    (
        lambda: k.levels_topk(CODES[:, :12], LEVELS_OF, STEP, X, 1, centroid=np.zeros(N, np.int32)),
        ValueError,
        "levels_topk: centroid needs centroids",
    ),
    (lambda: k.sq_encode(X, LO, STEP, 5), ValueError, "sq_encode: bits must be 8, 6 or 4, got 5"),
    (
        lambda: k.rq_encode(X, RQ_BOOKS, PRODUCTS, 257),
        ValueError,
        "rq_encode: beam must be from 1 to 256 (the codewords), got 257",
    ),
    (
        lambda: k.rq_encode(X, RQ_BOOKS + np.float32(np.nan), PRODUCTS),
        ValueError,
        "rq_encode: codebooks has a non-finite value",
    ),
    (lambda: k.pq_fit(X, 4, 6), ValueError, "pq_fit: bits must be 8 or 4, got 6"),
    (
        lambda: k.pq_topk(WORDS[:, :2], BOOKS, X, 1, centroids=X),
        ValueError,
        "pq_topk: centroids need centroid",
    ),
    (
        lambda: k.pq_topk(WORDS[:, :2], BOOKS, X, 1, centroids=X, centroid=np.full(N, -1, np.int32)),
        ValueError,
        "pq_topk: centroid must be in [0, 10)",
    ),
    (
        lambda: k.pq_topk(WORDS[:, :2], BOOKS, X, 1, centroid=np.zeros(N, np.int32)),
        ValueError,
        "pq_topk: centroid needs centroids",
    ),
    (
        lambda: k.pq_topk(WORDS[:, :2], BOOKS, X, 1, centroids=X[:, 1:], centroid=np.zeros(N, np.int32)),
        ValueError,
        "pq_topk: centroids must be (c, 24), got (10, 23)",
    ),
    (
        lambda: k.pq_topk(WORDS[:, :2], BOOKS, X, 1, centroids=X, centroid=np.zeros(N, np.int64)),
        TypeError,
        "pq_topk: centroid must be int32, got int64",
    ),
    (
        lambda: k.bits_encode(X, order="big"),
        ValueError,
        "bits_encode: order must be 'msb' or 'lsb', got 'big'",
    ),
    (
        lambda: k.flat_topk(X, X, 1, "dot"),
        ValueError,
        "flat_topk: metric must be 'ip', 'l2' or 'cosine', got 'dot'",
    ),
    (lambda: k.flat_topk(X, X, 11), ValueError, "flat_topk: k must be from 1 to 10 (the rows), got 11"),
    (lambda: k.flat_topk(X, X, 0), ValueError, "flat_topk: k must be from 1 to 10 (the rows), got 0"),
    (lambda: k.flat_topk(X[:0], X, 1), ValueError, "flat_topk: k counts the rows, and there are none"),
    (lambda: k.kmeans_fit(X, 11), ValueError, "kmeans_fit: k must be from 1 to 10 (the rows), got 11"),
    (lambda: k.kmeans_fit(X, 2, -1), ValueError, "kmeans_fit: iterations must be at least 0, got -1"),
    (lambda: k.kmeans_fit(X, 2, seed=-1), ValueError, "kmeans_fit: seed must be at least 0, got -1"),
    (lambda: k.kmeans_fit(X, 2, seed=2**64), ValueError, "kmeans_fit: seed must be below 2**64"),
    (
        lambda: k.topk_encode(X, 25),
        ValueError,
        "topk_encode: k must be from 1 to 24 (the dimensions), got 25",
    ),
    (lambda: k.hadamard_size(0), ValueError, "hadamard_size: d must be at least 1, got 0"),
    (lambda: k.hadamard_rotate(X, 2 * SIGNS), ValueError, "hadamard_rotate: signs must be +1 and -1"),
    (lambda: k.bits_encode(X, threads=0), ValueError, "bits_encode: threads must be at least 1, got 0"),
    # not finite
    (lambda: k.sq_encode(X, BAD, STEP), ValueError, "sq_encode: lo has a non-finite value"),
    (lambda: k.sq_encode(X, LO, 1e300 * np.ones(D)), ValueError, "sq_encode: step has a non-finite value"),
    (lambda: k.bits_encode(X, float("inf")), ValueError, "bits_encode: threshold has a non-finite value"),
    (lambda: k.bits_decode(WORDS, D, high=BAD), ValueError, "bits_decode: high has a non-finite value"),
    (lambda: k.vq_encode(X, BAD[None]), ValueError, "vq_encode: codebook has a non-finite value"),
    (
        lambda: k.pq_decode(WORDS[:, :2], BOOKS + np.float32(np.inf)),
        ValueError,
        "pq_decode: codebooks has a non-finite value",
    ),
    (
        lambda: k.flat_topk(X, np.stack([X[0], BAD, BAD]), 1),
        ValueError,
        "flat_topk: queries has a non-finite value in row 1",
    ),
    # not an output
    (
        lambda: k.bits_encode(X, out=np.empty((N, 3), np.int8)),
        TypeError,
        "bits_encode: out must be uint8, got int8",
    ),
    (lambda: k.bits_encode(X, out=WORDS[:, :2]), ValueError, "bits_encode: out must be (10, 3), got (10, 2)"),
    (
        lambda: k.bits_encode(X, out=np.empty((N, 6), np.uint8)[:, ::2]),
        ValueError,
        "bits_encode: out must be C-contiguous and writeable",
    ),
    (
        lambda: k.bits_encode(X, out=np.frombuffer(bytes(30), np.uint8).reshape(N, 3)),
        ValueError,
        "bits_encode: out must be C-contiguous and writeable",
    ),
    (
        lambda: k.hadamard_rotate(X, SIGNS, out=X),
        ValueError,
        "hadamard_rotate: out must not share memory with the input",
    ),
    (lambda: k.flat_topk(X, X, 2, out=(X, X)), ValueError, "flat_topk: out[0] must be (10, 2), got (10, 24)"),
    (
        lambda: k.flat_topk(X, X, 2, out=(np.empty((N, 2), np.float32), np.empty((N, 2), np.int32))),
        TypeError,
        "flat_topk: out[1] must be int64, got int32",
    ),
]


@pytest.mark.parametrize(("call", "exception", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_refused(call, exception, message):
    with pytest.raises(exception) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


ROWS_LOOKED_AT = [
    n
    for n, kernel in REGISTRY.items()
    if "x" in kernel.inputs(X, np.random.default_rng(0), **kernel.variants[0])
]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("name", "isa"), list(product(ROWS_LOOKED_AT, LEVELS)))
def test_the_first_row_that_is_not_finite_is_named(name, isa, value):
    kernel, rng = REGISTRY[name], np.random.default_rng(0)
    x = rng.standard_normal((20000, 16), np.float32)
    inputs = kernel.inputs(x, rng, **kernel.variants[0])
    for dtype in (np.float32, np.float16, np.float64):
        bad = x.astype(dtype)
        bad[12345, 7] = bad[12346, 0] = bad[19999, 3] = value
        with pytest.raises(ValueError, match=rf"^{name}: x has a non-finite value in row 12345$"):
            getattr(kernels, name)(**{**inputs, "x": bad}, threads=3, isa=isa)


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("place", range(8))
def test_a_value_that_is_not_finite_is_found_anywhere(isa, place):
    for d in (1, 8, 17, 33):
        x = np.zeros((3, d), np.float32)
        x[1, place % d] = np.nan
        for name in ROWS_LOOKED_AT:
            if not name.endswith("_fit"):
                inputs = REGISTRY[name].inputs(
                    np.zeros_like(x), np.random.default_rng(0), **REGISTRY[name].variants[0]
                )
                if inputs["x"].shape != x.shape:
                    continue  # a kernel that takes no so few dimensions
                with pytest.raises(ValueError, match=r"row 1$"):
                    getattr(kernels, name)(**{**inputs, "x": x}, isa=isa)


def test_a_float64_beyond_float32_is_not_finite():
    with pytest.raises(ValueError, match=r"bits_encode: x has a non-finite value in row 1$"):
        kernels.bits_encode(np.array([[1e38], [1e39]]))


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("row", [[0, 1, 24], [0, 1, 65535], [1, 1, 2], [2, 1, 3], [0, 3, 3]])
def test_indices_that_would_leave_the_row(isa, row):
    indices = np.tile(np.arange(3, dtype=np.uint16), (300, 1))
    values = np.ones((300, 3), np.float32)
    indices[[211, 250]] = row
    message = "indices must ascend and be below 24, row 211 does not$"
    with pytest.raises(ValueError, match=f"^topk_decode: {message}"):
        kernels.topk_decode(indices, values, 24, threads=3, isa=isa)
    with pytest.raises(ValueError, match=f"^sparse_topk: {message}"):
        kernels.sparse_topk(indices, values, X, 1, threads=3, isa=isa)
