"""`embcodec demo` and `embcodec evaluate`: what codecs cost, and what they keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embcodec.cli import _options as options

if TYPE_CHECKING:
    from embcodec.evaluation import Result

__all__ = ["add_to"]

_TABLE_WIDTH = 100


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(demo)
    app.command()(evaluate)


def demo(as_json: options.Json = False) -> None:
    """Compare codecs on the bundled sample: 4,096 sentence embeddings, 500 queries.

    \b
    embcodec demo
    embcodec demo --json
    """
    from embcodec import evaluation
    from embcodec.cli._progress import measuring

    with measuring() as on_result:
        results = evaluation.demo(on_result=on_result)
    _print(results, as_json)


def evaluate(
    x: Annotated[
        Path, typer.Argument(metavar="X", help=".npy, .parquet, .safetensors, or a folder of such.")
    ],
    spec: Annotated[list[str], typer.Option(metavar="SPEC", help="A codec to judge; may be repeated.")],
    queries: Annotated[Path, typer.Option(metavar="Q", help="Vectors to search for, not among X.")],
    k: options.K = 10,
    metric: options.Metric = options.MetricName.ip,
    column: options.Column = None,
    seed: options.Seed = 0,
    memory: options.Memory = "8GB",
    as_json: options.Json = False,
) -> None:
    """Measure what each codec keeps of X, and what it costs. X is held in memory.

    \b
    embcodec evaluate x.npy --queries q.npy --spec SQ8 --spec PCA128,SQ8
    """
    from embcodec import evaluation
    from embcodec.cli._progress import measuring
    from embcodec.io import load_vectors, parse_size

    size = parse_size(memory)
    base, asked = load_vectors(x, column, size), load_vectors(queries, memory=size)
    with measuring() as on_result:
        results = evaluation.evaluate(
            spec, base, asked, k=k, metric=metric.value, seed=seed, on_result=on_result
        )
    _print(results, as_json)


def _print(results: list[Result], as_json: bool) -> None:
    from rich.console import Console

    from embcodec import evaluation

    if as_json:
        print(evaluation.to_json(results))
        return
    width = max(Console().width, _TABLE_WIDTH)  # a narrow terminal wraps lines; rich would cut numbers short
    Console(width=width).print(evaluation.report(results))
