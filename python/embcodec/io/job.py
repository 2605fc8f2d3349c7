"""Whole or nothing, and on from where it stopped: the work folder of an interrupted job.

While a job writes OUT, everything it has lies in `OUT.partial/`:

    job.json    what the job is: inputs, codec, options
    parts/      chunks of the file in work, each an Arrow file, written beside and renamed
    writing/    the file in work, begun again from its parts when a job goes on
    files/      finished files
    ready/      `files` under another name, once all are finished: what remains is to move them to OUT

A file is written from its parts alone, also in a run that nothing disturbs, so its bytes cannot depend on
where a run was interrupted.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from embcodec.io.base import Writer
from embcodec.io.formats import SUFFIXES
from embcodec.io.header import sidecar_path

__all__ = ["Job", "check_out", "is_unfinished", "open_job", "replacing", "sweep"]

_JOB_FILE = "job.json"
_FOLDERS = ("parts", "writing", "files", "ready")


class Job:
    """A job whose work folder is open and locked; `open_job` makes one."""

    def __init__(self, out: Path, overwrite: bool) -> None:
        self._out = out
        self._overwrite = overwrite
        self._work = _work_folder(out)

    def has_finished(self, target: Path) -> bool:
        """Whether an earlier run wrote this file whole."""
        return (self._work / "ready").exists() or self._path("files", target).exists()

    def write(
        self,
        number: int,
        target: Path,
        chunk_count: int,
        chunks: Callable[[int], Iterator[pa.Table]],
        open_writer: Callable[[Path], Writer],
    ) -> None:
        """Write one file from the parts that are there and those still to be made.

        Args:
            number: the file's place in the job.
            target: OUT, or a path in it.
            chunk_count: how many chunks the file is made of.
            chunks: yields the chunks from the given number on.
            open_writer: begins the file at a path.
        """
        parts = [self._work / "parts" / f"{number:06d}-{chunk:06d}.arrow" for chunk in range(chunk_count)]
        done = next((chunk for chunk, part in enumerate(parts) if not part.exists()), chunk_count)
        fresh = chunks(done)
        written = self._path("writing", target)
        with open_writer(written) as writer:
            for chunk, part in enumerate(parts):
                if chunk >= done:
                    _write_part(part, next(fresh))
                writer.write(_read_part(part))
        _keep(written, self._path("files", target))
        for part in parts:
            part.unlink()

    def publish(self) -> None:
        """Move what was written to OUT.

        Raises:
            FileExistsError: OUT came up while the job ran, and the job may not overwrite it.
        """
        ready = self._work / "ready"
        if not ready.exists():
            (self._work / "files").replace(ready)
        items = sorted(ready.iterdir(), reverse=True)  # a .npy.json before its .npy
        targets = {item: self._out.with_name(item.name) for item in items}
        for target in targets.values():
            _check_free(target, self._overwrite)
        if len(targets) > 1:
            self._out.unlink(missing_ok=True)  # lest for a moment the old codes lie beside the new header
        for item, target in targets.items():
            if target.is_dir():
                shutil.rmtree(target)
            item.replace(target)
        _sync(self._out.parent)

    def _path(self, folder: str, target: Path) -> Path:
        path = self._work / folder / target.relative_to(self._out.parent)
        path.parent.mkdir(exist_ok=True)
        return path


@contextmanager
def open_job(out: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Job]:
    """Begin a job or go on with an interrupted one; at the end its files move to OUT.

    A ValueError or TypeError in the body is taken for bad input: nothing remains. Other errors and interrupts
    leave the work folder, for another run to go on with.

    Args:
        out: what to write: a file or a folder.
        identity: what makes this the same job, as JSON has it.
        resume: go on with an interrupted job, if there is one.
        overwrite: replace OUT, if there is one, and drop an interrupted job unless `resume`.

    Raises:
        FileExistsError: OUT exists, or an interrupted job does.
        ValueError: the interrupted job is another one.
        BlockingIOError: another process works at this job.
    """
    work = _work_folder(out)
    if not is_unfinished(out):
        check_out(out, overwrite)
    work.mkdir(exist_ok=True)
    with _locked(work):
        job = Job(out, _begin(work, identity, resume, overwrite))
        try:
            yield job
            job.publish()
        except (ValueError, TypeError):
            _empty(work)
            work.rmdir()
            raise
        except (OSError, KeyboardInterrupt) as error:
            kind = OSError if isinstance(error, OSError) else KeyboardInterrupt
            kept = f"what is done is kept in {work}, --resume goes on with it"
            raise kind(f"{_reason(error)}; {kept}") from error
        _empty(work)
        work.rmdir()


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A name beside `out` for a small file, which takes its place at the end and is removed on an error."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(out)
        _sync(out.parent)
    finally:
        temporary.unlink(missing_ok=True)


def is_unfinished(out: Path) -> bool:
    """Whether an interrupted job for OUT can be gone on with."""
    return (_work_folder(out) / _JOB_FILE).exists()


def sweep(out: Path) -> None:
    """Remove the work folder of a job that ended, if that was interrupted too."""
    work = _work_folder(out)
    if work.exists():
        with _locked(work):
            _empty(work)
            work.rmdir()


def check_out(out: Path, overwrite: bool) -> None:
    """Refuse an OUT that exists, or whose folder does not.

    Raises:
        FileNotFoundError: there is no folder for it.
        FileExistsError: it may not be overwritten, or it is a folder that holds other things too.
    """
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    for path in (out, sidecar_path(out)):
        _check_free(path, overwrite)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path}: exists; --overwrite replaces it")
    for file in path.iterdir() if path.is_dir() else ():
        if file.suffix not in SUFFIXES and not file.name.endswith(".npy.json"):
            raise FileExistsError(f"{path}: is not replaced, for it holds {file.name} too")


def _begin(work: Path, identity: Mapping[str, Any], resume: bool, overwrite: bool) -> bool:
    """Write job.json, or compare with the one there; returns whether OUT may be replaced."""
    job_file = work / _JOB_FILE
    if job_file.exists() and resume:
        found = json.loads(job_file.read_text(encoding="utf-8"))
        for key, value in identity.items():
            if found["identity"].get(key) != value:
                change = "" if isinstance(value, list) else f" ({found['identity'].get(key)}, now {value})"
                raise ValueError(
                    f"{work}: was begun with another {key}{change}; --overwrite without --resume starts again"
                )
        return bool(found["overwrite"]) or overwrite
    if job_file.exists() and not overwrite:
        raise FileExistsError(
            f"{work}: holds an interrupted job; --resume goes on with it, --overwrite starts again"
        )
    _empty(work)
    for name in _FOLDERS[:-1]:
        (work / name).mkdir()
    temporary = job_file.with_suffix(".tmp")
    temporary.write_text(
        json.dumps({"identity": identity, "overwrite": overwrite}, indent=2), encoding="utf-8"
    )
    _sync(temporary)
    temporary.replace(job_file)
    return overwrite


def _empty(work: Path) -> None:
    """Remove a job. Without job.json the rest is debris, which the next run removes."""
    strange = [path for path in work.iterdir() if path.stem != "job" and path.name not in _FOLDERS]
    if strange:
        raise FileExistsError(f"{work}: is in the way, and holds {strange[0].name}")
    (work / _JOB_FILE).unlink(missing_ok=True)
    (work / _JOB_FILE).with_suffix(".tmp").unlink(missing_ok=True)
    for name in _FOLDERS:
        shutil.rmtree(work / name, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{folder}: another process works at this job") from None
        yield
    finally:
        os.close(handle)


def _keep(written: Path, path: Path) -> None:
    for source, target in ((sidecar_path(written), sidecar_path(path)), (written, path)):
        if source.exists():
            _sync(source)
            source.replace(target)


def _write_part(path: Path, chunk: pa.Table) -> None:
    temporary = path.with_suffix(".tmp")
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, chunk.schema) as writer:
        writer.write_table(chunk)
    _sync(temporary)
    temporary.replace(path)


def _read_part(path: Path) -> pa.Table:
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _work_folder(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error) or "interrupted"
