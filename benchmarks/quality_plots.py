"""The plots of docs/quality.md, from the results of benchmarks/quality.py.

python benchmarks/quality_plots.py docs/quality.json -o docs/img
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from quality_curves import OURS, Curve, distortion_curve, families, recall_curve
from quality_data import BOUND
from quality_store import Record, Store

PROTOCOL = "half"
STYLES = {
    OURS: ("black", "o"),
    "FAISS EDEN": ("#1f77b4", "s"),
    "FAISS IVF+PQ": ("#ff7f0e", "^"),
    "FAISS IVF+RaBitQ": ("#2ca02c", "v"),
    "FAISS OPQ": ("#d62728", "D"),
    "FAISS PQ": ("#9467bd", "P"),
    "FAISS RaBitQ": ("#8c564b", "X"),
    "FAISS RQ": ("#e377c2", "<"),
    "FAISS SQ": ("#7f7f7f", ">"),
    "FAISS TurboQuant": ("#bcbd22", "*"),
    "remex": ("#17becf", "d"),
    "turbovec": ("#17607a", "h"),
}


def draw(axes: Axes, name: str, curve: Curve) -> None:
    """One family's curve."""
    ours = name == OURS
    colour, marker = STYLES.get(name, ("grey", "."))
    axes.plot(
        *zip(*curve),
        color=colour,
        marker=None if name == BOUND else marker,
        linestyle="--" if name == BOUND else "-",
        markersize=4,
        linewidth=2.2 if ours else 1.0,
        zorder=3 if ours else 2,
        label=name,
    )


def panels(records: Iterable[Record]) -> dict[tuple[str, int], list[Record]]:
    """The records of each data set under the plotted protocol."""
    result: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        if record.protocol == PROTOCOL:
            result.setdefault((record.data, record.dims), []).append(record)
    return result


def recall_plot(data: dict[tuple[str, int], list[Record]], path: Path) -> None:
    """Recall against bytes, a panel for each data set."""
    figure, grid = plt.subplots(1, len(data), figsize=(4 * len(data), 4.2), squeeze=False)
    for axes, ((name, dims), records) in zip(grid[0], data.items()):
        for family, group in families(records).items():
            draw(axes, family, recall_curve(group))
        axes.set(title=f"{name}, {dims} d", xlabel="bytes a row", xscale="log", ylim=(0.5, 1.0))
        ticks = [dims * bits / 8 for bits in (0.5, 1, 2, 4, 8)]
        axes.set_xlim(ticks[0] * 0.6, ticks[-1] * 1.25)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    grid[0][0].set_ylabel("recall@10")
    _finish(figure, path)


def distortion_plot(data: dict[tuple[str, int], list[Record]], path: Path) -> None:
    """Decibels above the rate-distortion bound against bits a dimension."""
    figure, grid = plt.subplots(1, len(data), figsize=(4 * len(data), 4.2), squeeze=False)
    for axes, ((name, dims), records) in zip(grid[0], data.items()):
        for family, group in families(records).items():
            curve = [point for point in distortion_curve(group) if point[0] <= 6.2]
            if curve:
                draw(axes, family, curve)
        axes.axhline(0, color="grey", linewidth=1, linestyle="--")
        axes.set(title=f"{name}, {dims} d", xlabel="bits a dimension", ylim=(-2, 14), xlim=(0, 6.2))
        axes.grid(alpha=0.3)
    grid[0][0].set_ylabel("dB above the Gaussian bound")
    _finish(figure, path)


def _finish(figure: Figure, path: Path) -> None:
    handles = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=6, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def main() -> None:
    """Write the plots."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/img"))
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    args = parser.parse_args()
    plt.rcParams.update({"svg.hashsalt": "embcodec", "svg.fonttype": "none", "font.size": 10})
    data = panels(Store(args.results).records.values())
    recall_plot(data, args.out / f"quality-recall.{args.format}")
    distortion_plot(data, args.out / f"quality-distortion.{args.format}")


if __name__ == "__main__":
    main()
