"""Whether CUDA is in the build where it should be, and what is said where it cannot run."""

import os
from pathlib import Path

import emulated
import numpy as np
import pytest

import embcodec
from embcodec import BackendUnavailableError, _backends
from embcodec._backends import cuda

NO_DRIVER = not Path("/proc/driver/nvidia").exists() and not emulated.FOLDER


@pytest.mark.skipif(os.environ.get("EMBCODEC_CUDA") != "ON", reason="the build need not have CUDA")
def test_the_build_has_cuda():
    assert cuda.is_built()


@pytest.mark.skipif(not cuda.is_built(), reason="the build has no CUDA")
@pytest.mark.skipif(not NO_DRIVER, reason="there is a driver")
def test_no_driver_is_said_to_be_missing():
    """The package was imported without one; a call says what it lacks."""
    for call in (cuda._cuda.device_count, cuda._cuda.current_device, lambda: cuda._cuda.set_device(0)):
        with pytest.raises(BackendUnavailableError, match="no NVIDIA driver found"):
            call()


def test_tensors_without_cuda_in_the_build(monkeypatch):
    class Tensor:
        __module__ = "torch"
        is_cuda = True

    monkeypatch.setattr(cuda, "_cuda", None)
    with pytest.raises(
        BackendUnavailableError, match="torch's tensors need CUDA, and this build of embcodec has none"
    ):
        _backends.run("bits_encode", (Tensor(),), (), None, None)


def test_nothing_to_wait_for():
    assert embcodec.synchronize() is None


def test_isa_is_for_numpy_arrays():
    class Array(np.ndarray):
        __module__ = "cupy"

    with pytest.raises(
        BackendUnavailableError, match="isa 'avx2' cannot run here: it is for NumPy arrays, these are CuPy's"
    ):
        _backends.run("bits_encode", (np.zeros((2, 3), np.float32).view(Array),), (), None, "avx2")
