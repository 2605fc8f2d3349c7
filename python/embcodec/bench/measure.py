"""Run the benchmarks of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from embcodec.bench.codecs import SPECS, codec_benchmarks
from embcodec.bench.kernels import Benchmark, kernel_benchmarks
from embcodec.bench.machine import commit_of, describe
from embcodec.bench.runs import Measurement, Run
from embcodec.bench.timing import least_seconds

__all__ = ["find", "measure"]

QUERIES = 5  # of a scan


def find(
    *,
    only: Sequence[str] = (),
    rows: int = 4_096,
    dims: int = 384,
    specs: Sequence[str] = SPECS,
    threads: int | None = None,
) -> list[Benchmark]:
    """The registry's kernels, and codecs on the bundled sample, ready to be timed.

    Args:
        only: take the benchmarks whose names contain one of these; all if empty.
        rows: n of the kernels' matrix.
        dims: d of it.
        specs: codecs.
        threads: the default number if None.

    Raises:
        ValueError: no benchmark has such a name.
    """
    x = np.random.default_rng(0).standard_normal((rows, dims), np.float32)
    wanted = partial(_wanted, only)
    benchmarks = [
        *kernel_benchmarks(x, QUERIES, threads, wanted),
        *codec_benchmarks(specs, threads, wanted),
    ]
    if not benchmarks:
        raise ValueError(f"no benchmark's name contains {' or '.join(map(repr, only))}")
    return benchmarks


def measure(
    benchmarks: Sequence[Benchmark],
    rounds: int = 5,
    setting: Mapping[str, int] | None = None,
    on_round: Callable[[int], None] = lambda i: None,
) -> Run:
    """Time benchmarks. Each round times all, so that the rounds of one lie as far apart as the run is long.

    Args:
        benchmarks: what `find` found.
        rounds: numbers for each benchmark.
        setting: what `find` was told of rows, dims and threads; times of another do not compare.
        on_round: called when a round begins, with its number from 0.
    """
    seconds: dict[str, list[float]] = {b.name: [] for b in benchmarks}
    for i in range(rounds):
        on_round(i)
        for b in benchmarks:
            seconds[b.name].append(least_seconds(b.call))
    commit, time = commit_of(Path.cwd())
    measurements = {b.name: _measurement(b, seconds[b.name]) for b in benchmarks}
    return Run(commit, time, {**describe(), **(setting or {})}, measurements)


def _wanted(only: Sequence[str], name: str) -> bool:
    return not only or any(part in name for part in only)


def _measurement(benchmark: Benchmark, seconds: list[float]) -> Measurement:
    accuracy, error = benchmark.quality()
    return Measurement(benchmark.group, seconds, benchmark.bytes, benchmark.operations, accuracy, error)
