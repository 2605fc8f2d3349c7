"""Benchmarks that are kept and compared: measure, decide whether something became slower or worse, show."""

from embcodec.bench.compare import Change, Tolerance, Verdict, are_paired, compare, rounds_to_decide
from embcodec.bench.kernels import cases, kernel_benchmark, label, quality_of
from embcodec.bench.machine import commit_of, copy_bandwidth, cpu_name, describe
from embcodec.bench.measure import find, measure
from embcodec.bench.page import page
from embcodec.bench.rounds import Comparison, compare_sides
from embcodec.bench.runs import Measurement, Run, read_run, read_runs
from embcodec.bench.serve import serve
from embcodec.bench.sides import Side
from embcodec.bench.statistics import Interval, median_interval, paired_ratio
from embcodec.bench.timing import interleave, least_seconds

__all__ = [
    "Change",
    "Comparison",
    "Interval",
    "Measurement",
    "Run",
    "Side",
    "Tolerance",
    "Verdict",
    "are_paired",
    "cases",
    "commit_of",
    "compare",
    "compare_sides",
    "copy_bandwidth",
    "cpu_name",
    "describe",
    "find",
    "interleave",
    "kernel_benchmark",
    "label",
    "least_seconds",
    "measure",
    "median_interval",
    "page",
    "paired_ratio",
    "quality_of",
    "read_run",
    "read_runs",
    "rounds_to_decide",
    "serve",
]
