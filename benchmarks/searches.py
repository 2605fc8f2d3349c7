"""How long codecs take to encode and to search, one beside the other (docs/codecs.md, docs/decisions/0009).

    python benchmarks/searches.py DATA/debian-minilm --spec IVF256,TCQ47B RQ3x8,TCQ45B

Codecs take turns, round by round; a figure is the median of the rounds, and its ratio to the first
spec's the median of theirs. A folder holds base.npy and query.npy, as those of quality.py; a codec is fitted
on its first rows and codes all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np

from embcodec import Codec, set_num_threads

FITTED = 8192
ENCODED = 4096


def in_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = perf_counter()
            call()
            if number:
                seconds[name].append(perf_counter() - started)
    return seconds


def report(what: str, seconds: dict[str, list[float]]) -> None:
    """A line for each codec."""
    first = np.array(next(iter(seconds.values())))
    for name, times in seconds.items():
        ratio = np.median(np.array(times) / first)
        print(f"{what:22} {name:18} {1e3 * np.median(times):9.2f} ms  {ratio:5.2f} x", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--spec", nargs="+", default=["IVF256,TCQ47B", "RQ3x8,TCQ45B"])
    parser.add_argument("--queries", nargs="+", type=int, default=[1, 100, 1000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    set_num_threads(options.threads)
    base, queries = (np.load(options.folder / f"{name}.npy").astype(np.float32) for name in ("base", "query"))
    codecs = {spec: Codec(spec).fit(base[:FITTED]) for spec in options.spec}
    codes = {spec: codec.encode(base) for spec, codec in codecs.items()}
    print(f"{len(base):,} x {base.shape[1]}, threads: {options.threads}")
    rows = base[:ENCODED]
    encoders = {spec: partial(codec.encode, rows) for spec, codec in codecs.items()}
    report(f"encode {len(rows)} rows", in_turns(encoders, options.rounds))
    for count in options.queries:
        asked = queries[:count]
        for metric in ("ip", "l2", "cosine"):
            searches = {
                spec: partial(codec.search, codes[spec], asked, 10, metric) for spec, codec in codecs.items()
            }
            report(f"{len(asked)} queries, {metric}", in_turns(searches, options.rounds))


if __name__ == "__main__":
    main()
