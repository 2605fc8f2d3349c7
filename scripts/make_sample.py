"""Write the bundled sample from a folder in the debian-minilm layout.

    python scripts/make_sample.py FOLDER [OUT]

The sample keeps queries 0..499, their relevant rows 0..499 and 3,596 more rows spread evenly over the rest,
so that every query has its answer among many others. The same input gives the same bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

QUERIES = 500
ROWS = 4096
DEFAULT_OUT = Path(__file__).parents[1] / "python/embcodec/data/debian-minilm-sample.safetensors"


def sample_rows(total: int) -> np.ndarray:
    """The rows kept of `total`: the queries' relevant rows first, then evenly spaced ones."""
    more = ROWS - QUERIES
    spread = QUERIES + np.arange(more) * (total - QUERIES) // more
    return np.concatenate([np.arange(QUERIES), spread])


def make_sample(folder: Path) -> bytes:
    """The safetensors bytes of the sample made from `folder`."""
    base = np.load(folder / "base.npy", mmap_mode="r")
    queries = np.load(folder / "query.npy", mmap_mode="r")
    with (folder / "docs.jsonl").open(encoding="utf-8") as lines:
        sections = np.array([json.loads(line)["section"] for line in lines])

    rows = sample_rows(len(base))
    label_names, labels = np.unique(sections[rows], return_inverse=True)
    tensors = {
        "base": np.ascontiguousarray(base[rows]),
        "queries": np.ascontiguousarray(queries[:QUERIES]),
        "relevant": np.arange(QUERIES, dtype=np.uint16),
        "labels": labels.astype(np.uint8),
    }
    # One metadata key only: safetensors writes several in an order that differs from run to run.
    return save(tensors, metadata={"label_names": json.dumps(label_names.tolist())})


if __name__ == "__main__":
    folder, *out = map(Path, sys.argv[1:])
    (out[0] if out else DEFAULT_OUT).write_bytes(make_sample(folder))
