"""The tables of docs/quality.md, from the results of benchmarks/quality.py.

python benchmarks/quality_report.py docs/quality.json                        to the terminal
python benchmarks/quality_report.py docs/quality.json --into docs/quality.md between its markers
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from quality_curves import (
    BUDGETS,
    OURS,
    TARGETS,
    Curve,
    bytes_at,
    distortion_curve,
    excess_at,
    families,
    recall_at,
    recall_curve,
)
from quality_data import BOUND, PROTOCOLS
from quality_store import Record, Store

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"

Groups = dict[tuple[str, str], list[Record]]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its first column text and the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compared(
    records: list[Record],
    curve_of: Callable[[Sequence[Record]], Curve],
    value_at: Callable[[Curve, float], float | None],
    places: Sequence[float],
    form: str,
    best: Callable[..., float],
) -> list[list[str]]:
    """A row for each family that has a value, the best of each column in bold."""
    values = {
        name: [value_at(curve, place) for place in places]
        for name, curve in ((name, curve_of(group)) for name, group in families(records).items())
    }
    values = {name: row for name, row in values.items() if any(value is not None for value in row)}
    rows = [[f"*{name}*" if name == BOUND else name] for name in values]
    for column in range(len(places)):
        cells = [
            "—" if value is None else format(value, form)
            for value in (row[column] for row in values.values())
        ]
        known = [row[column] for name, row in values.items() if name != BOUND and row[column] is not None]
        top = format(best(known), form) if known else ""
        for name, row, cell in zip(values, rows, cells):
            row.append(f"**{cell}**" if cell == top and name != BOUND else cell)
    return rows


def needed(records: list[Record]) -> list[tuple[float | None, float | None, str]]:
    """For each target: our bytes, the least of a peer's, and whose these are."""
    curves = {name: recall_curve(group) for name, group in families(records).items()}
    result = []
    for target in TARGETS:
        ours = bytes_at(curves.get(OURS, []), target)
        peers = [
            (bytes_at(curve, target), name) for name, curve in curves.items() if name not in (OURS, BOUND)
        ]
        known = [(size, name) for size, name in peers if size is not None]
        size, name = min(known) if known else (None, "")
        result.append((ours, size, name))
    return result


def ratio_table(groups: Groups) -> str:
    """Our bytes as a share of the best peer's, for all data sets and protocols."""
    rows = []
    for (data, protocol), records in groups.items():
        cells = []
        for ours, peer, name in needed(records):
            if ours is None or peer is None:
                cells.append("—")
            else:
                cells.append(f"{ours / peer:.2f} ({ours:.0f} / {peer:.0f}, {name.removeprefix('FAISS ')})")
        rows.append([f"{data}, {protocol}", *cells])
    return table(["", *(f"recall {target:.2f}" for target in TARGETS)], rows)


def sections(groups: Groups) -> Iterator[str]:
    """The Markdown of all tables."""
    main = {key: records for key, records in groups.items() if key[1] in ("half", "self")}
    yield "### Bytes for a recall: ours / the best peer's\n\n" + ratio_table(main)
    for (data, protocol), records in groups.items():
        dims = records[0].dims
        sizes = [dims * bits / 8 for bits in BUDGETS]
        heading = f"### {data}, {dims} d, {protocol}: {PROTOCOLS[protocol]}"
        head = ["recall@10 at", *(f"{size:g} B" for size in sizes)]
        yield f"{heading}\n\n" + table(head, compared(records, recall_curve, recall_at, sizes, ".3f", max))
        if (data, protocol) not in main:
            continue
        head = ["bytes for recall", *(f"{target:.2f}" for target in TARGETS)]
        yield table(head, compared(records, recall_curve, bytes_at, TARGETS, ".0f", min))
        head = ["dB above the bound at", *(f"{bits:g} bit" for bits in BUDGETS)]
        yield table(head, compared(records, distortion_curve, excess_at, BUDGETS, ".1f", min))


def main() -> None:
    """Print the tables, or put them into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help="a page with the markers between which the tables go")
    args = parser.parse_args()
    groups: Groups = {}
    for record in Store(args.results).records.values():
        groups.setdefault((record.data, record.protocol), []).append(record)
    text = "\n\n".join(sections(groups))
    if args.into is None:
        print(text)
        return
    before, _, rest = args.into.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    args.into.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
