"""Encoding and decoding files: streamed, whole or nothing, and on from where it stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

import embcodec
from embcodec.codecs import load
from embcodec.io.conversion import Conversion, Decoding, Device, Encoding
from embcodec.io.formats import find_files, open_source
from embcodec.io.job import is_unfinished, open_job, sweep
from embcodec.io.plan import Budget, plan_chunks
from embcodec.io.progress import Progress, Silent
from embcodec.io.task import FileTask

__all__ = ["Handling", "Summary", "decode_file", "encode_file"]


@dataclass(frozen=True)
class Handling:
    """How a job treats memory, and what it finds in its way.

    Attributes:
        memory: bytes that the process may take, all included.
        resume: go on with an interrupted job; begin one if there is none.
        overwrite: replace what exists.
        progress: is told how far the job is.
    """

    memory: int = 10**9
    resume: bool = False
    overwrite: bool = False
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True)
class Summary:
    """What a job did.

    Attributes:
        out: the file or folder that it wrote.
        files: how many files.
        rows: how many rows, of all files.
        bytes_read: of the vectors or codes, uncompressed.
        bytes_written: of the codes or vectors.
        seconds: how long it took.
        left_out: columns that the format of `out` has no place for.
    """

    out: Path
    files: int
    rows: int
    bytes_read: int
    bytes_written: int
    seconds: float
    left_out: list[str]


def encode_file(
    x: Path,
    codec: Path,
    out: Path,
    *,
    column: str | None = None,
    device: Device = "cpu",
    handling: Handling = Handling(),
) -> Summary:
    """Encode the vectors in a file or a folder.

    Args:
        x: a `.npy`, `.parquet` or `.safetensors` file, or a folder of such.
        codec: a codec file.
        out: the file to write, or the folder if `x` is one. Codes are uint8 (n, code_size), in Parquet a
            column `code` in place of the vectors, with the other columns around it.
        column: the column of vectors; None takes the only one.
        device: where the codes are computed; on "cuda" the rows travel there piece by piece.
        handling: memory and what to do about files in the way.

    Raises:
        BackendUnavailableError: the device is missing, or something that it needs.
        FileNotFoundError: an input, or the folder of `out`, is missing.
        FileExistsError: `out` exists, or an interrupted job for it.
        ValueError: the input does not fit the codec or is damaged, a value is not finite (its row is named),
            the memory is too small, or the interrupted job is another one.
    """
    return _run(Encoding(load(codec), device), x, codec, out, column, handling)


def decode_file(
    codes: Path,
    codec: Path,
    out: Path,
    *,
    dtype: Literal["float32", "float16"] = "float32",
    handling: Handling = Handling(),
) -> Summary:
    """Decode what `encode_file` wrote, with the codec that wrote it.

    Args:
        codes: a file of codes, or a folder of such.
        codec: the codec's file.
        out: the file or folder to write. In Parquet, vectors take the place and the name that they had.
        dtype: of the vectors.
        handling: as for `encode_file`.

    Raises:
        FileNotFoundError: as `encode_file`.
        FileExistsError: as `encode_file`.
        ValueError: as `encode_file`; also the codes are another codec's, or a value does not fit float16.
    """
    return _run(Decoding(load(codec), np.dtype(dtype)), codes, codec, out, None, handling)


def _run(
    conversion: Conversion, path: Path, codec: Path, out: Path, column: str | None, handling: Handling
) -> Summary:
    started = time.monotonic()
    if out.resolve() in (path.resolve(), codec.resolve()):
        raise ValueError(f"{out}: is an input, and cannot be the output")
    tasks = [
        FileTask(
            open_source(file, conversion.kind, column), conversion, out / file.name if path.is_dir() else out
        )
        for file in find_files(path)
    ]
    rows = sum(task.source.rows for task in tasks)
    handling.progress.begin(rows, 4 * conversion.codec.d)
    _write(tasks, conversion, codec, out, column, handling)
    return Summary(
        out=out,
        files=len(tasks),
        rows=rows,
        bytes_read=sum(task.source.rows * task.source.row_bytes for task in tasks),
        bytes_written=rows * conversion.row_bytes,
        seconds=time.monotonic() - started,
        left_out=tasks[0].left_out,
    )


def _write(
    tasks: Sequence[FileTask],
    conversion: Conversion,
    codec: Path,
    out: Path,
    column: str | None,
    handling: Handling,
) -> None:
    sizes = [task.row_bytes for task in tasks]
    plan = plan_chunks(Budget(handling.memory).holding_codec(codec), *map(max, zip(*sizes)))
    identity = _identity(tasks, conversion, column, handling.memory)
    if handling.resume and not is_unfinished(out) and all(task.is_done() for task in tasks):
        sweep(out)
        return
    with open_job(out, identity, resume=handling.resume, overwrite=handling.overwrite) as job:
        for number, task in enumerate(tasks):
            if job.has_finished(task.target):
                handling.progress.skip(task.source.rows)
            else:
                chunks = partial(task.chunks, plan, progress=handling.progress)
                job.write(number, task.target, task.chunk_count(plan), chunks, task.open_writer)


def _identity(
    tasks: Sequence[FileTask], conversion: Conversion, column: str | None, memory: int
) -> dict[str, Any]:
    inputs = [(task.source.path.name, task.source.path.stat()) for task in tasks]
    return {
        "command": conversion.name,
        "input": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in inputs],
        "codec": conversion.codec.fingerprint,
        "column": column,
        "dtype": str(conversion.dtype),
        "memory": memory,
        "version": f"embcodec {embcodec.__version__}, pyarrow {pa.__version__}",
    }
