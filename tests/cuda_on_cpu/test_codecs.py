"""Codecs on arrays of a device: their codes and results are those of the host."""

import re
from functools import cache
from types import SimpleNamespace

import emulated
import numpy as np
import on_device
import pytest

import embcodec
from embcodec import Codec
from embcodec._backends import cuda
from embcodec.codecs import Coder, rows
from embcodec.codecs.spec import _STAGES

pytestmark = on_device.skip_without

D = 32
REFUSED = re.escape("Codec.encode: x has a non-finite value in row 57")


def small_specs():
    """Every form of every stage, with sizes that fit D: a new one is tested without being named here."""
    for stage in _STAGES:
        for form in stage.forms:
            small = re.sub(r"(?<=[A-Za-z])(?<!:f)(?!16)\d{2,}", "8", form)
            yield small if issubclass(stage, Coder) else f"{small},SQ8"


SPECS = [
    *small_specs(),
    "HR,SQ4",
    "HR,Binary",
    "MRL25,HR,SQ8",  # padded
    "Center,HR,SQ6",
    "Center,Norm,PCA16,RR,SQ6",
    "MRL24,PCA16,F16",
    "RR,PQ8x8",
    "MRL25,LM4",  # a dense rotation
    "MRL25,RaBitQ2",
    "VQ280",  # two bytes
    "IVF7,F16",  # at odd addresses
    "IVF7,BF16",
    "IVF7,SQ4:row",
    "IVF7,Top5",
    "IVF7,LM2",
    "IVF7,RaBitQ3",
    "IVF7,VQ5",
    "IVF7,PQ8x8",
    "IVF280,PQ8x4",
    "IVF280,TCQ2",
    "RQ2x8,TCQ2",
]


@pytest.fixture(scope="module")
def x():
    return make_rows()


@cache
def make_rows():
    x = np.random.default_rng(5).standard_normal((300, D), np.float32) + np.float32(0.5)
    x[7] = 0
    return x


@cache
def fitted(spec):
    return Codec(spec).fit(make_rows())


@pytest.fixture(params=["cuda", "references"])
def _backend(request, monkeypatch):
    if request.param == "references":
        monkeypatch.setattr(cuda, "_cuda", None)


def assert_same(got, want):
    assert isinstance(got, on_device.ndarray)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.get(), want)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("spec", SPECS)
def test_a_codec_runs_where_its_arrays_are(spec, x):
    codec = fitted(spec)
    codes = codec.encode(x)
    moved = codec.encode(on_device.device(x))
    assert_same(moved, codes)
    assert_same(codec.decode(moved), codec.decode(codes))
    mask = np.arange(300) % 3 > 0
    for metric in ("ip", "l2", "cosine"):
        for queries, allowed in ((x[:5], None), (on_device.device(x[:5]), mask)):
            got = codec.search(moved, queries, 7, metric, allowed)
            want = codec.search(codes, x[:5], 7, metric, allowed)
            for g, w in zip(got, want):
                assert_same(g, w)
    few = np.arange(300) == 9
    for g, w in zip(
        codec.search(moved, x[:2], 3, mask=on_device.device(few)), codec.search(codes, x[:2], 3, mask=few)
    ):
        assert_same(g, w)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("spec", ["TCQ2", "IVF4,TCQ2"])
def test_a_first_pass_runs_there_too(spec):
    x = np.random.default_rng(6).standard_normal((300, 192), np.float32)
    codec = Codec(spec).fit(x)
    codec.k_factor = 2
    codes, mask = codec.encode(x), np.arange(300) % 3 > 0
    for g, w in zip(
        codec.search(on_device.device(codes), x[:5], 7, mask=on_device.device(mask)),
        codec.search(codes, x[:5], 7, mask=mask),
    ):
        assert_same(g, w)


@on_device.needs_emulation
@pytest.mark.parametrize("spec", SPECS)
def test_nothing_is_waited_for(spec, x):
    codec, moved, queries = fitted(spec), on_device.device(x), on_device.device(x[:3])
    for metric in ("ip", "l2", "cosine"):  # the first calls bring there what was fitted
        codec.search(codec.encode(moved), queries, 5, metric)
    before = emulated.ndarray.waits
    codes = codec.encode(moved)
    codec.decode(codes)
    for metric in ("ip", "l2", "cosine"):
        codec.search(codes, queries, 5, metric)
    assert emulated.ndarray.waits == before


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("spec", ["F16", "LM3", "Top5", "SQ8:row", "IVF7,TCQ2", "JL16,SQ8", "HR,SQ8"])
def test_blocks_change_nothing(spec, x, monkeypatch):
    codec = fitted(spec)
    codes = codec.encode(x)
    want = codec.search(codes, x[:5], 9, "cosine", np.arange(300) > 4)
    decoded = codec.decode(codes)
    monkeypatch.setattr(rows, "DEVICE_BLOCK_BYTES", 4 * D * 7)
    moved = codec.encode(on_device.device(x))
    assert_same(moved, codes)
    assert_same(codec.decode(moved), decoded)
    for g, w in zip(codec.search(moved, x[:5], 9, "cosine", np.arange(300) > 4), want):
        assert_same(g, w)


