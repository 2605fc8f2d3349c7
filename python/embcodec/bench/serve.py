"""One side of an interleaved comparison: a process that times a benchmark whenever it is told to.

It prints a line of JSON with the benchmarks it has, then answers each line that it reads: `time NAME` with
the seconds of a call, `quality NAME` with accuracy and error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from embcodec.bench.kernels import Benchmark
from embcodec.bench.runs import Measurement
from embcodec.bench.timing import Sampler

__all__ = ["serve"]


def serve(benchmarks: Sequence[Benchmark], requests: TextIO, answers: TextIO) -> None:
    """Answer until there are no more requests."""
    by_name = {benchmark.name: benchmark for benchmark in benchmarks}
    samplers: dict[str, Sampler] = {}

    def answer(value: object) -> None:
        print(json.dumps(value, allow_nan=False), file=answers, flush=True)

    answer({b.name: asdict(Measurement(b.group, [], b.bytes, b.operations)) for b in benchmarks})
    for request in requests:
        verb, _, name = request.rstrip("\n").partition(" ")
        if verb == "quality":
            answer(by_name[name].quality())
        else:
            if name not in samplers:
                samplers[name] = Sampler(by_name[name].call)
            answer(samplers[name].seconds())
