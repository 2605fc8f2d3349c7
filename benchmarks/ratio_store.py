"""The results of benchmarks/ratios.py: records in a JSON file, one a line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

Key = tuple[str, int, int, str]


@dataclass(frozen=True)
class Record:
    """One line at one size, number of threads and level.

    Attributes:
        level: "best", what each library chooses; or "avx2".
        kind, goal, peer: what is asked, as `lines.Goal` has it.
        figure: what was reached, as the interval's low end, median and high end; empty without the peer.
        seconds: medians, of ours, the peers, a copy of the rows, the kernel alone.
        ratios: a peer's time over ours, as `figure`.
        quality: of the results, by name, and `measure` says of what kind.
        equals: the peers that count: whose results are as good as ours, from what ours has.
        does_less: whether our result is worse than that of the peer that the goal names.
    """

    line: str
    dims: int
    rows: int
    threads: int
    level: str
    kind: str
    goal: float
    peer: str
    figure: list[float]
    seconds: dict[str, float]
    ratios: dict[str, list[float]]
    quality: dict[str, float]
    measure: str
    equals: list[str]
    does_less: bool
    rounds: int
    isa: str
    cpu: str
    commit: str

    @property
    def key(self) -> Key:
        """What it is a measurement of."""
        return self.line, self.dims, self.threads, self.level

    @property
    def met(self) -> bool:
        """Whether the goal is reached, no equal peer is faster, and ours does not do less."""
        if not self.figure or self.does_less:
            return False
        if self.kind == "overhead":
            return self.figure[1] <= self.goal
        return self.figure[1] >= self.goal and all(self.ratios[name][1] >= 1 for name in self.equals)

    @property
    def summary(self) -> str:
        """One line about it."""
        figure = f"{self.figure[1]:.3g}" if self.figure else "no peer"
        verdict = "met" if self.met else "SHORT"
        return (
            f"{self.line} | d {self.dims} | {self.threads} threads | {self.level} | {self.kind} {figure} "
            f"of {self.goal:g} | {verdict} | {self.seconds} | {self.quality}"
        )


class Store:
    """Records in a file that is replaced whole whenever one is added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        self.records: dict[Key, Record] = {
            record.key: record for record in (Record(**row) for row in content)
        }

    def add(self, record: Record) -> None:
        """Keep a record, in place of an earlier one of the same key."""
        self.records[record.key] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        order = sorted(self.records.values(), key=lambda r: (r.level, r.threads, r.dims))
        lines = ",\n".join(json.dumps(_rounded(asdict(r)), allow_nan=False) for r in order)
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        partial.replace(self.path)


def _rounded(value: object) -> object:
    """Four digits; an infinite end of an interval as the largest float."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if isfinite(value) else 1e308
    return value
