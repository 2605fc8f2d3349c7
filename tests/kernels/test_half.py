"""Halves: every one, what lies between two, and the scan by one query, which reads them where they lie."""

import ml_dtypes
import numpy as np
import on_device
import pytest

from embcodec import available_isa, kernels
from embcodec.reference import REGISTRY

LEVELS = [*available_isa(), *on_device.DEVICES]
DTYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
DIMS = (1, 15, 16, 17, 33, 48, 384, 401)

every = pytest.mark.parametrize("isa", LEVELS)
halves = pytest.mark.parametrize("half", DTYPES)


def call(name, isa, **inputs):
    if isa in on_device.DEVICES:
        return on_device.call(getattr(kernels, name), inputs)
    return getattr(kernels, name)(**inputs, isa=isa)


@every
@halves
def test_every_half_and_what_lies_between(half, isa):
    words = np.arange(1 << 16, dtype=np.uint16)
    values = np.sort(words.view(DTYPES[half]).astype(np.float32))
    values = values[np.isfinite(values)]
    middles = ((values[1:].astype(np.float64) + values[:-1]) / 2).astype(np.float32)  # ties, exactly
    beyond = np.array([65519.99, 65520, 1e9, np.finfo(np.float32).max, np.float32(1e-45)], np.float32)
    x = np.concatenate([values, middles, np.nextafter(middles, np.float32(np.inf)), beyond, -beyond])
    x = x[: x.size // 17 * 17].reshape(-1, 17)
    most = (
        np.float32(np.finfo(np.float16).max)
        if half == "float16"
        else np.float32(ml_dtypes.finfo("bfloat16").max)
    )
    want = np.clip(x, -most, most).astype(DTYPES[half])  # NumPy and ml_dtypes round half to even as well
    codes = call("half_encode", isa, x=x, half=half)
    np.testing.assert_array_equal(codes, want.view(np.uint8))
    got = call("half_decode", isa, codes=codes, half=half)
    assert got.tobytes() == want.astype(np.float32).tobytes()


@every
@halves
def test_codes_that_are_not_finite_are_decoded_as_they_are(half, isa):
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.uint8).reshape(-1, 64)
    want = codes.view(DTYPES[half]).astype(np.float32)
    np.testing.assert_array_equal(call("half_decode", isa, codes=codes, half=half), want)


def odd(codes):
    """The same codes at odd addresses, rows an odd distance apart."""
    n, size = codes.shape
    wide = np.zeros((n, size + 3), np.uint8)[:, 1 : size + 1]
    wide[:] = codes
    return wide


@every
@halves
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_one_query(half, metric, isa):
    for d in DIMS:
        rng = np.random.default_rng(d)
        x = rng.standard_normal((70, d), np.float32)
        x[[5, 60]] = x[40]
        codes, query = kernels.half_encode(x, half), x[40:41] + np.float32(0.01)
        rows = codes.view(DTYPES[half])
        for mask in (None, rng.random(70) < 0.5):
            inputs = {"queries": query, "k": 9, "metric": metric, "mask": mask}
            want = REGISTRY["half_topk"].reference(codes, half=half, **inputs)
            for got in (
                call("half_topk", isa, codes=codes, half=half, **inputs),
                call("half_topk", isa, codes=odd(codes), half=half, **inputs),
                call("flat_topk", isa, x=rows, **inputs),
                call("flat_topk", isa, x=np.repeat(rows, 2, axis=1)[:, ::2], **inputs),
            ):
                for g, w in zip(got, want):
                    np.testing.assert_array_equal(g, w)


@every
@halves
@pytest.mark.parametrize("nq", [1, 2, 20])
def test_the_first_row_that_is_not_finite_is_refused(half, nq, isa):
    x = np.random.default_rng(1).standard_normal((90, 50), np.float32)
    codes, query = kernels.half_encode(x, half), x[:nq]
    words = codes.view(np.uint16)
    words[30, 49] = words[70, 0] = np.array(np.inf, DTYPES[half]).view(np.uint16)
    words[11, 3] = np.array(np.nan, DTYPES[half]).view(np.uint16)
    mask = np.ones(90, bool)
    for row in (11, 30, 70):
        with pytest.raises(ValueError, match=rf"^half_topk: codes have a non-finite value in row {row}$"):
            call("half_topk", isa, codes=codes, half=half, queries=query, k=3, mask=mask)
        mask[row] = False
    _, ids = call("half_topk", isa, codes=codes, half=half, queries=query, k=90, mask=mask)
    assert set(ids[0]) == set(np.flatnonzero(mask)) | {-1}


@every
def test_sums_that_overflow_refuse_nothing(isa):
    x = np.full((5, 64), 3e38, np.float32)
    x[1::2] *= -1
    codes = kernels.half_encode(x, "bfloat16")
    inputs = {"half": "bfloat16", "queries": np.full((1, 64), 1e3, np.float32), "k": 5}
    scores, ids = call("half_topk", isa, codes=codes, **inputs)
    np.testing.assert_array_equal(scores[0], [np.inf] * 3 + [-np.inf] * 2)
    np.testing.assert_array_equal(ids[0], [0, 2, 4, 1, 3])
