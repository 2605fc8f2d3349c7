"""What a search found, as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from embcodec.io.job import check_out, replacing
from embcodec.io.search import Answers

__all__ = ["check_answers_path", "write_answers"]


def check_answers_path(out: Path, overwrite: bool) -> None:
    """Refuse a path before the search that is to be written there.

    Raises:
        FileExistsError: it exists.
        FileNotFoundError: its folder does not.
        ValueError: it ends neither in .parquet nor in .safetensors.
    """
    if out.suffix not in (".parquet", ".safetensors"):
        raise ValueError(f"{out}: the name must end in .parquet or .safetensors")
    check_out(out, overwrite)


def write_answers(answers: Answers, out: Path) -> None:
    """Write answers, whole or not at all.

    In Parquet a row is a hit: query and rank from 0, id, the row's name if it was asked for, score. In
    safetensors there are the tensors `ids` and `scores` (nq, k).
    """
    nq, k = answers.ids.shape
    with replacing(out) as temporary:
        if out.suffix == ".safetensors":
            save_file({"ids": answers.ids, "scores": answers.scores}, temporary)
            return
        columns = {
            "query": np.repeat(np.arange(nq), k),
            "rank": np.tile(np.arange(k, dtype=np.int32), nq),
            "id": answers.ids.ravel(),
            **({} if answers.names is None else {"name": answers.names}),
            "score": answers.scores.ravel(),
        }
        pq.write_table(pa.table(columns), temporary, write_page_checksum=True)
