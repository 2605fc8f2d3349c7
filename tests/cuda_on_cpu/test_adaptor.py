"""How arrays of a device get to the kernels: whose they are, their strides, streams, errors."""

import sys

import emulated
import numpy as np
import on_device
import pytest

import embcodec
from embcodec import BackendUnavailableError, kernels
from embcodec._backends import cuda
from embcodec.reference import REGISTRY

pytestmark = on_device.needs_emulation

X = np.random.default_rng(0).standard_normal((20, 33), np.float32)
LO, STEP = X.min(axis=0), np.full(33, 0.02, np.float32)
WANT = REGISTRY["sq_encode"].reference(X, LO, STEP)


class Foreign:
    """An array of a library that embcodec does not know, with the CUDA array interface, version 3."""

    def __init__(self, array):
        self.array = array
        self.__cuda_array_interface__ = {**array.__array_interface__, "stream": None}
        self.__array_interface__ = array.__array_interface__


class Exchanged:
    """... with DLPack alone."""

    def __init__(self, array, device_type=2):
        self.array, self.device_type = array, device_type

    def __dlpack_device__(self):
        return self.device_type, 0

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


@pytest.fixture
def _dlpack(monkeypatch):
    module = sys.modules["cupy"]
    monkeypatch.setattr(module, "from_dlpack", lambda a: emulated.device(a.array), raising=False)


@pytest.mark.usefixtures("_dlpack")
@pytest.mark.parametrize("wrap", [Foreign, Exchanged])
def test_arrays_of_other_libraries_become_cupys(wrap):
    codes = kernels.sq_encode(wrap(X), LO, STEP)
    assert isinstance(codes, emulated.ndarray)
    np.testing.assert_array_equal(codes.get(), WANT)
    rows = kernels.sq_decode(wrap(WANT), LO, STEP)
    np.testing.assert_array_equal(rows.get(), REGISTRY["sq_decode"].reference(WANT, LO, STEP))


def test_arrays_of_other_devices_have_no_kernels():
    with pytest.raises(TypeError, match="x must be a NumPy, CuPy or CUDA torch array, got Exchanged"):
        kernels.sq_encode(Exchanged(X, device_type=1), LO, STEP)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize(
    "view", [lambda x: x[::2, ::3], lambda x: x[::-1], np.asfortranarray, lambda x: x[:, 1:9]]
)
def test_strides_and_dtypes(dtype, view):
    x = view(X.astype(dtype))
    lo, step = x.astype(np.float32).min(axis=0), np.full(x.shape[1], 0.02, np.float32)
    got = kernels.sq_encode(emulated.device(x), lo, step)
    np.testing.assert_array_equal(got.get(), REGISTRY["sq_encode"].reference(x, lo, step))


def test_rows_of_codes_may_be_apart():
    wide = np.repeat(WANT, 2, axis=1)
    for codes in (wide[:, :33], wide[:, ::2], WANT[::-1]):
        got = kernels.sq_decode(emulated.device(codes), LO, STEP)
        np.testing.assert_array_equal(got.get(), REGISTRY["sq_decode"].reference(codes, LO, STEP))


class Recorder:
    """`_cuda`, and what it was told."""

    def __init__(self, module):
        self.module, self.calls, self.device = module, [], 0

    def __getattr__(self, name):
        function = getattr(self.module, name)

        def call(*arguments):
            self.calls.append((name, arguments))
            return function(*arguments)

        return call


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder(cuda._cuda)
    monkeypatch.setattr(cuda, "_cuda", recorder)
    return recorder


def test_the_stream_is_the_current_one_or_the_one_that_was_named(recorder):
    kernels.sq_encode(emulated.device(X), LO, STEP)
    for stream, want in ((None, 1), (77, 77)):
        kernels.sq_encode(emulated.device(X), LO, STEP, stream=stream)
        (_, _, on, _) = recorder.calls[-2][1][-1]  # before the device is restored
        assert on == want
    with emulated.Stream(5):
        kernels.sq_encode(emulated.device(X), LO, STEP)
    assert recorder.calls[-2][1][-1][2] == 5
    assert emulated.Stream.current == 1


def test_the_device_is_set_and_restored(recorder, monkeypatch):
    monkeypatch.setattr(emulated.ndarray, "device", type("Device", (), {"id": 3}))
    kernels.bits_encode(emulated.device(X))
    recorder.calls.clear()
    kernels.bits_encode(emulated.device(X))
    names = [name for name, _ in recorder.calls]
    assert names == ["current_device", "set_device", "bits_encode", "set_device"]
    assert [arguments[0] for name, arguments in recorder.calls if name == "set_device"] == [3, 0]


def test_scratch_comes_from_the_library_of_the_array(recorder):
    kernels.sq_topk(emulated.device(WANT), LO, STEP, X[:2], 3)
    calls = [arguments[-1] for name, arguments in recorder.calls if name == "sq_topk"]
    assert calls[0][1] == 0
    assert calls[1][1] != 0


def test_nothing_is_waited_for(recorder):
    """But once by a kernel that may refuse rows."""
    x = emulated.device(X)
    for _ in range(2):
        recorder.calls.clear()
        for name, kernel in REGISTRY.items():
            if name.endswith("_fit"):
                continue
            inputs = kernel.inputs(X, np.random.default_rng(3), **kernel.variants[0])
            getattr(kernels, name)(
                **{a: emulated.device(v) if a != "rates" else v for a, v in inputs.items()}
            )
    assert "synchronize" not in {name for name, _ in recorder.calls}
    kernels.kmeans_fit(x, 2)
    assert recorder.calls[-2][0] == "synchronize"


def test_indices_out_of_order_are_noted():
    indices, values = np.tile(np.arange(3, dtype=np.uint16), (9, 1)), np.ones((9, 3), np.float32)
    indices[[4, 6], 1] = 9
    kernels.topk_decode(emulated.device(indices), emulated.device(values), 5)
    with pytest.raises(ValueError, match="topk_decode: indices must ascend and be below 5, row 4 does not"):
        embcodec.synchronize()
    with pytest.raises(ValueError, match="kmeans_fit: x has a non-finite value in row 2"):
        kernels.kmeans_fit(
            emulated.device(np.where(np.arange(60).reshape(20, 3) == 7, np.nan, 1).astype("f4")), 2
        )


def test_refused_rows_are_counted_in_what_the_caller_was_given():
    bad = X.copy()
    bad[[3, 5], 2] = np.inf
    with cuda.numbered("encode", 100), cuda.numbered("inner", 20):
        kernels.sq_encode(emulated.device(bad), LO, STEP)
        kernels.rowsq_encode(emulated.device(bad))
        cuda.refuse("row {row} is marked", emulated.device(np.arange(40) % 16 == 15))
    with pytest.raises(ValueError, match=r"^encode: x has a non-finite value in row 123$"):
        embcodec.synchronize()
    with pytest.raises(ValueError, match=r"^encode: row 135 is marked$"):
        embcodec.synchronize()
    assert embcodec.synchronize() is None


def test_cupy_without_cuda_in_the_build_runs_the_references(monkeypatch):
    monkeypatch.setattr(cuda, "_cuda", None)
    np.testing.assert_array_equal(kernels.sq_encode(emulated.device(X), LO, STEP).get(), WANT)


def test_no_isa_on_a_device():
    with pytest.raises(BackendUnavailableError, match="isa 'avx2' cannot run here"):
        kernels.sq_encode(emulated.device(X), LO, STEP, isa="avx2")
