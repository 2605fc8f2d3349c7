"""Routing: which code runs for which arrays."""

from inspect import signature

import numpy as np
import pytest

from embcodec import BackendUnavailableError, kernels
from embcodec._backends import native, run
from embcodec._backends.arrays import NUMPY, library_of
from embcodec._backends.generic import Generic
from embcodec.reference import REGISTRY, outputs


@pytest.mark.parametrize("name", REGISTRY)
def test_generic_backend_runs_the_reference(name):
    """On NumPy in place of CuPy: arguments arrive in order, outputs are filled, the rest is returned."""
    kernel, rng = REGISTRY[name], np.random.default_rng(3)
    inputs = kernel.inputs(rng.standard_normal((20, 8), np.float32), rng, **kernel.variants[-1])
    arguments = signature(kernel.reference).bind(**inputs).args
    want = outputs(kernel.reference(**inputs))
    arrays = [w for w in want if isinstance(w, np.ndarray)]
    outs = tuple(np.empty_like(w) for w in arrays)
    rest = Generic(np).run(name, arguments, outs)
    for out, array in zip(outs, arrays):
        assert out.tobytes() == array.tobytes()
    assert rest == (want[-1] if len(want) > len(outs) else None)


def test_numpy_arrays_go_to_the_compiled_kernels(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2, 3))
    for array in (np.zeros((2, 3), np.float32), mapped):
        assert library_of(array) is NUMPY


def test_other_arrays_have_no_backend():
    for value in ([[1.0]], memoryview(b"ab"), 3.0, None):
        assert library_of(value) is None


def test_a_stream_is_for_a_device():
    with pytest.raises(ValueError, match="bits_encode: stream is for arrays on a CUDA device"):
        run("bits_encode", (np.zeros((2, 3), np.float32),), (), None, None, stream=7)


def test_an_instruction_set_that_cannot_run_is_refused_by_name():
    available = ", ".join(native._native.available_levels())
    missing = [level for level in native._native.levels() if level not in native._native.available_levels()]
    for isa in ["sse9", *missing]:
        with pytest.raises(BackendUnavailableError) as caught:
            kernels.bits_encode(np.zeros((2, 3), np.float32), isa=isa)
        assert str(caught.value) == f"isa {isa!r} cannot run here, available: {available}"
