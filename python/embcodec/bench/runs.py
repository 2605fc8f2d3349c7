"""What a run of benchmarks found: a JSON file for each commit, ours or pytest-benchmark's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["Measurement", "Run", "read_run", "read_runs"]

FORMAT = 1


@dataclass(frozen=True)
class Measurement:
    """What one benchmark found.

    Attributes:
        group: the benchmarks that are shown together: a family of kernels, a codec.
        seconds: of one call, a number for each round.
        bytes: read and written by a call; None if not known.
        operations: additions and multiplications of a call, of the plain algorithm; None if not known.
        accuracy: measures of the result by name, of which more is better.
        error: measures of the result by name, of which less is better.
    """

    group: str
    seconds: list[float]
    bytes: int | None = None
    operations: int | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median of the rounds, in seconds."""
        return median(self.seconds)


@dataclass(frozen=True)
class Run:
    """The measurements of one commit on one machine.

    Attributes:
        commit: its hash, or another name of what was measured.
        time: when it was committed, ISO 8601; runs are put in this order.
        machine: cpu, isa, threads; rows and dims; copy (bytes/s) and matmul (operations/s).
        measurements: by the benchmark's name.
        rounds_of: names the interleaved rounds that this run is one side of; "" for a run by itself.
    """

    commit: str
    time: str
    machine: dict[str, Any]
    measurements: dict[str, Measurement]
    rounds_of: str = ""

    @property
    def label(self) -> str:
        """The commit as people write it."""
        return self.commit[:10] or "unknown"

    @property
    def setting(self) -> dict[str, Any]:
        """What must be the same in runs whose times are put side by side."""
        return {name: self.machine.get(name) for name in ("cpu", "isa", "threads", "rows", "dims")}

    def write(self, path: Path) -> Path:
        """Write a file, or one named by the commit into a folder; where it went."""
        if path.suffix != ".json":
            path = path / f"{self.time[:19].replace(':', '')}-{self.label}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"format": FORMAT, **asdict(self)}, indent=1, allow_nan=False)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(content + "\n", encoding="utf-8")
        return partial.replace(path)


def read_runs(folder: Path) -> list[Run]:
    """All runs in a folder, the earliest first.

    Raises:
        ValueError: there are none, or a file is something else.
    """
    runs = [read_run(path) for path in sorted(folder.glob("*.json"))]
    if not runs:
        raise ValueError(f"{folder}: no .json files")
    return sorted(runs, key=lambda run: _moment(run.time))


def _moment(time: str) -> datetime:
    moment = datetime.fromisoformat(time.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def read_run(path: Path) -> Run:
    """A run that `Run.write` or `pytest --benchmark-json` wrote.

    A file of pytest-benchmark's is one round, of which the least time counts: its samples follow each other
    closely, so what disturbs one disturbs all. Of `extra_info` it takes bytes, operations, accuracy and
    error, with the meaning they have in a `Measurement`, and isa, threads, copy and matmul of the machine.

    Raises:
        ValueError: it is something else.
    """
    content = path.read_text(encoding="utf-8")
    try:
        data = json.loads(content)
        return _pytest_benchmark(data) if "commit_info" in data else _ours(data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a result of benchmarks ({error})") from error


def _ours(data: Mapping[str, Any]) -> Run:
    rest = dict(data)
    if rest.pop("format") != FORMAT:
        raise ValueError(f"format {data['format']}, expected {FORMAT}")
    measurements = {name: Measurement(**values) for name, values in rest.pop("measurements").items()}
    return Run(**rest, measurements=measurements)


def _pytest_benchmark(data: Mapping[str, Any]) -> Run:
    commit, machine = data["commit_info"], data["machine_info"]
    cpu = machine.get("cpu", {}).get("brand_raw") or machine.get("processor", "")
    found = {entry["fullname"]: entry for entry in data["benchmarks"]}
    return Run(
        commit=str(commit.get("id") or "unknown"),
        time=str(commit.get("time") or data["datetime"]),
        machine={"cpu": cpu, **_shared([entry.get("extra_info", {}) for entry in found.values()])},
        measurements={name: _entry(entry) for name, entry in found.items()},
    )


def _entry(entry: Mapping[str, Any]) -> Measurement:
    stats, extra = entry["stats"], entry.get("extra_info", {})
    return Measurement(
        group=entry.get("group") or entry["fullname"].partition("::")[0],
        seconds=[stats["min"]],
        **{name: extra[name] for name in ("bytes", "operations", "accuracy", "error") if name in extra},
    )


def _shared(extras: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What is known of the machine: where every benchmark says the same."""
    first = extras[0] if extras else {}
    return {
        name: first[name]
        for name in ("isa", "threads", "copy", "matmul")
        if name in first and all(extra.get(name) == first[name] for extra in extras)
    }
