"""Every kernel beside NumPy doing the same job: `pytest benchmarks --benchmark-enable --rows 100000`.

A kernel that is slower than NumPy fails. extra_info (--benchmark-json) has the bytes touched, their rate as a
share of the machine's copy bandwidth (np.copyto, bytes read plus bytes written), and NumPy's time over the
kernel's.
"""

from functools import cache
from time import perf_counter

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embcodec import _threads, kernels
from embcodec.reference import REGISTRY, bytes_touched, outputs

# the metric and the mask change only the end of a scan; one codeword leaves nothing to choose
CASES = [
    (name, variant)
    for name, kernel in REGISTRY.items()
    for variant in kernel.variants
    if variant.get("metric", "ip") == "ip" and not variant.get("masked") and variant.get("k") != 1
]


def label(case):
    name, variant = case
    return "-".join(
        [name, *(f"{key}{value}" for key, value in variant.items() if key not in ("metric", "masked"))]
    )


def best_of(repeats, call):
    """Seconds of the fastest run."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


@cache
def rows(n, d):
    return np.random.default_rng(0).standard_normal((n, d), np.float32)


@cache
def copy_bandwidth(n, d):
    """Bytes a second, read and written."""
    source = rows(n, d)
    target = np.empty_like(source)
    return 2 * source.nbytes / best_of(10, lambda: np.copyto(target, source))


@pytest.mark.parametrize("case", CASES, ids=label)
def test_kernel(benchmark, pytestconfig, case):
    name, variant = case
    n, d, nq, threads = map(pytestconfig.getoption, ("rows", "dims", "queries", "threads"))
    kernel = REGISTRY[name]
    inputs = kernel.inputs(rows(n, d), np.random.default_rng(1), **variant)
    if name.endswith("_topk"):
        inputs["queries"] = np.resize(inputs["queries"], (nq, inputs["queries"].shape[1]))
    function, peer = getattr(kernels, name), kernel.peer or kernel.reference
    result = function(**inputs, threads=threads)
    arrays = tuple(a for a in outputs(result) if isinstance(a, np.ndarray))
    out = arrays if len(arrays) > 1 else arrays[0]

    benchmark(lambda: function(**inputs, out=out, threads=threads))
    if not benchmark.enabled:
        return
    with threadpool_limits(threads):
        numpy_seconds = best_of(3, lambda: peer(**inputs))
    seconds = benchmark.stats["min"]
    touched = bytes_touched(inputs, result)
    benchmark.extra_info |= {
        "bytes": touched,
        "share_of_copy": round(touched / seconds / copy_bandwidth(n, d), 3),
        "times_numpy": round(numpy_seconds / seconds, 2),
        "isa": _threads.get_isa(),
        "threads": threads,
    }
    assert seconds <= numpy_seconds, f"{seconds:.3g} s, NumPy {numpy_seconds:.3g} s"
