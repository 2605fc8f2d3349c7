"""Real embeddings with labels and relevance: a bundled sample, and a reader for more of the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

__all__ = ["Sample", "load_folder", "load_sample"]

_SAMPLE = "debian-minilm-sample.safetensors"


@dataclass(frozen=True)
class Sample:
    """Embeddings to compress, queries to search them with, and what a good answer is.

    Attributes:
        base: (n, d) float32, the rows to compress.
        queries: (nq, d) float32, not among the rows.
        relevant: (nq,) int64, the one row that answers each query.
        labels: (n,) int64, the class of each row, an index into `label_names`.
        label_names: the classes' names.
    """

    base: npt.NDArray[np.float32]
    queries: npt.NDArray[np.float32]
    relevant: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    label_names: tuple[str, ...]


def load_sample() -> Sample:
    """The bundled sample: 4,096 rows and 500 queries of 384 dimensions (all-MiniLM-L6-v2, unit length).

    The rows embed the long descriptions of Debian packages, the queries one-line synopses; a query's relevant
    row is the description of its own package, a label the package's section.
    """
    with as_file(files(__name__) / _SAMPLE) as path, safe_open(path, framework="numpy") as file:
        return Sample(
            base=file.get_tensor("base").astype(np.float32),
            queries=file.get_tensor("queries").astype(np.float32),
            relevant=file.get_tensor("relevant").astype(np.int64),
            labels=file.get_tensor("labels").astype(np.int64),
            label_names=tuple(json.loads(file.metadata()["label_names"])),
        )


def load_folder(path: str | Path) -> Sample:
    """Read a folder of the layout that the sample was made from.

    Args:
        path: a folder with `base.npy` (n, d) and `query.npy` (nq, d), float16 or float32, nq <= n, and
            `docs.jsonl`, a JSON object a line with the row's class as `section`. Query i's relevant row is
            row i.

    Raises:
        FileNotFoundError: one of the three files is missing.
        ValueError: their shapes, dtypes or lengths do not fit together.
    """
    folder = Path(path)
    base, queries = (_load_matrix(folder / name) for name in ("base.npy", "query.npy"))
    if queries.shape[1] != base.shape[1] or len(queries) > len(base):
        raise ValueError(f"load_folder: base.npy is {base.shape}, but query.npy is {queries.shape}")
    sections = _load_sections(folder / "docs.jsonl")
    if len(sections) != len(base):
        raise ValueError(f"load_folder: base.npy has {len(base)} rows, but docs.jsonl has {len(sections)}")
    label_names, labels = np.unique(np.array(sections, dtype=np.str_), return_inverse=True)
    return Sample(
        base=base,
        queries=queries,
        relevant=np.arange(len(queries), dtype=np.int64),
        labels=labels.astype(np.int64),
        label_names=tuple(label_names.tolist()),
    )


def _load_matrix(path: Path) -> npt.NDArray[np.float32]:
    array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    if array.ndim != 2 or array.dtype not in (np.float16, np.float32):
        raise ValueError(
            f"load_folder: {path.name} must be 2-d float16 or float32, got {array.ndim}-d {array.dtype}"
        )
    return array.astype(np.float32)


def _load_sections(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        try:
            return [str(json.loads(line)["section"]) for line in lines]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"load_folder: every line of {path.name} must be a JSON object with a section"
            ) from error
