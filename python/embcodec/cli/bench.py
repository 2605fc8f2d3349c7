"""`embcodec bench`: measure kernels and codecs, find what became slower, and show the history."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embcodec.cli import _options as options

if TYPE_CHECKING:
    from embcodec.bench import Change, Interval

__all__ = ["add_to"]

_TABLE_WIDTH = 110

Only = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Benchmarks whose names contain it; may be repeated.")
]
Rows = Annotated[int, typer.Option(metavar="N", min=256, help="Rows of the kernels' matrix.")]
Dims = Annotated[int, typer.Option(metavar="D", min=16, help="Dimensions of it.")]
Threads = Annotated[int, typer.Option(metavar="T", min=1, help="Threads.")]
Rounds = Annotated[int, typer.Option(metavar="R", min=1, help="How often each benchmark is timed.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    group = typer.Typer(help="Measure, compare and show benchmarks: docs/bench.md.", no_args_is_help=True)
    for command in (run, compare, page):
        group.command()(command)
    group.command(hidden=True)(serve)
    app.add_typer(group, name="bench")


def run(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="A folder, or a .json file.")],
    rounds: Rounds = 5,
    only: Only = None,
    rows: Rows = 4_096,
    dims: Dims = 384,
    threads: Threads = 1,
    from_pytest: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Keep what `pytest --benchmark-json` wrote.")
    ] = None,
) -> None:
    """Time every kernel, and codecs on the bundled sample; keep the result under the commit's name.

    \b
    embcodec bench run -o results/
    embcodec bench run -o results/ --only sq_topk --rounds 20
    embcodec bench run -o results/ --from pytest-benchmark.json
    """
    from embcodec import bench

    if from_pytest is not None:
        result = bench.read_run(from_pytest)
    else:
        found = bench.find(only=only or (), rows=rows, dims=dims, threads=threads)
        setting = {"rows": rows, "dims": dims, "threads": threads}
        result = bench.measure(found, rounds, setting, lambda i: _progress("run", i, rounds))
    print(f"{result.write(out)}: {len(result.measurements)} benchmarks of {result.label}")


def compare(
    results: Annotated[
        list[Path] | None, typer.Argument(metavar="[BASE.json NEW.json]", help="Two stored results.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="SIDE", help="A Python, a folder of embcodec/, or a command with {out}."),
    ] = None,
    new: Annotated[str | None, typer.Option(metavar="SIDE", help="The same; it is judged.")] = None,
    rounds: Rounds = 5,
    only: Only = None,
    rows: Rows = 4_096,
    dims: Dims = 384,
    threads: Threads = 1,
    speed: Annotated[float, typer.Option(metavar="SHARE", min=0, help="By which a time may rise.")] = 0.05,
    accuracy: Annotated[float, typer.Option(metavar="X", min=0, help="Recall may fall by this.")] = 0.005,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep both sides as base.json and new.json.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Say what became slower or less accurate, and leave with status 1 if anything did.

    With --base and --new both sides are measured in turns, which noise of the machine does not fool.

    \b
    embcodec bench compare --base old/bin/python --new new/bin/python
    embcodec bench compare --base ../main/python --new python --only pq
    embcodec bench compare --base 'old/bin/pytest b.py --benchmark-json={out}' --new 'pytest b.py ...={out}'
    embcodec bench compare results/a.json results/b.json
    """
    from embcodec import bench

    tolerance = bench.Tolerance(speed=speed, accuracy=accuracy)
    if results and base is None and new is None and len(results) == 2:
        before, after = map(bench.read_run, results)
        changes = bench.compare(before, after, tolerance)
    elif base is not None and new is not None and not results:
        settings = ("--rows", str(rows), "--dims", str(dims), "--threads", str(threads))
        sides = bench.Side.parse(base, settings), bench.Side.parse(new, settings)
        found = bench.compare_sides(
            *sides, rounds=rounds, only=only or (), tolerance=tolerance, on_round=_progress
        )
        before, after, changes = found.base, found.new, found.changes
    else:
        raise ValueError("bench compare: give two stored results, or --base and --new")
    if save is not None:
        before.write(save / "base.json")
        after.write(save / "new.json")
    _print(changes, as_json)
    if any(change.is_regression for change in changes):
        raise typer.Exit(1)
    undecided = sum(change.verdict is bench.Verdict.undecided for change in changes)
    if undecided:
        needed = bench.rounds_to_decide(len(changes), tolerance, bench.are_paired(before, after))
        raise ValueError(
            f"bench compare: {undecided} benchmarks look slower, but it takes {needed} rounds to decide; "
            "measure with more --rounds, or with --base and --new"
        )


def page(
    results: Annotated[Path, typer.Argument(metavar="FOLDER", help="Results, one of each commit.")],
    out: options.Out,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Its heading.")] = "embcodec benchmarks",
) -> None:
    """Write the history of all benchmarks and a roofline as one HTML file that needs nothing else.

    \b
    embcodec bench page results/ -o benchmarks.html
    """
    from embcodec import bench

    runs = bench.read_runs(results)
    out.write_text(bench.page(runs, title), encoding="utf-8")
    print(f"{out}: {len(runs)} runs, {len(runs[-1].measurements)} benchmarks")


def serve(only: Only = None, rows: Rows = 4_096, dims: Dims = 384, threads: Threads = 1) -> None:
    """Be one side of `compare`: time what is asked for on stdin."""
    from embcodec import bench

    bench.serve(bench.find(only=only or (), rows=rows, dims=dims, threads=threads), sys.stdin, sys.stdout)


def _progress(purpose: str, i: int, rounds: int) -> None:
    print(f"{purpose}: round {i + 1} of {rounds}", file=sys.stderr)


def _print(changes: list[Change], as_json: bool) -> None:
    from embcodec.cli._output import print_json

    if as_json:
        print_json([_as_dict(change) for change in changes])
        return
    changed = [change for change in changes if change.verdict.value != "same"]
    if changed:
        _print_table(sorted(changed, key=lambda change: (not change.is_regression, change.name)))
    counts = Counter(change.verdict.value for change in changes)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()))


def _print_table(changes: list[Change]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("benchmark", "base", "new", "new / base", "interval", ""):
        words = heading in ("benchmark", "")
        table.add_column(heading, justify="left" if words else "right", no_wrap=heading != "")
    for change in changes:
        ratio = change.ratio
        table.add_row(
            escape(change.name),
            _time(change.base.median),
            _time(change.new.median) if change.new else "",
            f"{ratio.middle:.3f}" if ratio else "",
            _span(ratio) if ratio else "",
            "; ".join([change.verdict.value, *change.quality]),
            style="green" if change.verdict.value == "faster" else "bold red",
        )
    width = max(Console().width, _TABLE_WIDTH)  # a narrow terminal wraps lines; rich would cut numbers short
    Console(width=width, highlight=False).print(table)


def _span(ratio: Interval) -> str:
    return f"{ratio.low:.3f} to {ratio.high:.3f}" if ratio.is_bounded else "too few rounds"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _as_dict(change: Change) -> dict[str, object]:
    ratio = change.ratio
    return {
        "name": change.name,
        "verdict": change.verdict.value,
        "base": change.base.median,
        "new": change.new.median if change.new else None,
        "ratio": ratio.middle if ratio else None,
        "interval": [ratio.low, ratio.high] if ratio and ratio.is_bounded else None,
        "worse": list(change.quality),
    }
