"""Every kernel on a CUDA device.

    pytest benchmarks/test_cuda.py --benchmark-enable --rows 1000000 --dims 768

Times are taken by events on the stream, over inputs that take turns, so that none is in the cache from
the last run. extra_info has the bytes touched, their rate as a share of the device's own copy bandwidth,
and how many times as long CuPy's and torch's own ways take (cuda_peers.py). Needs CuPy and a device; skips
without.
"""

import numpy as np
import pytest

from cuda_peers import peers
from embcodec import kernels, synchronize
from embcodec.reference import REGISTRY, bytes_touched, outputs

cupy = pytest.importorskip("cupy")
goals = pytest.importorskip("cuda_goals")  # how to time; it needs CuPy
try:
    cupy.cuda.runtime.getDeviceCount()
except cupy.cuda.runtime.CUDARuntimeError as error:
    pytest.skip(f"no CUDA device: {error}", allow_module_level=True)

CACHE_BYTES = 256 << 20  # more than any device's second-level cache
CASES = [
    (name, variant)
    for name, kernel in REGISTRY.items()
    for variant in kernel.variants
    if variant.get("metric", "ip") == "ip" and not variant.get("masked") and not name.endswith("_fit")
]


@pytest.fixture(scope="module")
def copy_bandwidth():
    return goals.copy_bandwidth()


def on_device(inputs):
    return {name: cupy.asarray(v) if isinstance(v, np.ndarray) else v for name, v in inputs.items()}


@pytest.mark.parametrize(("name", "variant"), CASES, ids=lambda value: str(value))
def test_kernel(benchmark, pytestconfig, copy_bandwidth, name, variant):
    n, d, nq = map(pytestconfig.getoption, ("rows", "dims", "queries"))
    rng = np.random.default_rng(0)
    inputs = REGISTRY[name].inputs(rng.standard_normal((min(n, 4096), d), np.float32), rng, **variant)
    if name.endswith("_topk"):
        inputs["queries"] = np.resize(inputs["queries"], (nq, inputs["queries"].shape[1]))
    rows = {a for a, v in inputs.items() if isinstance(v, np.ndarray) and len(v) == min(n, 4096)} - {
        "queries"
    }
    inputs |= {a: np.resize(inputs[a], (n, *inputs[a].shape[1:])) for a in rows}
    touched = bytes_touched(
        inputs, tuple(r.get() for r in outputs(getattr(kernels, name)(**on_device(inputs))))
    )
    copies = [on_device(inputs) for _ in range(max(2, CACHE_BYTES // touched + 1))]
    calls = [lambda i=i: getattr(kernels, name)(**i) for i in copies]
    took = goals.milliseconds(calls)
    synchronize()
    theirs = [peers(name, arguments) for arguments in copies]
    ratios = {}
    for library in theirs[0]:
        try:
            ratios[library] = round(goals.milliseconds([calls[library] for calls in theirs]) / took, 2)
        except Exception as error:  # theirs: what CuPy does not have, or more memory than there is
            ratios[library] = type(error).__name__
    benchmark(calls[0])
    benchmark.extra_info |= {
        "milliseconds": took,
        "bytes": touched,
        "share_of_copy": round(touched / took * 1e3 / copy_bandwidth, 3),
        "times_as_long": ratios,
        "device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(),
    }
