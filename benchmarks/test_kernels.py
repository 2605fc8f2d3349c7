"""Every kernel beside NumPy doing the same job: `pytest benchmarks --benchmark-enable --rows 100000`.

A kernel that is slower than NumPy fails. extra_info (--benchmark-json) has what `embcodec bench` reads: the
bytes touched, operations, accuracy and error, the processor, level, threads, and the machine's copy bandwidth
(np.copyto, bytes read plus bytes written); and the share of that bandwidth, NumPy's time over the kernel's,
and the commit.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embcodec import bench, get_isa
from embcodec.reference import REGISTRY


@cache
def rows(n, d):
    return np.random.default_rng(0).standard_normal((n, d), np.float32)


@pytest.mark.parametrize("case", bench.cases(), ids=bench.label)
def test_kernel(benchmark, pytestconfig, case):
    n, d, nq, threads = map(pytestconfig.getoption, ("rows", "dims", "queries", "threads"))
    kernel, work = REGISTRY[case[0]], bench.kernel_benchmark(case, rows(n, d), nq, threads)
    benchmark.group = work.group
    benchmark(work.call)
    if not benchmark.enabled:
        return
    with threadpool_limits(threads):
        numpy_seconds = bench.least_seconds(lambda: (kernel.peer or kernel.reference)(**work.inputs))
    seconds = benchmark.stats["min"]
    copy = bench.copy_bandwidth((n, d))
    accuracy, error = work.quality()
    benchmark.extra_info |= {
        "bytes": work.bytes,
        "operations": work.operations,
        "accuracy": accuracy,
        "error": error,
        "copy": copy,
        "share_of_copy": round(work.bytes / seconds / copy, 3),
        "times_numpy": round(numpy_seconds / seconds, 2),
        "cpu": bench.cpu_name(),
        "isa": get_isa(),
        "threads": threads,
        "commit": bench.commit_of(Path(__file__).parent)[0],
    }
    assert seconds <= numpy_seconds, f"{seconds:.3g} s, NumPy {numpy_seconds:.3g} s"
