"""Writes the tables of a page from what benchmarks/ratios.py measured.

    python benchmarks/ratio_report.py docs/performance.json docs/performance.md

Replaces what stands between the page's two markers, and leaves the rest alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ratio_store import Record, Store

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_LEVELS = {
    "best": "what each library chooses",
    "avx2": "AVX2, ours and FAISS's: no line below FAISS",
}


def main() -> None:
    results, page = map(Path, sys.argv[1:])
    records = list(Store(results).records.values())
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"{page}: no markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{tables(records)}\n\n{END}{after}", encoding="utf-8")


def tables(records: Sequence[Record]) -> str:
    """Markdown of all records."""
    parts = [_machine(records)]
    for level, meaning in _LEVELS.items():
        for threads in sorted({r.threads for r in records if r.level == level}):
            some = [r for r in records if (r.level, r.threads) == (level, threads)]
            heading = f"### {meaning[0].upper()}{meaning[1:]}, {threads} thread{'s' if threads > 1 else ''}"
            met = f"{sum(r.met for r in some)} of {len(some)} goals met. {_commits(some)}"
            parts += [heading, met, "\n".join(_goals(some)), _details(some)]
    return "\n\n".join(parts)


def _machine(records: Sequence[Record]) -> str:
    cpus = sorted({r.cpu for r in records})
    rows = ", ".join(f"{n:,}" for n in sorted({r.rows for r in records}))
    return f"Measured with {rows} rows on: {'; '.join(cpus)}."


def _commits(records: Sequence[Record]) -> str:
    """The levels and commits that lines were measured at, those of most lines first."""
    counts = Counter(f"{r.isa} {r.commit}" for r in records)
    return "Lines measured at " + ", ".join(f"{at}: {n}" for at, n in counts.most_common()) + "."


def _goals(records: Sequence[Record]) -> Iterator[str]:
    """A row for each line, a column for each d."""
    dims = sorted({r.dims for r in records})
    yield "| operation | goal | " + " | ".join(f"d = {d}" for d in dims) + " |"
    yield "| --- " * (2 + len(dims)) + "|"
    for line in dict.fromkeys(r.line for r in records):
        of_line = {r.dims: r for r in records if r.line == line}
        first = next(iter(of_line.values()))
        cells = [_reached(of_line[d]) if d in of_line else "" for d in dims]
        yield f"| {line} | {_goal(first)} | {' | '.join(cells)} |"


def _goal(record: Record) -> str:
    if record.kind == "ratio":
        return f"{record.goal:g} x {record.peer}"
    return f"{'at most ' if record.kind == 'overhead' else ''}{_figure(record.kind, record.goal)}"


def _figure(kind: str, value: float) -> str:
    """A figure in its goal's unit."""
    if kind == "ratio":
        return f"{value:.2f} x" if value < 10 else f"{value:.0f} x"
    if kind == "share":
        return f"{value:.2f} of copy"
    if kind == "overhead":
        return f"{value * 1e6:.1f} us"
    million = value >= 1e6
    return f"{value / (1e6 if million else 1e3):.0f} {'M' if million else 'thousand '}rows/s a core"


def _reached(record: Record) -> str:
    """The figure; where the goal is missed, by how much."""
    if not record.figure:
        return f"{record.peer} is not installed"
    figure = _figure(record.kind, record.figure[1])
    text = f"**{figure}**" if record.met else f"{figure}: {'; '.join(_missed(record))}"
    return "; ".join([text, *_faster_uncounted(record)])


def _faster_uncounted(record: Record) -> Iterator[str]:
    """Peers that are faster and do not count."""
    for name, (_, ratio, _) in record.ratios.items():
        if name not in record.equals and ratio < 1:
            yield f"{name}, which does not count, is {1 / ratio:.1f} x faster"


def _missed(record: Record) -> Iterator[str]:
    reached = record.figure[1]
    if record.kind == "overhead":
        yield f"{(reached - record.goal) * 1e6:.1f} us over"
        return
    if reached < record.goal:
        yield f"{1 - reached / record.goal:.0%} short"
    for name in record.equals:
        if record.ratios[name][1] < 1:
            yield f"{name} is {1 / record.ratios[name][1]:.1f} x faster"
    if record.does_less:
        ours, theirs = record.quality["embcodec"], record.quality[record.peer]
        yield f"{record.measure} {ours:g}, {record.peer} {theirs:g}"


def _details(records: Sequence[Record]) -> str:
    """Times, intervals and what results are worth, folded away."""
    rows = [
        "| operation | d | embcodec | others: time, ratio (interval) | result |",
        "| --- | --- | --- | --- | --- |",
    ]
    for r in records:
        others = [f"{name} {_time(r.seconds[name])}, {_span(r.ratios[name])}" for name in r.ratios]
        others += [f"{name} {_time(r.seconds[name])}" for name in ("copy", "kernel") if name in r.seconds]
        result = ", ".join(f"{name} {value:g}" for name, value in r.quality.items())
        judged = f"{r.measure}: {result}" if result else ""
        rows.append(
            f"| {r.line} | {r.dims} | {_time(r.seconds['embcodec'])} | {'; '.join(others)} | {judged} |"
        )
    return "<details><summary>Times and results</summary>\n\n" + "\n".join(rows) + "\n\n</details>"


def _span(ratio: list[float]) -> str:
    low, middle, high = ratio
    known = low > 0 and high < 1e308
    return f"{middle:.2f} x" + (f" ({low:.2f} to {high:.2f})" if known else "")


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds * 1e3:,.0f} ms"


if __name__ == "__main__":
    main()
