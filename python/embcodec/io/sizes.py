"""Amounts of memory, as people write them."""

from __future__ import annotations

import re

__all__ = ["format_size", "parse_size"]

_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?")
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes in `text`: "500MB" and "1.5G" count in thousands, "2GiB" in 1024s, "4096" in bytes.

    Raises:
        ValueError: the text has another form.
    """
    match = _FORM.fullmatch(text.strip().upper())
    if match is None:
        raise ValueError(f"a size must look like 500MB, 2GB or 1GiB, got {text!r}")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit])


def format_size(size: float) -> str:
    """Bytes for reading: 999 B, 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
