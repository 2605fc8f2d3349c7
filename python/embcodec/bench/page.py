"""The history of benchmarks as one HTML file: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from statistics import quantiles

from embcodec.bench.charts import Line, Spot, bars, bytes_per_second, duration, history, roofline
from embcodec.bench.runs import Measurement, Run

__all__ = ["page"]

_COLOURS = 10  # that the style sheet has for groups
_SAME = 0.05  # a smaller change than this is not coloured


def page(runs: Sequence[Run], title: str) -> str:
    """The page of these runs, the last one being the newest.

    Charts hold the runs of the newest one's machine: times of others do not compare.
    """
    newest = runs[-1]
    mine = [run for run in runs if run.setting == newest.setting]
    groups = dict.fromkeys(m.group for m in newest.measurements.values())
    sections = {"roofline": _roofline(newest)}
    sections |= {group: _histories(group, mine) for group in groups}
    sections |= {"bandwidth": _bandwidth(newest)}
    shown = {name: content for name, content in sections.items() if content}
    links = "".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in shown)
    content = "".join(_section(name, content) for name, content in shown.items())
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{escape(title)}</h1>{_facts(newest, mine, len(runs))}</header>"
        f"<nav>{links}</nav><main>{content}</main></body></html>\n"
    )


def _facts(newest: Run, mine: Sequence[Run], total: int) -> str:
    machine = newest.machine
    facts = [f"{_count(len(mine), 'run')}, {newest.time[:10]}"]
    facts += [f"commit <code>{escape(newest.label)}</code>"]
    facts += [escape(str(machine[name])) for name in ("cpu", "isa") if machine.get(name)]
    if machine.get("threads"):
        facts.append(_count(machine["threads"], "thread"))
    if total > len(mine):
        facts.append(f"{_count(total - len(mine), 'run')} of other machines or settings left out")
    return f'<p class="facts">{" · ".join(facts)}</p>'


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _section(name: str, content: str) -> str:
    return f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{content}</section>'


def _colours(run: Run) -> dict[str, int]:
    """A colour for each kind of group, which is its first word: all codecs share one."""
    kinds = dict.fromkeys(_kind(m) for m in run.measurements.values())
    return {kind: i % _COLOURS for i, kind in enumerate(kinds)}


def _kind(m: Measurement) -> str:
    return m.group.partition(" ")[0]


def _roofline(run: Run) -> str:
    """What computes, as far as operations and the machine's limits are known."""
    copy, matmul, colours = run.machine.get("copy"), run.machine.get("matmul"), _colours(run)
    spots = [
        Spot(name, colours[_kind(m)], m.operations / m.bytes, m.operations / m.median)
        for name, m in run.measurements.items()
        if m.bytes and m.operations
    ]
    if not (copy and matmul and spots):
        return ""
    used = {colour: kind for kind, colour in colours.items() if colour in {spot.colour for spot in spots}}
    legend = "".join(f'<span><i class="g{i}"></i>{escape(kind)}</span>' for i, kind in used.items())
    return (
        "<p>Operations of the plain algorithm, under the bandwidth of a copy and the rate of a float32 "
        "matrix product, both of this machine. Data in a cache can rise above the slope, integers "
        "above the top.</p>"
        f'<p class="legend">{legend}</p>{roofline(spots, copy, matmul)}'
    )


def _bandwidth(run: Run) -> str:
    """What moves data: all that has bytes and no operations."""
    copy, colours = run.machine.get("copy"), _colours(run)
    rows = [
        (name, colours[_kind(m)], m.bytes / m.median)
        for name, m in run.measurements.items()
        if m.bytes and m.operations is None
    ]
    if not (copy and rows):
        return ""
    rows.sort(key=lambda row: -row[2])
    return f"<p>Bytes read and written a second, and their share of a copy's.</p>{bars(rows, copy)}"


def _histories(group: str, runs: Sequence[Run]) -> str:
    names = [name for name, m in runs[-1].measurements.items() if m.group == group]
    return f'<div class="cards">{"".join(_card(name, runs) for name in names)}</div>'


def _card(name: str, runs: Sequence[Run]) -> str:
    of_runs = [run.measurements.get(name) for run in runs]
    latest = of_runs[-1]
    assert latest is not None, "a section lists what the newest run has"
    ranges = [_quartiles(m) for m in of_runs]
    line = Line(
        values=[m.median if m else None for m in of_runs],
        lows=[r and r[0] for r in ranges],
        highs=[r and r[1] for r in ranges],
        texts=[_point(run, m) for run, m in zip(runs, of_runs, strict=True)],
    )
    facts = [f"<b>{duration(latest.median)}</b>", _change(of_runs)]
    if latest.bytes:
        facts.append(bytes_per_second(latest.bytes / latest.median))
    facts += [_quality(measure, value, of_runs) for measure, value in latest.accuracy.items()]
    facts += [_quality(measure, value, of_runs) for measure, value in latest.error.items()]
    told = "".join(f"<span>{fact}</span>" for fact in facts if fact)
    chart = history(line, [run.label for run in runs])
    return f"<figure><figcaption>{escape(name)}</figcaption><p>{told}</p>{chart}</figure>"


def _quartiles(m: Measurement | None) -> tuple[float, float] | None:
    if m is None or len(m.seconds) < 2:
        return None
    low, _, high = quantiles(m.seconds, n=4, method="inclusive")
    return low, high


def _point(run: Run, m: Measurement | None) -> str:
    if m is None:
        return ""
    measures = [f"{name} {value:.4g}" for name, value in {**m.accuracy, **m.error}.items()]
    return ", ".join([f"{run.label} {run.time[:10]}: {duration(m.median)}", *measures])


def _change(of_runs: Sequence[Measurement | None]) -> str:
    """By how much the latest time differs from that of the run before."""
    before = of_runs[-2] if len(of_runs) > 1 else None
    if before is None or of_runs[-1] is None:
        return ""
    change = of_runs[-1].median / before.median - 1
    kind = "" if abs(change) < _SAME else "worse" if change > 0 else "better"
    return f'<em class="{kind}">{change:+.1%}</em>'


def _quality(measure: str, value: float, of_runs: Sequence[Measurement | None]) -> str:
    """A measure of the result, with what it was in the run before if that differs."""
    before = of_runs[-2] if len(of_runs) > 1 else None
    was = None if before is None else {**before.accuracy, **before.error}.get(measure)
    shown = f"{escape(measure)} {value:.4g}"
    return shown if was is None or f"{was:.4g}" == f"{value:.4g}" else f"{shown} (was {was:.4g})"


def _anchor(group: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in group)
