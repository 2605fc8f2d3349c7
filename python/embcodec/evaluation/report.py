"""Results as a table that fits 100 columns, and as sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from embcodec.evaluation.result import EXACT, Result

__all__ = ["LEGEND", "best_choices", "table", "verdict"]

LEGEND = (
    "* No codec here keeps more recall at as few bytes.\n"
    "M/s: million rows a second; a scan scores each row once a query. KiB: the saved codec, paid once."
)


@dataclass(frozen=True)
class _Column:
    """A header of two lines and how a result is written under it; "" where it was not measured."""

    header: str
    cell: Callable[[Result], str]


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _small(value: float) -> str:
    """Three decimals hide what the finest codecs lose, so small values are written as powers of ten."""
    return "0" if value == 0 else f"{value:.3f}" if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")


def _millions(rate: float | None) -> str:
    if rate is None:
        return ""
    millions = rate / 1e6
    return f"{millions:.0f}" if millions >= 100 else f"{millions:.2g}" if millions < 10 else f"{millions:.1f}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


def _kibibytes(size: int) -> str:
    return "" if size == 0 else f"{size / 1024:.0f}"


def table(results: Sequence[Result]) -> Table:
    """A rich table of the results, the most bytes first, at most 100 columns wide.

    A star and bold type mark the codecs worth choosing among: `best_choices`. Measures that no result has
    (MRR without relevant rows, label accuracy without labels) have no column.
    """
    by_size = sorted(results, key=lambda result: (result.spec != EXACT, -result.code_size, -result.recall))
    best = {id(result) for result in best_choices(results)}
    k = results[0].k if results else 10
    columns = [
        _Column("bytes\na row", lambda r: str(r.code_size)),
        _Column("\nratio", lambda r: f"{r.ratio:.1f}"),
        _Column(f"recall\n@{k}", lambda r: _share(r.recall)),
        _Column("cosine\nerror", lambda r: _small(r.cosine_error)),
        _Column("score\ncorr.", lambda r: _share(r.score_correlation)),
        _Column("MRR\n@10", lambda r: _share(r.mrr)),
        _Column("label\nacc.", lambda r: _share(r.label_accuracy)),
        _Column("fit\ns", lambda r: _seconds(r.fit_seconds)),
        _Column("encode\nM/s", lambda r: _millions(r.encode_rate)),
        _Column("decode\nM/s", lambda r: _millions(r.decode_rate)),
        _Column("scan\nM/s", lambda r: _millions(r.scan_rate)),
        _Column("codec\nKiB", lambda r: _kibibytes(r.codec_bytes)),
    ]
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    grid.add_column(
        "\ncodec",
        no_wrap=True,
        min_width=min(15, max((len(result.spec) + 2 for result in by_size), default=0)),
    )
    shown = [column for column in columns if any(column.cell(result) for result in results)]
    for column in shown:
        grid.add_column(column.header, justify="right", no_wrap=True)
    for result in by_size:
        star = " *" if id(result) in best else ""
        cells = [column.cell(result) for column in shown]
        grid.add_row(result.spec + star, *cells, style="bold" if star else "")
    return grid


def best_choices(results: Sequence[Result]) -> list[Result]:
    """The codecs that no other beats: none of as few bytes keeps more recall, fewest bytes first.

    Of codecs with the same bytes and recall, the first listed is kept; uncompressed vectors do not take part.
    """
    best: list[Result] = []
    coded = (result for result in results if result.spec != EXACT)
    for result in sorted(coded, key=lambda result: (result.code_size, -result.recall)):
        if not best or result.recall > best[-1].recall:
            best.append(result)
    return best


def verdict(results: Sequence[Result], recalls: Sequence[float] = (0.95, 0.90)) -> list[str]:
    """A sentence for each recall asked for: which codec keeps it at the fewest bytes."""
    best = best_choices(results)
    return [_sentence(best, recall) for recall in recalls]


def _sentence(best: Sequence[Result], recall: float) -> str:
    found = next((result for result in best if result.recall >= recall), None)
    if found is None:
        return f"None of these codecs keeps recall >= {recall:g}."
    return (
        f"{found.spec} keeps recall@{found.k} >= {recall:g} at the fewest bytes: "
        f"{found.code_size} a row ({found.ratio:.1f}x smaller), recall {found.recall:.3f}."
    )
