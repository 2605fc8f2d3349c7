"""Searching files of codes: streamed in batches, the best rows kept across batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embcodec.codecs import Codec, load
from embcodec.codecs.scan import best
from embcodec.io.base import Source
from embcodec.io.conversion import check_codes
from embcodec.io.formats import find_files, open_source
from embcodec.io.plan import Budget, plan_batch
from embcodec.io.progress import Progress, Silent

__all__ = ["Answers", "search_file"]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_QUERY_BLOCK = 256  # so that lookup tables stay small however many queries there are
_BATCH_BYTES = 64 << 20
_HIT_COPIES = 6  # of the best rows so far: as held, joined with a batch's, sorted, and as Arrow columns


@dataclass(frozen=True)
class Answers:
    """The k best rows for each query.

    Attributes:
        scores: float32 (nq, k), descending.
        ids: int64 (nq, k), row numbers, counted through all files in the order of their names.
        names: what a column has in these rows, nq * k values, query after query; None if not asked for.
    """

    scores: F32
    ids: I64
    names: pa.ChunkedArray | None


def search_file(
    codes: Path,
    codec: Path,
    queries: F32,
    *,
    k: int = 10,
    metric: str = "ip",
    k_factor: int | None = None,
    id_column: str | None = None,
    memory: int = 10**9,
    progress: Progress | None = None,
) -> Answers:
    """The k rows of a file or folder of codes that score best with each query.

    Args:
        codes: a file of codes, or a folder of such.
        codec: the file of the codec that wrote them.
        queries: (nq, d).
        k: 1 <= k <= n.
        metric: "ip", "l2" (the score is minus the squared distance) or "cosine".
        k_factor: see `Codec.k_factor`; each batch of rows has a first pass of its own.
        id_column: a column of the codes' Parquet files that names the rows.
        memory: bytes that the process may take, all included.
        progress: is told how far the search is.

    Raises:
        FileNotFoundError: an input is missing.
        ValueError: the codes are another codec's or damaged, k is larger than n, there is no such column, the
            queries do not fit, the codes have no first part for k_factor, or the memory is too small.
    """
    loaded = load(codec)
    loaded.k_factor = k_factor
    sources = _open_codes(codes, loaded, id_column)
    rows = sum(source.rows for source in sources)
    if not 1 <= k <= rows:
        raise ValueError(f"{codes}: k must be in 1..{rows}, the number of rows, got {k}")
    held = 2 * queries.nbytes + _HIT_COPIES * len(queries) * k * 12
    held += 2 * min(len(queries), _QUERY_BLOCK) * min(k * (k_factor or 0), rows) * 12  # of a first pass
    batch_rows = plan_batch(Budget(memory).holding_codec(codec).holding(held), 4 * loaded.d, _BATCH_BYTES)
    progress = progress or Silent()
    progress.begin(rows, loaded.code_size)
    scores, ids = _scan(sources, loaded, queries, k, metric, batch_rows, progress)
    names = None if id_column is None else _look_up(sources, id_column, ids.ravel(), batch_rows)
    return Answers(scores, ids, names)


def _open_codes(path: Path, codec: Codec, id_column: str | None) -> list[Source]:
    sources = [open_source(file, "codes") for file in find_files(path)]
    for source in sources:
        check_codes(source, codec)
        if id_column is not None and id_column not in source.carried:
            raise ValueError(f"{source.path}: no column {id_column!r} beside the codes")
    return sources


def _scan(
    sources: list[Source],
    codec: Codec,
    queries: F32,
    k: int,
    metric: str,
    batch_rows: int,
    progress: Progress,
) -> tuple[F32, I64]:
    scores = np.full((len(queries), k), -np.inf, np.float32)
    ids = np.full((len(queries), k), -1, np.int64)
    first = 0
    for batch in (batch for source in sources for batch in source.read_rows(batch_rows)):
        for start in range(0, len(queries), _QUERY_BLOCK):
            block = slice(start, start + _QUERY_BLOCK)
            found, at = codec.search(batch, queries[block], min(k, len(batch)), metric)
            joined = np.concatenate([scores[block], found], 1), np.concatenate([ids[block], at + first], 1)
            scores[block], ids[block] = best(*joined, k)
        first += len(batch)
        progress.advance(len(batch))
    return scores, ids


def _look_up(sources: list[Source], column: str, ids: I64, batch_rows: int) -> pa.ChunkedArray:
    """The values of a column in these rows, by a second pass over that column."""
    wanted, place = np.unique(ids, return_inverse=True)
    found: list[pa.Array] = []
    first = 0
    for source in sources:
        for batch in source.read(0, batch_rows, [column]):
            low, high = np.searchsorted(wanted, (first, first + batch.num_rows))
            found.append(batch.column(0).take(pa.array(wanted[low:high] - first)))
            first += batch.num_rows
    return pa.chunked_array(found).take(pa.array(place))
