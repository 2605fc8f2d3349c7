"""`embcodec search`: the best rows of a file of codes for each query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embcodec.cli import _options as options

if TYPE_CHECKING:
    from embcodec.io import Answers

__all__ = ["add_to"]

_SHOWN_QUERIES = 5


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command()(search)


def search(
    codes: Annotated[Path, typer.Argument(metavar="CODES", help="What `embcodec encode` wrote.")],
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help="Vectors to search for.")],
    codec: options.Codec,
    k: options.K = 10,
    metric: options.Metric = options.MetricName.ip,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="A .parquet or .safetensors to write.")
    ] = None,
    k_factor: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Trellis codes: score N times k rows in full, which a pass over the first part of the codes "
            "finds; 100 is safe. All rows if not given.",
        ),
    ] = None,
    column: options.Column = None,
    id_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="A column of CODES that names the rows found.")
    ] = None,
    memory: options.Memory = "1GB",
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find the rows of CODES that score best with each query, from the codes alone.

    \b
    embcodec search codes.parquet queries.npy --codec codec.safetensors -k 10
    embcodec search codes.parquet queries.npy --codec codec.safetensors -o hits.parquet --id-column url
    embcodec search codes.parquet queries.npy --codec tcq2.safetensors --k-factor 100
    """
    from embcodec.cli._output import print_json
    from embcodec.cli._progress import Meter
    from embcodec.io import check_answers_path, load_vectors, parse_size, search_file, write_answers

    size = parse_size(memory)
    if out is not None:
        check_answers_path(out, overwrite)
    q = load_vectors(queries, column, size)
    with Meter("search") as meter:
        answers = search_file(
            codes,
            codec,
            q,
            k=k,
            metric=metric.value,
            k_factor=k_factor,
            id_column=id_column,
            memory=size,
            progress=meter,
        )
    if out is not None:
        write_answers(answers, out)
    if as_json:
        print_json({"metric": metric.value, "out": out} if out else _as_lists(answers, metric.value))
    elif out is not None:
        print(f"{out}: {k} rows for each of {len(q):,} queries")
    else:
        _show(answers)


def _as_lists(answers: Answers, metric: str) -> dict[str, object]:
    nq, k = answers.ids.shape
    lists: dict[str, object] = {
        "metric": metric,
        "ids": answers.ids.tolist(),
        "scores": answers.scores.tolist(),
    }
    if answers.names is not None:
        names = answers.names.to_pylist()
        lists["names"] = [names[query * k : (query + 1) * k] for query in range(nq)]
    return lists


def _show(answers: Answers) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    nq, k = answers.ids.shape
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["query", "rank", "id", "score", *([] if answers.names is None else ["name"])]
    for column in columns:
        table.add_column(column, justify="left" if column == "name" else "right")
    for query in range(min(nq, _SHOWN_QUERIES)):
        for rank in range(k):
            id_, score = answers.ids[query, rank], answers.scores[query, rank]
            name = [] if answers.names is None else [str(answers.names[query * k + rank])]
            cells = [str(query) if rank == 0 else "", str(rank), str(id_), f"{score:.4f}", *name]
            table.add_row(*cells, end_section=rank == k - 1)
    console = Console(highlight=False)
    console.print(table)
    if nq > _SHOWN_QUERIES:
        console.print(f"{nq - _SHOWN_QUERIES:,} more queries; -o writes all, --json prints all")
