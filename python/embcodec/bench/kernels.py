"""A benchmark for each kernel in the registry: its time, what it touches, and what its codes keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from embcodec import kernels
from embcodec.evaluation import recall_at_k, relative_mse
from embcodec.reference import REGISTRY, bytes_touched, outputs

__all__ = ["Benchmark", "Quality", "cases", "kernel_benchmark", "kernel_benchmarks", "label", "quality_of"]

Array = Any
Case = tuple[str, dict[str, Any]]
Quality = tuple[dict[str, float], dict[str, float]]
"""Measures of which more is better, and of which less is better."""

_K = 10
_QUERIES = 100  # that recall is judged by
_SCANS = {"sparse_topk": "topk"}  # whose encoder goes by another name
_NO_MEANING = ("trellis", "cluster")  # the registry's codebooks are random; clusters decode to nothing


@dataclass(frozen=True)
class Benchmark:
    """Something to time.

    Attributes:
        name: unique.
        group: what it is shown with.
        call: runs it once.
        bytes: read and written by a call.
        operations: additions and multiplications of a call, as the plain algorithm has them.
        quality: accuracy (more is better) and error (less is better) of its results.
        inputs: what a kernel is called with; empty for a codec.
    """

    name: str
    group: str
    call: Callable[[], Any]
    bytes: int
    operations: int | None
    quality: Callable[[], Quality]
    inputs: dict[str, Any] = field(default_factory=dict)


def cases() -> list[Case]:
    """Kernels and variants worth timing: metric and mask change only a scan's end, one codeword nothing."""
    return [
        (name, variant)
        for name, kernel in REGISTRY.items()
        for variant in kernel.variants
        if variant.get("metric", "ip") == "ip" and not variant.get("masked") and variant.get("k") != 1
    ]


def label(case: Case) -> str:
    """sq_encode-bits8."""
    name, variant = case
    shown = [f"{key}{value}" for key, value in variant.items() if key not in ("metric", "masked")]
    return "-".join([name, *shown])


def kernel_benchmarks(
    x: Array, queries: int, threads: int | None, wanted: Callable[[str], bool]
) -> Iterator[Benchmark]:
    """Those whose names are wanted, over the rows x (n, d) float32."""
    for case in cases():
        if wanted(label(case)):
            yield kernel_benchmark(case, x, queries, threads)


def kernel_benchmark(case: Case, x: Array, queries: int, threads: int | None) -> Benchmark:
    """One kernel with its output arrays allocated, scans with so many queries."""
    name, variant = case
    kernel = REGISTRY[name]
    inputs = kernel.inputs(x, np.random.default_rng(1), **variant)
    assert inputs is not None, f"{label(case)} has no inputs of {x.shape}"
    if name.endswith("_topk"):
        inputs["queries"] = np.resize(inputs["queries"], (queries, inputs["queries"].shape[1]))
    function = getattr(kernels, name)
    result = function(**inputs, threads=threads)
    arrays = tuple(a for a in outputs(result) if isinstance(a, np.ndarray))
    out = arrays if len(arrays) > 1 else arrays[0]
    return Benchmark(
        name=label(case),
        group=kernel.family,
        call=partial(function, **inputs, out=out, threads=threads),
        bytes=bytes_touched(inputs, result),
        operations=_operations(name, inputs, x.shape[1]),
        quality=partial(quality_of, case, x),
        inputs=inputs,
    )


def _operations(name: str, inputs: dict[str, Any], d: int) -> int | None:
    """A multiplication and an addition for each value compared or scored; None where that is not the work."""
    if name.endswith("_topk") and name != "hamming_topk":
        rows = next(inputs[key] for key in ("codes", "indices", "x") if key in inputs)
        width = rows.shape[1] if "indices" in inputs else d
        return int(2 * len(rows) * len(inputs["queries"]) * width)
    if name in ("vq_encode", "pq_encode"):
        codebook = inputs["codebook" if name == "vq_encode" else "codebooks"]
        return int(2 * inputs["x"].size * codebook.shape[-2])
    if name == "kmeans_fit":
        return int(2 * inputs["x"].size * inputs["k"] * (inputs["iterations"] + 1))
    return None


def quality_of(case: Case, x: Array) -> Quality:
    """What rows keep that went through this kernel and its siblings: recall@10 of scans, else distortion.

    Empty for kernels that code nothing, or with codebooks that fit no data.
    """
    name, variant = case
    stem, _, verb = name.rpartition("_")
    stem = _SCANS.get(name, stem)
    encoder, decoder = REGISTRY.get(f"{stem}_encode"), REGISTRY.get(f"{stem}_decode")
    if (
        verb not in ("encode", "decode", "topk")
        or encoder is None
        or decoder is None
        or encoder.family in _NO_MEANING
    ):
        return {}, {}
    given = {key: value for key, value in variant.items() if key in encoder.variants[0]}
    inputs = encoder.inputs(x, np.random.default_rng(1), **given)
    assert inputs is not None, f"{label(case)} has no inputs of {x.shape}"
    coded = outputs(getattr(kernels, encoder.name)(**inputs))
    inputs["d"] = x.shape[1]
    if verb != "topk":
        decoded = _call(getattr(kernels, decoder.name), coded, inputs)
        return {}, {"distortion": relative_mse(x, decoded)}
    return {f"recall@{_K}": _recall(name, coded, inputs, x)}, {}


def _recall(name: str, coded: tuple[Array, ...], inputs: dict[str, Any], x: Array) -> float:
    """Recall@10 of queries near rows."""
    rng = np.random.default_rng(2)
    queries = x[rng.integers(len(x), size=_QUERIES)]
    queries = queries + rng.standard_normal(queries.shape, np.float32)
    asked = {**inputs, "queries": queries, "k": _K}
    _, found = _call(getattr(kernels, name), coded, asked)
    return recall_at_k(found, kernels.flat_topk(x, queries, _K)[1])


def _call(function: Callable[..., Any], coded: tuple[Array, ...], rest: dict[str, Any]) -> Any:
    """Codes first, then those of the other arguments that the function takes."""
    names = list(signature(function).parameters)[len(coded) :]
    return function(*coded, **{name: rest[name] for name in names if name in rest})
