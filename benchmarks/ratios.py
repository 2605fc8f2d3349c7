"""The table of goals, measured: each line's call beside its peers', in turns, on the same data.

    python benchmarks/ratios.py -o docs/performance.json
    python benchmarks/ratios.py -o docs/performance.json --only "SQ8 scan" --dims 384
    python benchmarks/ratio_report.py docs/performance.json docs/performance.md

Lines that the file has are not measured again, unless --only names them: a run that was stopped goes on.
Each instruction set and number of threads has a process of its own, because libraries read both when they are
loaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_store import Record, Store

if TYPE_CHECKING:
    from lines import Contest, Data, Line

LEVELS = ("best", "avx2")
SAMPLE_SECONDS = 0.03  # so that slow and fast calls alike find in the cache what they left there
_CHILD = "EMBCODEC_RATIOS_CHILD"
_AVX2 = {"EMBCODEC_ISA": "avx2", "FAISS_SIMD_LEVEL": "AVX2", "FAISS_OPT_LEVEL": "AVX2"}
_POOLS = ("EMBCODEC", "OMP", "OPENBLAS", "MKL", "RAYON")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file of results")
    parser.add_argument("--dims", type=int, nargs="+", default=[384, 768, 1024])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", nargs="+", default=["1", "all"], help="numbers, or all")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--only", nargs="+", default=[], help="lines whose names contain one of these, again")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each call, at most")
    parser.add_argument("--seconds", type=float, default=20, help="after which a line begins no more rounds")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if os.environ.get(_CHILD):
        measure_all(options)
        return
    everything = str(len(os.sched_getaffinity(0)))
    counts = dict.fromkeys(everything if t == "all" else t for t in options.threads)
    for level in options.levels:
        for threads in counts:
            environment = {**os.environ, _CHILD: "1", **(_AVX2 if level == "avx2" else {})}
            environment |= {f"{pool}_NUM_THREADS": threads for pool in _POOLS}
            command = [sys.executable, *sys.argv, "--levels", level, "--threads", threads]
            subprocess.run(command, env=environment, check=True)


def measure_all(options: argparse.Namespace) -> None:
    """All lines at one level with one number of threads."""
    from lines import LINES, Data

    store, level, threads = Store(options.out), options.levels[0], int(options.threads[0])
    for dims in options.dims:
        data = Data(options.rows, dims, threads)
        for line in LINES:
            done = (line.name, dims, threads, level) in store.records
            if any(part in line.name for part in options.only) if options.only else not done:
                record = measure(line, data, level, options)
                if record is not None:
                    store.add(record)
                    print(record.summary, flush=True)


def measure(line: Line, data: Data, level: str, options: argparse.Namespace) -> Record | None:
    """A line, timed in turns; None where nothing is to be compared."""
    from embcodec import bench, get_isa
    from lines import FAISS, OURS

    contest = line.make(data)
    peers = {name: call for name, call in contest.peers.items() if level == "best" or name.startswith(FAISS)}
    if level == "avx2" and (not peers or contest.kernel):
        return None
    calls = {OURS: contest.ours, **peers}
    if contest.bytes:
        calls["copy"] = copy_of(data)
    if contest.kernel:
        calls["kernel"] = contest.kernel
    seconds = bench.interleave(
        calls, options.rounds, at_most=options.seconds, at_least=5, sample_seconds=SAMPLE_SECONDS
    )
    figure = figure_of(line, contest, seconds, data, level)
    ratios = {name: bench.paired_ratio(seconds[OURS], seconds[name], 0.1) for name in peers}
    commit, _ = bench.commit_of(Path(__file__).parent)
    return Record(
        line=line.name,
        dims=data.d,
        rows=data.n,
        threads=data.threads,
        level=level,
        kind="ratio" if level == "avx2" else line.goal.kind,
        goal=1.0 if level == "avx2" else line.goal.value,
        peer=FAISS if level == "avx2" else line.goal.peer,
        figure=figure,
        seconds={name: bench.median_interval(times, 0.1).middle for name, times in seconds.items()},
        ratios={name: [ratio.low, ratio.middle, ratio.high] for name, ratio in ratios.items()},
        quality={name: value for name, value in contest.quality.items() if name in calls},
        measure=contest.measure,
        equals=[name for name in peers if contest.does_the_job(name)],
        does_less=not contest.keeps_up_with(line.goal.peer),
        rounds=len(seconds[OURS]),
        isa=get_isa(),
        cpu=bench.cpu_name(),
        commit=commit,
    )


def figure_of(
    line: Line, contest: Contest, seconds: dict[str, list[float]], data: Data, level: str
) -> list[float]:
    """What the goal speaks of: its interval's low end, the median, the high end."""
    from embcodec import bench
    from lines import FAISS, OURS

    ours, goal = seconds[OURS], line.goal
    if level == "avx2":
        values = [theirs / mine for mine, theirs in zip(ours, seconds[FAISS], strict=True)]
    elif goal.kind == "share":
        copied = 2 * data.x.nbytes
        values = [
            contest.bytes / mine * copy / copied for mine, copy in zip(ours, seconds["copy"], strict=True)
        ]
    elif goal.kind == "rate":
        values = [contest.rows / mine / data.threads for mine in ours]
    elif goal.kind == "overhead":
        values = [mine - kernel for mine, kernel in zip(ours, seconds["kernel"], strict=True)]
    elif goal.peer in seconds:
        values = [theirs / mine for mine, theirs in zip(ours, seconds[goal.peer], strict=True)]
    else:
        return []  # that peer is not installed
    interval = bench.median_interval(values, 0.1)
    return [interval.low, interval.middle, interval.high]


def copy_of(data: Data) -> Any:
    """np.copyto of the rows, by as many threads."""
    import numpy as np

    source, target = data.x, np.empty_like(data.x)
    if data.threads == 1:
        return lambda: np.copyto(target, source)
    pool = ThreadPoolExecutor(data.threads)
    parts = list(zip(np.array_split(target, data.threads), np.array_split(source, data.threads), strict=True))
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


if __name__ == "__main__":
    main()
