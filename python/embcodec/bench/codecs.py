"""A benchmark for each step of some codecs on the bundled sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from embcodec._threads import get_num_threads, set_num_threads
from embcodec.bench.kernels import Benchmark, Quality
from embcodec.codecs import Codec
from embcodec.data import Sample, load_sample
from embcodec.evaluation import recall_at_k, relative_mse
from embcodec.kernels import flat_topk

__all__ = ["SPECS", "codec_benchmarks"]

SPECS = ("SQ8", "SQ4", "PCA128,SQ8", "Binary", "RaBitQ1", "LM4", "PQ48x8", "PQ96x4", "TCQ2", "Top32")
"""A codec of each kind."""

_K = 10
_STEPS = ("fit", "encode", "decode", "search")


def codec_benchmarks(
    specs: Sequence[str], threads: int | None, wanted: Callable[[str], bool]
) -> Iterator[Benchmark]:
    """Fit, encode, decode and search of each spec, as far as wanted by name."""
    for spec in specs:
        if any(wanted(f"{spec} {step}") for step in _STEPS):
            work = _Work(spec, load_sample(), threads or get_num_threads())
            yield from (work.benchmark(step) for step in _STEPS if wanted(f"{spec} {step}"))


class _Work:
    """A fitted codec, and what can be done with it."""

    def __init__(self, spec: str, sample: Sample, threads: int) -> None:
        self.spec, self.x, self.q, self.threads = spec, sample.base, sample.queries, threads
        self.codec = Codec(spec).fit(self.x)
        self.codes = self.codec.encode(self.x)

    def benchmark(self, step: str) -> Benchmark:
        """One of `_STEPS`."""
        scan = step == "search"
        read = self.q.nbytes if scan else self.x.nbytes
        return Benchmark(
            name=f"{self.spec} {step}",
            group=f"codec {self.spec}",
            call=partial(self._limited, getattr(self, step)),
            bytes=read + (0 if step == "fit" else self.codes.nbytes),
            operations=2 * len(self.x) * self.q.size if scan else None,
            quality=partial(self._quality, step),
        )

    def fit(self) -> Codec:
        return Codec(self.spec).fit(self.x)

    def encode(self) -> Any:
        return self.codec.encode(self.x)

    def decode(self) -> Any:
        return self.codec.decode(self.codes)

    def search(self) -> Any:
        return self.codec.search(self.codes, self.q, _K)

    def _limited(self, call: Callable[[], Any]) -> Any:
        """fit, encode and decode have no argument for threads: they take the default number."""
        before = get_num_threads()
        set_num_threads(self.threads)
        try:
            return call()
        finally:
            set_num_threads(before)

    def _quality(self, step: str) -> Quality:
        if step == "decode":
            return {}, {"distortion": relative_mse(self.x, self.decode())}
        if step == "search":
            exact = flat_topk(self.x, self.q, _K)[1]
            return {f"recall@{_K}": recall_at_k(self.search()[1], exact)}, {}
        return {}, {}
