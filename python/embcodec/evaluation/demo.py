"""The main job on the bundled sample: eighteen codecs from the finest to the smallest, side by side."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group
from rich.text import Text

from embcodec.data import load_sample
from embcodec.evaluation.protocol import evaluate
from embcodec.evaluation.report import LEGEND, table, verdict
from embcodec.evaluation.result import Result

__all__ = ["DEMO_SPECS", "demo", "report"]

DEMO_SPECS = (
    "F16",
    "SQ8",
    "SQ6",
    "PCA256,SQ6",
    "SQ4",
    "MRL192,SQ8",
    "TCQ128B",
    "PCA128,SQ8",
    "Top32",
    "TCQ96B",
    "PQ48x8",
    "RQ3x8,TCQ45B",
    "TCQ48B",
    "PQ96x4",
    "Binary",
    "RQ3x8,TCQ21B",
    "TCQ24B",
    "PQ24x8",
)
"""Each kind of codec at the sizes where it is used; between them 768 to 24 bytes a row."""


def demo(threads: int | None = None, on_result: Callable[[Result], None] | None = None) -> list[Result]:
    """Evaluate `DEMO_SPECS` on the bundled sample: 4,096 sentence embeddings, 500 held-out queries.

    Args:
        threads: as for `evaluate`.
        on_result: as for `evaluate`.
    """
    sample = load_sample()
    return evaluate(
        DEMO_SPECS,
        sample.base,
        sample.queries,
        relevant=sample.relevant,
        labels=sample.labels,
        threads=threads,
        on_result=on_result,
    )


def report(results: list[Result]) -> Group:
    """The results for a terminal: the table, what its signs mean, and what to choose."""
    return Group(table(results), Text(LEGEND, style="dim"), Text("\n" + "\n".join(verdict(results))))
