"""The lines of the table of goals."""

from __future__ import annotations

from . import calls, codebooks, rows, scans
from .base import FAISS, OURS, Contest, Data, Goal, Line

__all__ = ["FAISS", "LINES", "OURS", "Contest", "Data", "Goal", "Line"]

LINES = (*rows.LINES, *scans.LINES, *codebooks.LINES, *calls.LINES)
