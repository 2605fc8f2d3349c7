"""Fitting a codec on a file, in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.codecs import Codec
from embcodec.codecs.chain import Chain
from embcodec.codecs.rows import refuse_nonfinite
from embcodec.io.base import Source
from embcodec.io.job import check_out
from embcodec.io.load import common_width, open_all
from embcodec.io.plan import Budget, plan_fit
from embcodec.io.progress import Progress, Silent

__all__ = ["check_codec_path", "fit_file"]

_MAX_ROWS = 262144
_MATRIX_COPIES = 6  # of a covariance: the sum, its terms, its eigenvectors, and the solver's work space


def check_codec_path(out: Path, x: Path, overwrite: bool) -> None:
    """Refuse a path for a codec before the fit.

    Raises:
        FileExistsError: it exists.
        FileNotFoundError: its folder does not.
        ValueError: it does not end in .safetensors, or is the input.
    """
    if out.suffix != ".safetensors":
        raise ValueError(f"{out}: the name must end in .safetensors")
    if out.resolve() == x.resolve():
        raise ValueError(f"{out}: is an input, and cannot be the output")
    check_out(out, overwrite)


def fit_file(
    x: Path,
    spec: str,
    *,
    queries: npt.NDArray[np.float32] | None = None,
    seed: int = 0,
    column: str | None = None,
    memory: int = 10**9,
    progress: Progress | None = None,
) -> Codec:
    """Fit a codec on a uniform sample of the vectors in a file or folder.

    Args:
        x: a `.npy`, `.parquet` or `.safetensors` file, or a folder of such; read once.
        spec: the codec's stages.
        queries: (nq, d), examples of what will be searched for.
        seed: fixes the sample, rotations and k-means.
        column: the column of vectors; None takes the only one.
        memory: bytes that the process may take, all included. It bounds the sample too.
        progress: is told how far the reading is.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: the spec is none, the file is damaged or does not fit it, a value is not finite (its row
            is named), or the memory is too small.
    """
    codec = Codec(spec, seed)
    sources = open_all(x, column)
    d = common_width(x, sources)
    chain = Chain(spec)
    held = _matrices_bytes(chain, d) + (0 if queries is None else 2 * queries.nbytes)
    row_bytes = max(4 * d, *(source.row_bytes for source in sources))
    batch_rows, max_rows = plan_fit(Budget(memory).holding(held), row_bytes, 4 * max(chain.dims(d)))
    progress = progress or Silent()
    progress.begin(sum(source.rows for source in sources), 4 * d)
    rows = _batches(sources, batch_rows, progress)
    return codec.fit(rows, queries=queries, max_rows=min(max_rows, _MAX_ROWS))


def _matrices_bytes(chain: Chain, d: int) -> int:
    """What is held while a transform's matrix is computed: the largest square one, in float64."""
    dims = [
        stage_d
        for stage, stage_d in zip(chain.transforms, chain.dims(d))
        if any(len(tensor.shape) == 2 for tensor in stage.layout(stage_d).values())
    ]
    return _MATRIX_COPIES * 8 * max(dims, default=0) ** 2


def _batches(sources: list[Source], batch_rows: int, progress: Progress) -> Iterator[npt.NDArray[Any]]:
    for source in sources:
        first = 0
        for batch in source.read_rows(batch_rows):
            refuse_nonfinite(str(source.path), source.column, batch, first)
            first += len(batch)
            yield batch
            progress.advance(len(batch))
