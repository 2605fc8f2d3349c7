"""Results on stdout: lines for people, JSON for machines."""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["peak_memory", "print_facts", "print_json"]


def print_json(value: Any) -> None:
    """One JSON value on one line."""
    print(json.dumps(value, allow_nan=False, default=str))


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """A heading and a list of what is known."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(name, value)
    console = Console(highlight=False)
    console.print(title, style="bold", markup=False)
    console.print(grid)


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
