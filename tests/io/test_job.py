"""How a job is interrupted, gone on with, refused and published."""

import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest

from embcodec.io import Handling, encode_file


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr("embcodec.io.plan._CHUNK_ROWS", 256)
    monkeypatch.setattr("embcodec.io.plan._BATCH_BYTES", 2 * 64 * 4 * 24)


class Stop:
    """Progress that stops a job after some rows, as Ctrl-C or a full disk would."""

    def __init__(self, rows: int, error: BaseException) -> None:
        self._rows, self._error = rows, error
        self.skipped = 0

    def begin(self, rows: int, row_bytes: int) -> None:
        pass

    def skip(self, rows: int) -> None:
        self.skipped += rows

    def advance(self, rows: int) -> None:
        self._rows -= rows
        if self._rows < 0:
            raise self._error


@pytest.fixture
def interrupted(tmp_path: Path, x, codec_file, write_vectors) -> tuple[Path, Path]:
    """An input and an output whose job was interrupted with two chunks done."""
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    with pytest.raises(
        KeyboardInterrupt, match=r"what is done is kept in .*codes.npy.partial, --resume goes on"
    ):
        encode_file(source, codec_file, out, handling=Handling(progress=Stop(600, KeyboardInterrupt())))
    assert not out.exists()
    return source, out


def test_what_was_done_is_not_done_again(interrupted, codec_file) -> None:
    source, out = interrupted
    progress = Stop(1000, AssertionError())
    encode_file(source, codec_file, out, handling=Handling(resume=True, progress=progress))
    assert progress.skipped == 512


def test_an_error_of_the_system_says_how_to_go_on(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    full = OSError(28, "No space left on device", "codes")
    with pytest.raises(OSError, match=r"codes: No space left on device; what is done is kept in .*--resume"):
        encode_file(source, codec_file, out, handling=Handling(progress=Stop(600, full)))
    encode_file(source, codec_file, out, handling=Handling(resume=True))


def test_an_interrupted_job_is_in_the_way(interrupted, codec_file) -> None:
    source, out = interrupted
    with pytest.raises(
        FileExistsError, match="interrupted job; --resume goes on with it, --overwrite starts"
    ):
        encode_file(source, codec_file, out)
    encode_file(source, codec_file, out, handling=Handling(overwrite=True))
    assert out.exists()


def test_another_job_is_not_gone_on_with(interrupted, tmp_path: Path, x, codec_file, other_codec) -> None:
    source, out = interrupted
    other_codec.save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="begun with another codec"):
        encode_file(source, tmp_path / "other.safetensors", out, handling=Handling(resume=True))
    with pytest.raises(ValueError, match="begun with another memory"):
        encode_file(source, codec_file, out, handling=Handling(memory=2 * 10**9, resume=True))
    np.save(source, x + 1)
    with pytest.raises(ValueError, match="begun with another input"):
        encode_file(source, codec_file, out, handling=Handling(resume=True))


def test_two_processes_do_not_work_at_one_job(interrupted, codec_file) -> None:
    source, out = interrupted
    handle = os.open(out.with_name("codes.npy.partial"), os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process works at this job"):
            encode_file(source, codec_file, out, handling=Handling(resume=True))
    finally:
        os.close(handle)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    mine = tmp_path / "codes.npy.partial" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("years of work")
    for handling in (Handling(), Handling(resume=True), Handling(overwrite=True)):
        with pytest.raises(FileExistsError, match=r"is in the way, and holds thesis.txt"):
            encode_file(source, codec_file, out, handling=handling)
    out.mkdir()
    (out / "thesis.txt").write_text("more years of work")
    with pytest.raises((FileExistsError, ValueError)):
        encode_file(source, codec_file, out, handling=Handling(overwrite=True))
    assert mine.exists()
    assert (out / "thesis.txt").exists()


def test_what_exists_is_only_replaced_on_demand(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    for taken in (out, tmp_path / "codes.npy.json"):
        taken.write_text("precious")
        with pytest.raises(FileExistsError, match=f"{taken}: exists; --overwrite replaces it"):
            encode_file(source, codec_file, out)
        assert taken.read_text() == "precious"
        encode_file(source, codec_file, out, handling=Handling(overwrite=True))
        np.testing.assert_array_equal(np.load(out), codec.encode(x))
        out.unlink()
        (tmp_path / "codes.npy.json").unlink()


def test_resuming_a_finished_job_is_no_error(
    tmp_path: Path, x, codec_file, other_codec, write_vectors
) -> None:
    """A job may be killed after its last change; but what another codec wrote is no finished job."""
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    encode_file(source, codec_file, out)
    written = out.stat().st_mtime_ns
    encode_file(source, codec_file, out, handling=Handling(resume=True))
    assert out.stat().st_mtime_ns == written
    other_codec.save(tmp_path / "other.safetensors")
    with pytest.raises(FileExistsError):
        encode_file(source, tmp_path / "other.safetensors", out, handling=Handling(resume=True))


def test_a_job_remembers_that_it_may_overwrite(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source, out = write_vectors(tmp_path / "x.npy", x), tmp_path / "codes.npy"
    out.write_text("old")
    stop = Stop(600, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        encode_file(source, codec_file, out, handling=Handling(overwrite=True, progress=stop))
    assert json.loads((tmp_path / "codes.npy.partial" / "job.json").read_text())["overwrite"] is True
    assert out.read_text() == "old"
    encode_file(source, codec_file, out, handling=Handling(resume=True))
    assert len(np.load(out)) == len(x)


def test_what_came_up_meanwhile_is_not_overwritten(interrupted, codec_file) -> None:
    source, out = interrupted
    out.write_text("somebody else's")
    with pytest.raises(OSError, match="exists; --overwrite replaces it; what is done is kept"):
        encode_file(source, codec_file, out, handling=Handling(resume=True))
    assert out.read_text() == "somebody else's"
    encode_file(source, codec_file, out, handling=Handling(resume=True, overwrite=True))
    assert len(np.load(out)) == 1000
