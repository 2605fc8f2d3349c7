"""The codecs that benchmarks/quality.py compares: ours, and each peer that is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from .base import Decoding, Peer, Setting

__all__ = ["Decoding", "Peer", "Setting", "peer_settings"]

# package, the module here that measures it, its function
_PEERS = (
    ("turbovec", "turboquant", "turbovec_settings"),
    ("remex", "turboquant", "remex_settings"),
    ("faiss", "faiss_codecs", "settings"),
)


def peer_settings(d: int) -> Iterator[Setting]:
    """The settings of all peers for d dimensions; says which are not installed."""
    for package, module, function in _PEERS:
        if find_spec(package) is None:
            print(f"skipped: {package} is not installed", file=sys.stderr)
        else:
            yield from getattr(import_module(f".{module}", __name__), function)(d)