@pytest.mark.parametrize(
    "spec", ["F16", "BF16", "SQ8:row", "Top5:f32", "VQ8", "LM3", "IVF7,RaBitQ2", "PCA16,SQ8"]
)
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_and_layouts(spec, dtype, x):
    codec = fitted(spec)
    x = np.asfortranarray(x.astype(dtype))
    codes = codec.encode(x)
    assert_same(codec.encode(on_device.device(x)), codes)
    odd = np.empty(codes.size + 1, np.uint8)[1:].reshape(codes.shape)  # as codes may lie in a file
    odd[...] = codes
    assert_same(codec.decode(on_device.device(odd)), codec.decode(codes))
    for g, w in zip(codec.search(on_device.device(odd), x[:3], 4), codec.search(codes, x[:3], 4)):
        assert_same(g, w)


@pytest.mark.parametrize("spec", [*SPECS, "MRL16,SQ8"])
def test_a_row_that_is_refused_is_raised_later(spec, x, monkeypatch):
    """Once, by its number in all of x, as the host says it; also where a transform drops the value."""
    bad = x.copy()
    bad[[57, 59], D - 1] = np.nan, np.inf
    monkeypatch.setattr(rows, "DEVICE_BLOCK_BYTES", 4 * D * 25)
    with pytest.raises(ValueError, match=REFUSED):
        fitted(spec).encode(bad)
    fitted(spec).encode(on_device.device(bad))
    with pytest.raises(ValueError, match=REFUSED):
        embcodec.synchronize()
    assert embcodec.synchronize() is None


def test_without_cuda_in_the_build_it_is_raised_at_once(x, monkeypatch):
    monkeypatch.setattr(cuda, "_cuda", None)
    monkeypatch.setattr(rows, "DEVICE_BLOCK_BYTES", 4 * D * 25)
    bad = x.copy()
    bad[57, 3] = np.nan
    for spec in ("F16", "Center,SQ8", "HR,SQ8", "LM3", "IVF7,TCQ2"):
        with pytest.raises(ValueError, match=REFUSED):
            fitted(spec).encode(on_device.device(bad))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("VQ5", "VQ5: row 11 names a codeword beyond 5"),
        ("IVF7,LM2", "codes: row 11 names a centroid beyond 7"),
        ("IVF7,TCQ2", "codes: row 11 names a centroid beyond 7"),
        ("Top5", "indices must ascend and be below 32, row 11 does not"),
    ],
)
def test_codes_that_are_none(spec, message, x):
    codec = fitted(spec)
    codes = codec.encode(x)
    codes[[11, 13]] = 255
    moved = on_device.device(codes)
    with pytest.raises(ValueError, match=message):
        codec.decode(codes)
    for call in (lambda: codec.decode(moved), lambda: codec.search(moved, x[:2], 300)):
        call()
        with pytest.raises(ValueError, match=message):
            embcodec.synchronize()
        assert embcodec.synchronize() is None


def test_arguments_are_checked_as_on_the_host(x):
    codec = fitted("LM4")
    codes = codec.encode(on_device.device(x))
    for change, error, message in (
        ({"k": 301}, ValueError, "Codec.search: k must be from 1 to 300 "),
        ({"metric": "dot"}, ValueError, "Codec.search: metric must be 'ip', 'l2' or 'cosine'"),
        ({"mask": np.ones(7, bool)}, ValueError, "Codec.search: mask must be (300,), got (7,)"),
        ({"mask": on_device.device(np.ones(300))}, TypeError, "Codec.search: mask must be bool, got float64"),
        ({"Q": x[:2, :9]}, ValueError, "Codec.search: Q must be (n, 32), got (2, 9)"),
        ({"Q": np.full((1, D), np.nan)}, ValueError, "Codec.search: Q has a non-finite value in row 0"),
    ):
        with pytest.raises(error, match=re.escape(message)):
            codec.search(**{"codes": codes, "Q": x[:2], "k": 3, **change})
    with pytest.raises(ValueError, match="x must be"):
        codec.encode(on_device.device(x[:, :9]))
    with pytest.raises(ValueError, match="codes must be"):
        codec.decode(codes[:, 1:])


def test_fit_copies_its_rows_to_the_host(x):
    queries = x[:20]
    want = Codec("Center,LM4").fit(x, queries=queries)
    got = Codec("Center,LM4").fit(on_device.device(x), queries=on_device.device(queries))
    assert got.fingerprint == want.fingerprint
    assert Codec("SQ8").fit(iter([on_device.device(x[:100]), x[100:]]), max_rows=50).is_fitted


@on_device.needs_emulation
def test_the_device_of_the_array_is_the_current_one(x, monkeypatch):
    """For what CuPy does between the kernels; the caller's is restored."""
    on = []
    monkeypatch.setattr(emulated.ndarray, "device", SimpleNamespace(id=2))
    monkeypatch.setattr(emulated, "refuse_foreign", lambda values: on.append(emulated.Device.current))
    codec = Codec("Center,LM3").fit(x)
    codes = codec.encode(on_device.device(x))
    codec.decode(codes)
    codec.search(codes, x[:3], 5, "l2")
    assert set(on) == {2}
    assert emulated.Device.current == 0
