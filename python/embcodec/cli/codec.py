"""`embcodec fit` and `embcodec info`: a codec from vectors, and what a file is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from embcodec.cli import _options as options

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(fit)
    app.command()(info)


def fit(
    x: Annotated[
        Path, typer.Argument(metavar="X", help=".npy, .parquet, .safetensors, or a folder of such.")
    ],
    spec: Annotated[str, typer.Option(metavar="SPEC", help="The codec's stages, such as SQ8 or PCA128,SQ8.")],
    out: options.Out,
    queries: Annotated[
        Path | None, typer.Option(metavar="Q", help="Examples of queries, for stages that use them.")
    ] = None,
    seed: options.Seed = 0,
    column: options.Column = None,
    memory: options.Memory = "1GB",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Fit a codec on a sample of the vectors in X, and save it.

    \b
    embcodec fit x.parquet --spec SQ8 -o sq8.safetensors
    embcodec fit x.npy --spec PCA128,SQ8 -o codec.safetensors --memory 4GB
    """
    from embcodec.cli._output import print_facts, print_json
    from embcodec.cli._progress import Meter
    from embcodec.io import check_codec_path, describe, fit_file, load_vectors, parse_size

    started = time.monotonic()
    check_codec_path(out, x, overwrite)
    size = parse_size(memory)
    examples = None if queries is None else load_vectors(queries, memory=size)
    with Meter("fit") as meter:
        codec = fit_file(x, spec, queries=examples, seed=seed, column=column, memory=size, progress=meter)
    codec.save(out)
    facts = {"out": str(out), "seconds": time.monotonic() - started, **describe(out)}
    if as_json:
        print_json(facts)
    else:
        print_facts(str(out), _readable(facts))


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A codec, or codes or vectors, or a folder.")],
    column: options.Column = None,
    as_json: options.Json = False,
) -> None:
    """Say what a file is: a codec, codes or vectors.

    \b
    embcodec info codec.safetensors
    embcodec info codes.parquet --json
    """
    from embcodec.cli._output import print_facts, print_json
    from embcodec.io import describe

    facts = describe(file, column)
    if as_json:
        print_json({"file": str(file), **facts})
    else:
        print_facts(f"{file}: {facts['kind']}", _readable(facts))


def _readable(facts: dict[str, Any]) -> dict[str, str]:
    from embcodec.io import format_size

    written: dict[str, Callable[[Any], str]] = {
        "d": lambda d: f"{d:,} dimensions" if d else "unknown: there are no rows",
        "code_size": lambda size: f"{size:,} bytes a row",
        "ratio": lambda ratio: f"{ratio:.1f} times smaller than float32",
        "rows": lambda rows: f"{rows:,}",
        "columns": lambda columns: ", ".join(f"{name} ({kind})" for name, kind in columns.items()),
        "file_bytes": format_size,
        "seconds": lambda seconds: f"{seconds:.2f}",
    }
    hidden = ("kind", "out")
    names = {"code_size": "code size", "file_bytes": "size"}
    return {
        names.get(name, name): written.get(name, str)(value)
        for name, value in facts.items()
        if name not in hidden
    }
