"""torch's tensors, by a stand-in that has what the adaptor asks of them."""

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import ml_dtypes
import numpy as np
import on_device
import pytest

from embcodec import Codec, kernels
from embcodec._backends import cuda
from embcodec.reference import REGISTRY

pytestmark = on_device.needs_emulation

X = np.random.default_rng(0).standard_normal((20, 33), np.float32)
LO, STEP = X.min(axis=0), np.full(33, 0.02, np.float32)


class Tensor:
    """Over an array of NumPy's; strides in elements, as torch counts them."""

    __module__ = "torch"
    is_cuda = True
    device = SimpleNamespace(index=0)

    def __init__(self, array):
        self.array = array
        self.shape = array.shape
        self.dtype = f"torch.{array.dtype.name}"

    @property
    def __cuda_array_interface__(self):
        if not self.is_cuda:
            raise AttributeError("not on a device")
        if self.array.dtype == ml_dtypes.bfloat16:
            raise TypeError("no type string for bfloat16")
        return {**self.array.__array_interface__, "version": 3}

    __array_interface__ = __cuda_array_interface__  # for the CuPy of NumPy

    def __len__(self):
        return len(self.array)

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def data_ptr(self):
        return self.array.ctypes.data

    def element_size(self):
        return self.array.itemsize

    def stride(self):
        return tuple(step // self.array.itemsize for step in self.array.strides)

    def is_contiguous(self):
        return self.array.flags.c_contiguous

    def contiguous(self):
        return self if self.is_contiguous() else Tensor(np.ascontiguousarray(self.array))

    def untyped_storage(self):
        base = self.array if self.array.base is None else self.array.base
        return SimpleNamespace(data_ptr=lambda: base.ctypes.data)


@pytest.fixture
def torch(monkeypatch):
    module = ModuleType("torch")
    module.entered = []

    @contextmanager
    def entering(what):
        module.entered.append(what)
        yield

    def as_tensor(value, dtype=None, device=None):
        return Tensor(np.array(value.array if isinstance(value, Tensor) else value, dtype))

    for name in ("float32", "float16", "float64", "uint8", "int32", "int64", "uint16", "bool", "int8"):
        setattr(module, name, np.dtype(name))
    module.empty = lambda shape, dtype, device: Tensor(np.empty(shape, dtype))
    module.as_tensor = as_tensor
    module.cuda = SimpleNamespace(
        current_stream=lambda device: SimpleNamespace(cuda_stream=21),
        device=lambda number: entering(number),
        stream=lambda stream: entering(stream),
        ExternalStream=lambda pointer, device: ("stream", pointer, device),
    )
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setattr(cuda, "_refused", {})
    return module


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_tensors_in_and_out(torch, dtype):
    x = X.astype(dtype)
    for view in (x, x[::2], np.asfortranarray(x)):
        codes = kernels.sq_encode(Tensor(view), LO, STEP)
        want = REGISTRY["sq_encode"].reference(view, LO, STEP)
        assert isinstance(codes, Tensor)
        np.testing.assert_array_equal(codes.array, want)
    scores, ids = kernels.sq_topk(Tensor(want), LO, STEP, Tensor(X[:3]), 5, mask=Tensor(np.arange(20) > 3))
    expected = REGISTRY["sq_topk"].reference(want, LO, STEP, X[:3], 5, mask=np.arange(20) > 3)
    np.testing.assert_array_equal(scores.array, expected[0])
    np.testing.assert_array_equal(ids.array, expected[1])


def test_outputs_and_streams(torch):
    out = Tensor(np.empty((20, 33), np.uint8))
    assert kernels.sq_encode(Tensor(X), LO, STEP, out=out) is out
    assert torch.entered == [0]
    kernels.sq_encode(Tensor(X), LO, STEP, out=out, stream=5)
    assert torch.entered[-1] == ("stream", 5, 0)
    with pytest.raises(ValueError, match="out must be C-contiguous and writeable"):
        kernels.sq_encode(Tensor(X), LO, STEP, out=Tensor(np.empty((33, 20), np.uint8).T))
    with pytest.raises(TypeError, match="out must be of the library of the data, torch"):
        kernels.sq_encode(Tensor(X), LO, STEP, out=np.empty((20, 33), np.uint8))


def test_a_tensor_of_the_host_has_no_kernels(torch):
    tensor = Tensor(X)
    tensor.is_cuda = False
    with pytest.raises(TypeError, match="x must be a NumPy, CuPy or CUDA torch array, got Tensor"):
        kernels.sq_encode(tensor, LO, STEP)


@pytest.mark.parametrize("spec", ["SQ8", "LM3", "F16", "Center,IVF4,RaBitQ2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_codecs_take_and_give_tensors(torch, spec, dtype):
    codec = Codec(spec).fit(X)
    x = X.astype(dtype)
    codes, moved = codec.encode(x), codec.encode(Tensor(x))
    assert isinstance(moved, Tensor)
    np.testing.assert_array_equal(moved.array, codes)
    decoded = codec.decode(moved)
    assert isinstance(decoded, Tensor)
    np.testing.assert_array_equal(decoded.array, codec.decode(codes))
    want = codec.search(codes, X[:3], 5, mask=np.arange(20) > 3)
    for queries, mask in ((X[:3], np.arange(20) > 3), (Tensor(X[:3]), Tensor(np.arange(20) > 3))):
        for g, w in zip(codec.search(moved, queries, 5, mask=mask), want):
            assert isinstance(g, Tensor)
            np.testing.assert_array_equal(g.array, w)


def test_codecs_need_cupy_for_tensors(torch, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(TypeError, match="codecs take torch's tensors by way of CuPy, which is missing"):
        Codec("SQ8").fit(X).encode(Tensor(X))
