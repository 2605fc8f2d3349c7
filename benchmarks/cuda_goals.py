"""The table of docs/cuda.md: what kernels take on a GPU, against what its memory allows and against torch.

    python benchmarks/cuda_goals.py -o docs/cuda.json

Times are by events on the stream, of calls in turns over inputs that are more than any cache holds, after
one that warms up; the median. Needs CuPy; torch for its column.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cupy
import numpy as np

from cuda_peers import TORCH
from embcodec import Codec, kernels, synchronize

try:
    import torch
except ImportError:
    torch = None

K = 10
QUERIES = (1, 8, 64, 1000)
Call = Callable[[], Any]


@dataclass
class Result:
    """One line of the table; times in milliseconds."""

    line: str
    rows: int
    dims: int
    ms: float
    bytes: float  # read and written
    share_of_copy: float  # of what the device's memory moves in a copy
    torch_ms: float | None
    rate: float  # rows, or rows times queries, a second


def milliseconds(calls: list[Call], seconds: float = 0.4) -> float:
    """Of one call, the median of several."""
    calls[0]()
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - began < seconds and len(times) < 50):
        call = calls[len(times) % len(calls)]
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return float(np.median(times))


def copy_bandwidth() -> float:
    """Bytes a second, read and written."""
    source = cupy.ones(1 << 29, np.float32)
    target = cupy.empty_like(source)
    return 2 * source.nbytes / milliseconds([lambda: cupy.copyto(target, source)]) * 1e3


@dataclass
class Case:
    """A line's calls: ours, torch's over the same arrays, the bytes that one touches, its units of work."""

    line: str
    dims: int
    calls: list[Call]
    bytes: float
    work: int
    torch: Call | None = None


def tensor(a: Any) -> Any:
    return torch.from_dlpack(a)


def lines(n: int, d: int) -> Iterator[Case]:
    """All lines, each made when it is asked for, since two of them would not fit the memory."""
    yield from dense(n, d)
    yield from product(n, d)
    yield from trellis(n, 384)
    yield from scans(n, d)


def dense(n: int, d: int) -> Iterator[Case]:
    xs = [cupy.random.standard_normal((n, d), np.float32) for _ in range(2)]
    lo, step = cupy.full(d, -4, np.float32), cupy.full(d, 8 / 255, np.float32)
    size = n * d

    def torch_encode(x: Any) -> Any:
        return TORCH["sq_encode"](tensor(x), tensor(lo), tensor(step), 8)

    codes = cupy.empty((n, d), np.uint8)
    yield Case(
        "sq_encode 8 bits", d, [lambda x=x: kernels.sq_encode(x, lo, step, out=codes) for x in xs],
        5 * size, n, lambda: torch_encode(xs[0]),
    )  # fmt: skip
    halves = [x.astype(np.float16) for x in xs]
    yield Case(
        "sq_encode 8 bits, float16", d,
        [lambda x=x: kernels.sq_encode(x, lo, step, out=codes) for x in halves], 3 * size, n,
        lambda: torch_encode(halves[0]),
    )  # fmt: skip
    out = cupy.empty((n, d), np.float32)
    all_codes = [kernels.sq_encode(x, lo, step) for x in xs]
    yield Case(
        "sq_decode 8 bits", d, [lambda c=c: kernels.sq_decode(c, lo, step, out=out) for c in all_codes],
        5 * size, n, lambda: TORCH["sq_decode"](tensor(all_codes[0]), tensor(lo), tensor(step), 8),
    )  # fmt: skip
    four = step * 17
    yield Case(
        "sq_encode 4 bits", d, [lambda x=x: kernels.sq_encode(x, lo, four, 4) for x in xs], 4.5 * size, n
    )
    yield Case("rowsq_encode 8 bits", d, [lambda x=x: kernels.rowsq_encode(x) for x in xs], 5 * size, n)
    yield Case("half_encode float16", d, [lambda x=x: kernels.half_encode(x) for x in xs], 6 * size, n)
    yield Case(
        "half_decode float16", d,
        [lambda h=h: kernels.half_decode(h.view(np.uint8), out=out) for h in halves], 6 * size, n,
    )  # fmt: skip
    yield Case("bits_encode", d, [lambda x=x: kernels.bits_encode(x) for x in xs], 4.125 * size, n)
    levels = cupy.asarray(np.linspace(-2, 2, 16, dtype=np.float32))
    yield Case(
        "levels_encode 4 bits", d, [lambda x=x: kernels.levels_encode(x, levels, step) for x in xs],
        4.5 * size, n,
    )  # fmt: skip
    signs = cupy.asarray(np.where(np.arange(d) % 3 == 0, np.float32(-1), np.float32(1)))
    yield Case(
        "hadamard_rotate", d, [lambda x=x: kernels.hadamard_rotate(x, signs, out=out) for x in xs],
        8 * size, n,
    )  # fmt: skip
    yield Case(
        "hadamard_sq_encode 8 bits", d,
        [lambda x=x: kernels.hadamard_sq_encode(x, signs, lo, step, out=codes) for x in xs], 5 * size, n,
    )  # fmt: skip
    matrix = cupy.random.standard_normal((d, d), np.float32)
    yield Case(
        f"project to {d}", d, [lambda x=x: kernels.project(x, matrix, out=out) for x in xs], 8 * size, n,
        lambda: TORCH["project"](tensor(xs[0]), tensor(matrix), None),
    )  # fmt: skip
    yield Case(
        "topk_encode, 32 of a row", d, [lambda x=x: kernels.topk_encode(x, 32) for x in xs],
        (4 + 6 * 32 / d) * size, n, lambda: TORCH["topk_encode"](tensor(xs[0]), 32),
    )  # fmt: skip


def product(n: int, d: int) -> Iterator[Case]:
    m = d // 8
    rng = np.random.default_rng(0)
    xs = [cupy.random.standard_normal((n, d), np.float32) for _ in range(2)]
    out = cupy.empty((n, d), np.float32)
    for name, bits in (("x8", 8), ("x4", 4)):
        books = cupy.asarray(rng.standard_normal((m, 1 << bits, 8), np.float32))
        yield Case(
            f"pq_encode {m}{name}", d, [lambda x=x, b=books: kernels.pq_encode(x, b) for x in xs],
            (4 + bits / 64) * n * d, n, lambda b=books: TORCH["pq_encode"](tensor(xs[0]), tensor(b)),
        )  # fmt: skip
        codes = [cupy.random.randint(0, 256, (n, m * bits // 8), np.uint8) for _ in range(3)]
        yield Case(
            f"pq_decode {m}{name}", d, [lambda c=c, b=books: kernels.pq_decode(c, b, out=out) for c in codes],
            (4 + bits / 64) * n * d, n,
        )  # fmt: skip
        for nq in QUERIES:
            q = cupy.random.standard_normal((nq, d), np.float32)
            yield Case(
                f"pq_topk {m}{name}, {nq} queries", d,
                [lambda c=c, b=books, q=q: kernels.pq_topk(c, b, q, K) for c in codes],
                bits / 64 * n * d, n * nq,
            )  # fmt: skip
    centroids = cupy.asarray(rng.standard_normal((256, d), np.float32) * np.float32(0.5))
    centroid = cupy.random.randint(0, 256, n, np.int32)
    rest = (None, centroids, centroid)
    for nq, metric in ((1, "ip"), (1, "l2"), (64, "l2")):
        q = cupy.random.standard_normal((nq, d), np.float32)
        yield Case(
            f"pq_topk {m}x4 of 256 centroids by {metric}, {nq} queries", d,
            [lambda c=c, q=q, metric=metric: kernels.pq_topk(c, books, q, K, metric, *rest) for c in codes],
            n * d / 16 + 4 * n, n * nq,
        )  # fmt: skip


def trellis(n: int, d: int) -> Iterator[Case]:
    rng = np.random.default_rng(0)
    spread = ((1 + np.arange(d)) ** -0.4).astype(np.float32)
    codec = Codec("TCQ2").fit(rng.standard_normal((4096, d), np.float32) * spread)
    stage = codec._chain.coder
    books = (cupy.asarray(stage.codebooks), cupy.asarray(stage.step), stage.rates)
    weight = cupy.asarray(stage.weight)
    z = [cupy.random.standard_normal((n, d), np.float32) * cupy.asarray(spread) for _ in range(2)]
    yield Case(
        "trellis_encode 2 bits", d, [lambda z=z: kernels.trellis_encode(z, *books, weight) for z in z],
        4.25 * n * d, n,
    )  # fmt: skip
    codes = [kernels.trellis_encode(z, *books, weight) for z in z]
    codes += [c[::-1].copy() for c in codes]
    yield Case(
        "trellis_decode 2 bits", d, [lambda c=c: kernels.trellis_decode(c, *books) for c in codes],
        4.25 * n * d, n,
    )  # fmt: skip
    for nq in QUERIES:
        q = z[0][:nq].copy()
        yield Case(
            f"trellis_topk 2 bits, {nq} queries", d,
            [lambda c=c, q=q: kernels.trellis_topk(c, *books, q, K) for c in codes], n * d / 4, n * nq,
        )  # fmt: skip
    codewords = cupy.asarray(rng.standard_normal((3, 256, d), np.float32) * spread)
    chosen = cupy.random.randint(0, 256, (n, 3), np.uint8)
    for nq, metric in ((1, "ip"), (1, "cosine"), (64, "ip")):
        q = z[0][:nq].copy()
        arguments = (*books, q, K, metric, None, None, codewords, chosen)
        yield Case(
            f"trellis_topk 2 bits behind 3 codewords by {metric}, {nq} queries", d,
            [lambda c=c, a=arguments: kernels.trellis_topk(c, *a) for c in codes], n * d / 4 + 3 * n, n * nq,
        )  # fmt: skip
    few, beam = z[0][:20000], 16
    products = kernels.rq_products(codewords)
    yield Case(
        f"rq_encode 3x8, beam {beam}, 20,000 rows", d,
        [lambda: kernels.rq_encode(few, codewords, products, beam)], 4 * few.size, len(few),
    )  # fmt: skip


def scans(n: int, d: int) -> Iterator[Case]:
    x = cupy.random.standard_normal((n, d), np.float32)
    lo, step = cupy.full(d, -4, np.float32), cupy.full(d, 8 / 255, np.float32)
    codes = kernels.sq_encode(x, lo, step)
    bits = [cupy.random.randint(0, 256, (n, d // 8), np.uint8) for _ in range(3)]
    levels = cupy.asarray(np.linspace(-2, 2, 16, dtype=np.float32))
    four = kernels.levels_encode(x, levels, step * 32)

    def torch_flat(q: Any) -> Any:
        return TORCH["flat_topk"](tensor(x), tensor(q), K, "ip", None)

    def torch_sq(q: Any) -> Any:
        return TORCH["sq_topk"](tensor(codes), tensor(lo), tensor(step), 8, tensor(q), K, "ip", None)

    for nq in QUERIES:
        q = cupy.random.standard_normal((nq, d), np.float32)
        b = cupy.random.randint(0, 256, (nq, d // 8), np.uint8)
        yield Case(
            f"flat_topk, {nq} queries", d, [lambda q=q: kernels.flat_topk(x, q, K)], 4 * n * d, n * nq,
            lambda q=q: torch_flat(q),
        )  # fmt: skip
        yield Case(
            f"sq_topk 8 bits, {nq} queries", d, [lambda q=q: kernels.sq_topk(codes, lo, step, q, K)], n * d,
            n * nq, lambda q=q: torch_sq(q),
        )  # fmt: skip
        yield Case(
            f"levels_topk 4 bits, {nq} queries", d,
            [lambda q=q: kernels.levels_topk(four, levels, step * 32, q, K)], n * d / 2, n * nq,
        )  # fmt: skip
        yield Case(
            f"hamming_topk, {nq} queries", d, [lambda c=c, b=b: kernels.hamming_topk(c, b, K) for c in bits],
            n * d / 8, n * nq,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=768)
    parser.add_argument("--seconds", type=float, default=0.4, help="of a line's calls")
    parser.add_argument("--only", nargs="*", default=[""], help="words, one of which a line has")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    copy = copy_bandwidth()
    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{device}, copy {copy / 1e12:.2f} TB/s, {options.rows:,} rows")
    results = []
    for case in lines(options.rows, options.dims):
        if not any(word in case.line for word in options.only):
            continue
        try:
            ms = milliseconds(case.calls, options.seconds)
            synchronize()
            theirs = milliseconds([case.torch], options.seconds) if torch and case.torch else None
        except Exception as error:  # the others are worth having
            print(f"{case.line}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        share = case.bytes / ms * 1e3 / copy
        results.append(
            Result(case.line, options.rows, case.dims, ms, case.bytes, share, theirs, case.work / ms * 1e3)
        )
        beside = f"{theirs:9.3f} torch" if theirs else ""
        print(
            f"{case.line:32} {ms:9.3f} ms {share:7.1%} of a copy {case.work / ms / 1e6:9.3f} G/s {beside}",
            flush=True,
        )
        if options.output:
            report = {"device": device, "copy": copy, "lines": [asdict(r) for r in results]}
            options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
