"""Results on stdout: lines for people, JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["peak_memory", "print_facts", "print_json"]


def print_json(value: Any) -> None:
    """One JSON value on one line."""
    print(json.dumps(value, allow_nan=False, default=str))


def print_facts(title: str, facts: Mapping[str, str]) -> None:
    """A heading and a list of what is known."""
    print(title)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"  {name:<{width}}  {value}")


def peak_memory() -> int:
    """The most bytes that this process has had in memory.

    From /proc, because what getrusage says includes the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
