"""What a measurement depends on besides the code: the processor, its bandwidth, the commit."""

from __future__ import annotations

import platform
import subprocess
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from embcodec._threads import get_isa, get_num_threads
from embcodec.bench.timing import least_seconds

__all__ = ["commit_of", "copy_bandwidth", "cpu_name", "describe", "matmul_rate"]

_COPIED = (100_000, 384)  # float32: beyond what caches hold
_SQUARE = 1024


def describe() -> dict[str, Any]:
    """What tells this machine from others, and what it can do."""
    return {
        "cpu": cpu_name(),
        "isa": get_isa(),
        "threads": get_num_threads(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "copy": copy_bandwidth(),
        "matmul": matmul_rate(),
    }


@cache
def cpu_name() -> str:
    """The processor's own name for itself."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


@cache
def copy_bandwidth(shape: tuple[int, int] = _COPIED) -> float:
    """Bytes a second, read plus written, of one thread that copies an array of float32."""
    source = np.ones(shape, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / least_seconds(lambda: np.copyto(target, source), samples=10)


@cache
def matmul_rate() -> float:
    """Additions and multiplications a second of NumPy's float32 matrix product, with the threads it has."""
    a = np.ones((_SQUARE, _SQUARE), np.float32)
    return 2 * _SQUARE**3 / least_seconds(lambda: a @ a)


def commit_of(folder: Path) -> tuple[str, str]:
    """The commit that is checked out there, with + where files differ from it, and its time.

    Where there is none: "unknown" and now.
    """
    try:
        commit, seconds = _git(folder, "log", "-1", "--format=%H %ct").split()
        dirty = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "unknown", datetime.now(timezone.utc).isoformat(timespec="seconds")
    time = datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()
    return commit[:9] + ("+" if dirty else ""), time


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
