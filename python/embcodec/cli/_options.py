"""Options that several commands have."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Codec",
    "Column",
    "Json",
    "K",
    "Memory",
    "Metric",
    "MetricName",
    "Out",
    "Overwrite",
    "Resume",
    "Seed",
]


class MetricName(str, enum.Enum):
    """How a score is computed."""

    ip = "ip"
    l2 = "l2"
    cosine = "cosine"


Codec = Annotated[Path, typer.Option("--codec", metavar="FILE", help="A codec that `embcodec fit` wrote.")]
Column = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Column or tensor of vectors; by default the only one there is."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
K = Annotated[int, typer.Option("-k", metavar="K", min=1, help="Rows to find for each query.")]
Memory = Annotated[
    str, typer.Option(metavar="SIZE", help="What the process may take, all included: 500MB, 2GB, 1GiB.")
]
Metric = Annotated[
    MetricName,
    typer.Option(
        help="Inner product, minus squared distance, or cosine, which finds most among unit vectors."
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="What to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with an interrupted job, if there is one, else begin.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Fixes the sample, rotations and k-means.")]
