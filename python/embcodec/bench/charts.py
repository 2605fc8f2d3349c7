"""Charts as SVG text, coloured by the CSS variables of the page around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

__all__ = ["Line", "Spot", "bars", "bytes_per_second", "duration", "history", "roofline"]

_WIDTH, _HEIGHT = 270, 96
_LEFT, _TOP, _BOTTOM = 52, 8, 18
_LEAST_SPREAD = 0.25  # a chart shows at least this share around the median, so that noise looks like noise


@dataclass(frozen=True)
class Line:
    """A value for each run (None: not measured), with the range it was seen in and the text of a point."""

    values: Sequence[float | None]
    lows: Sequence[float | None]
    highs: Sequence[float | None]
    texts: Sequence[str]


@dataclass(frozen=True)
class Spot:
    """A benchmark in the roofline."""

    name: str
    colour: int
    intensity: float  # operations a byte
    rate: float  # operations a second


def history(line: Line, labels: Sequence[str]) -> str:
    """Seconds over runs, with the range of each run's rounds."""
    known = [v for v in line.values if v is not None]
    middle = sorted(known)[len(known) // 2]
    low = min(min(known) * 0.97, middle * (1 - _LEAST_SPREAD))
    high = max(max(known) * 1.03, middle * (1 + _LEAST_SPREAD))

    def x(i: int) -> float:
        return _LEFT + 6 + (_WIDTH - _LEFT - 14) * (i / (len(labels) - 1) if len(labels) > 1 else 0.5)

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - inside) / (high - low)

    points = [(i, x(i), y(v)) for i, v in enumerate(line.values) if v is not None]
    parts = [_axis(y(v), duration(v)) for v in (low, middle, high)]
    for i, px, _ in points:
        bottom, top = line.lows[i], line.highs[i]
        if bottom is not None and top is not None:  # of one round there is no range
            between = f'y1="{y(bottom):.1f}" y2="{y(top):.1f}"'
            parts.append(f'<line class="range" x1="{px:.1f}" x2="{px:.1f}" {between}/>')
    path = " ".join(f"{px:.1f},{py:.1f}" for _, px, py in points)
    parts.append(f'<polyline class="line" points="{path}"/>')
    parts += [
        f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="3">'
        f"<title>{escape(line.texts[i])}</title></circle>"
        for i, px, py in points
    ]
    ends = [(labels[0], "start", _LEFT), (labels[-1], "end", _WIDTH - 4)] if len(labels) > 1 else []
    parts += [
        f'<text class="tick" x="{at}" y="{_HEIGHT - 4}" text-anchor="{anchor}">{escape(text)}</text>'
        for text, anchor, at in ends
    ]
    return _svg(_WIDTH, _HEIGHT, "".join(parts), "seconds of each run")


def _axis(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 4}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
    )


def roofline(spots: Sequence[Spot], bandwidth: float, peak: float) -> str:
    """Operations a second over operations a byte, under what copying and multiplying matrices reach."""
    width, height, left, right, bottom, top = 900, 460, 74, 28, 44, 14
    x_low, x_high = _decades([s.intensity for s in spots] + [peak / bandwidth])
    y_low, y_high = _decades([s.rate for s in spots] + [peak])

    def x(intensity: float) -> float:
        return left + (width - left - right) * (log10(intensity) - x_low) / (x_high - x_low)

    def y(rate: float) -> float:
        return top + (height - top - bottom) * (y_high - log10(rate)) / (y_high - y_low)

    parts = []
    for decade in range(y_low, y_high + 1):
        at = y(10.0**decade)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(left - 8, at + 4, f"{_si(10.0**decade)}op/s", "end"))
    for decade in range(x_low, x_high + 1):
        at = x(10.0**decade)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{height - bottom}"/>')
        parts.append(_text(at, height - bottom + 18, f"{10.0**decade:g}", "middle"))
    parts.append(_text((left + width) / 2, height - 6, "operations a byte", "middle"))
    ridge = peak / bandwidth
    start = max(10.0**x_low, 10.0**y_low / bandwidth)
    roof = [(start, start * bandwidth), (ridge, peak), (10.0**x_high, peak)]
    corners = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in roof)
    parts.append(f'<polyline class="roof" points="{corners}"/>')
    parts += [
        f'<circle class="g{s.colour}" cx="{x(s.intensity):.1f}" cy="{y(s.rate):.1f}" r="5">'
        f"<title>{escape(s.name)}: {_si(s.rate)}op/s at {s.intensity:.3g} op/byte</title></circle>"
        for s in spots
    ]
    parts.append(_text(x(10.0**x_high) - 4, y(peak) - 7, f"matrix product {_si(peak)}op/s", "end"))
    slope = (start * ridge) ** 0.5
    parts.append(_text(x(slope) - 8, y(slope * bandwidth) - 6, f"copy {bytes_per_second(bandwidth)}", "end"))
    return _svg(width, height, "".join(parts), "roofline")


def bars(rows: Sequence[tuple[str, int, float]], bandwidth: float) -> str:
    """Bytes a second of benchmarks (name, colour, value), beside those of a copy."""
    width, row, left, top = 900, 20, 250, 24
    longest = max([value for _, _, value in rows] + [bandwidth])
    scale = (width - left - 120) / longest
    height = top + row * len(rows) + 6
    parts = []
    for i, (name, colour, value) in enumerate(rows):
        y = top + row * i
        parts.append(_text(left - 8, y + 14, name, "end"))
        parts.append(
            f'<rect class="g{colour}" x="{left}" y="{y + 3}" width="{value * scale:.1f}" height="{row - 6}"/>'
        )
        text = f"{bytes_per_second(value)}, {value / bandwidth:.0%}"
        parts.append(_text(left + value * scale + 6, y + 14, text, "start"))
    at = left + bandwidth * scale
    parts.append(f'<line class="roof" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 4}" y2="{height}"/>')
    parts.append(_text(at, top - 9, f"copy {bytes_per_second(bandwidth)}", "middle"))
    return _svg(width, height, "".join(parts), "bytes a second")


def _svg(width: int, height: int, content: str, label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{content}</svg>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Powers of ten around all values."""
    low, high = floor(log10(min(values))), ceil(log10(max(values)) + 1e-9)
    return low, max(high, low + 1)


def duration(seconds: float) -> str:
    """Three digits, with a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 0.9995:
            return (
                f"{seconds * scale:.3g} {unit}"
                if seconds * scale < 999.5
                else f"{seconds * scale:.0f} {unit}"
            )
    return f"{seconds * 1e9:.3g} ns"


def bytes_per_second(rate: float) -> str:
    """Gigabytes a second."""
    return f"{rate / 1e9:.3g} GB/s"


def _si(value: float) -> str:
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale * 0.9995:
            return f"{value / scale:.3g} {prefix}"
    return f"{value:.3g} "
