"""What torch is timed with beside the kernels on a device does their job."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cuda_peers import TORCH, peers
from embcodec import kernels
from embcodec.reference import REGISTRY

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_benchmark_is_found_and_skips_without_cupy() -> None:
    if find_spec("cupy"):
        pytest.skip("CuPy is here")
    command = [sys.executable, "-m", "pytest", str(BENCHMARKS / "test_cuda.py"), "-rs"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS.parent)
    assert "could not import 'cupy'" in done.stdout, done.stdout


torch_only = pytest.mark.skipif(not find_spec("torch"), reason="torch is in no extra")


@torch_only
@pytest.mark.parametrize("name", TORCH)
def test_torch_gives_what_the_kernel_gives(name: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((400, 96), np.float32)
    variant = {**REGISTRY[name].variants[0], **({"kept": 0.3} if name == "topk_encode" else {})}
    inputs = REGISTRY[name].inputs(x, rng, **variant)
    assert inputs is not None
    want, got = getattr(kernels, name)(**inputs), peers(name, inputs)["torch"]()
    if name.endswith("_topk"):
        np.testing.assert_allclose(got[0].numpy(), want[0], rtol=1e-4, atol=1e-4)
    elif name == "topk_encode":
        np.testing.assert_array_equal(got[0].numpy(), want[0])
        np.testing.assert_array_equal(got[1].numpy(), want[1])
    elif name.endswith("_decode"):
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, atol=1e-6)
    else:
        same = got.numpy() == want
        if name == "sq_encode":
            same = same[:, inputs["step"] > 0]  # torch's way knows no dimension without a range
        assert same.mean() > 0.999


@torch_only
def test_other_jobs_are_not_given_to_torch() -> None:
    inputs = REGISTRY["sq_encode"].inputs(np.ones((4, 8), np.float32), np.random.default_rng(0), bits=4)
    assert inputs is not None
    assert "torch" not in peers("sq_encode", inputs)
