"""Codecs on arrays of a device: their codes and results are those of the host."""

import emulated
import numpy as np
import pytest

import embcodec
from embcodec import Codec

pytestmark = pytest.mark.skipif(not emulated.DEVICES, reason="needs EMBCODEC_CUDA_ON_CPU")

SPECS = [
    "SQ8",
    "Center,SQ4",
    "HR,SQ8",
    "PCA24,Binary",
    "Norm,MRL16,SQ6",
    "RR,PQ8x8",
    "OPQ8,PQ8x4",
    "JL16,SQ8",
    "TCQ2",
]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).standard_normal((300, 32), np.float32)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_a_codec_runs_where_its_arrays_are(spec, metric, x):
    codec = Codec(spec).fit(x)
    codes = codec.encode(x)
    moved = codec.encode(emulated.device(x))
    assert isinstance(moved, emulated.ndarray)
    np.testing.assert_array_equal(moved.get(), codes)
    decoded = codec.decode(moved)
    assert isinstance(decoded, emulated.ndarray)
    np.testing.assert_array_equal(decoded.get(), codec.decode(codes))
    mask = np.arange(300) % 3 > 0
    for queries, allowed in ((x[:5], None), (emulated.device(x[:5]), mask)):
        got = codec.search(moved, queries, 7, metric, allowed)
        want = codec.search(codes, x[:5], 7, metric, allowed)
        for g, w in zip(got, want):
            assert isinstance(g, emulated.ndarray)
            np.testing.assert_array_equal(g.get(), w)
    embcodec.synchronize()


def test_a_stage_without_code_for_devices_says_so(x):
    codec = Codec("LM4").fit(x)
    with pytest.raises(TypeError, match="LM4 runs on NumPy arrays only, x is on a CUDA device"):
        codec.encode(emulated.device(x))


def test_a_row_that_is_refused_is_raised_later(x):
    codec = Codec("SQ8").fit(x)
    bad = x.copy()
    bad[[7, 9], 3] = np.nan
    codec.encode(emulated.device(bad))
    with pytest.raises(ValueError, match="sq_encode: x has a non-finite value in row 7"):
        embcodec.synchronize()
    assert embcodec.synchronize() is None
