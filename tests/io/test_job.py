"""A job that stops anywhere leaves nothing, or what another run goes on with to the same bytes."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from embcodec.io import Handling, decode_file, encode_file

FORMATS = [".npy", ".parquet", ".safetensors"]


class Killed(BaseException):
    """Stands for SIGKILL: no handler in the package may catch it."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr("embcodec.io.plan._CHUNK_ROWS", 256)
    monkeypatch.setattr("embcodec.io.plan._BATCH_BYTES", 2 * 64 * 4 * 24)


@pytest.fixture
def kill_at(monkeypatch) -> Callable[[int | None], None]:
    """After kill_at(n), the n-th change to the file system is not made and the run ends there."""
    calls = 0
    limit: int | None = None

    def guarded(original: Callable) -> Callable:
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if limit is not None and calls > limit:
                raise Killed
            return original(*args, **kwargs)

        return call

    for name in ("replace", "unlink", "mkdir", "rmdir", "write_text"):
        monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
    monkeypatch.setattr("embcodec.io.job.os.open", guarded(os.open))
    monkeypatch.setattr("embcodec.io.job.os.fsync", guarded(lambda handle: None))  # it only takes time here
    monkeypatch.setattr("embcodec.io.job.shutil.rmtree", guarded(__import__("shutil").rmtree))

    def set_limit(number: int | None) -> None:
        nonlocal calls, limit
        calls, limit = 0, number

    return set_limit


def contents(path: Path) -> dict[str, bytes]:
    """What lies under OUT: a file, with what is beside a .npy, or a folder's files."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.name}*")
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files if file.is_file()}


def killed_everywhere(
    run: Callable[[Handling], object], out: Path, kill_at: Callable, handling: Handling
) -> Iterator[int]:
    """Run with a kill at the first, the second, ... change until a run gets through; yield at each kill."""
    for number in range(1000):
        kill_at(number)
        try:
            run(handling)
        except Killed:
            kill_at(None)
            yield number
        else:
            kill_at(None)
            return
    raise AssertionError("no run got through")


@pytest.mark.parametrize("suffix", FORMATS)
def test_killed_at_any_change_it_resumes_to_the_same_bytes(
    suffix: str, tmp_path: Path, x, codec_file, write_vectors, kill_at
) -> None:
    source = write_vectors(tmp_path / "x.parquet", x)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    encode_file(source, codec_file, tmp_path / "a" / f"codes{suffix}")
    expected = contents(tmp_path / "a" / f"codes{suffix}")
    out = tmp_path / "b" / f"codes{suffix}"

    def run(handling: Handling) -> None:
        encode_file(source, codec_file, out, handling=handling)

    kills = 0
    for _ in killed_everywhere(run, out, kill_at, Handling()):
        assert not out.exists() or out.read_bytes() == expected[out.name]
        run(Handling(resume=True))
        assert contents(out) == expected
        assert sorted(path.name for path in out.parent.iterdir()) == sorted(expected)
        for path in out.parent.iterdir():
            path.unlink()
        kills += 1
    assert kills > 20


def test_killed_while_overwriting_it_never_mixes_old_and_new(
    tmp_path: Path, x, codec_file, other_codec, write_vectors, kill_at
) -> None:
    """`.npy` has its header beside it: new codes under an old header would decode to something else."""
    source = write_vectors(tmp_path / "x.npy", x)
    other_codec.save(tmp_path / "other.safetensors")
    (tmp_path / "a").mkdir()
    out = tmp_path / "a" / "codes.npy"
    encode_file(source, tmp_path / "other.safetensors", out)
    old = contents(out)
    encode_file(source, codec_file, out, handling=Handling(overwrite=True))
    new = contents(out)

    def run(handling: Handling) -> None:
        encode_file(source, codec_file, out, handling=handling)

    for _ in killed_everywhere(run, out, kill_at, Handling(overwrite=True)):
        if out.exists():
            files = {name: data for name, data in contents(out).items() if "partial" not in name}
            assert files in (old, new)
        run(Handling(resume=True, overwrite=True))
        assert contents(out) == new
        for name, data in old.items():
            (out.parent / name).write_bytes(data)


def test_a_folder_killed_at_any_change_resumes(tmp_path: Path, x, codec_file, write_vectors, kill_at) -> None:
    (tmp_path / "x").mkdir()
    for name, rows in {"a.parquet": x[:300], "b.parquet": x[300:]}.items():
        write_vectors(tmp_path / "x" / name, rows)
    out = tmp_path / "codes"
    encode_file(tmp_path / "x", codec_file, out)
    expected = contents(out)

    def run(handling: Handling) -> None:
        encode_file(tmp_path / "x", codec_file, out, handling=handling)

    overwrite = Handling(overwrite=True)
    for _ in killed_everywhere(run, out, kill_at, overwrite):
        assert not out.exists() or contents(out) == expected
        run(Handling(resume=True))
        assert contents(out) == expected
        assert not (tmp_path / "codes.partial").exists()


def test_killed_again_and_again_it_still_gets_there(
    tmp_path: Path, x, codec_file, write_vectors, kill_at
) -> None:
    source = write_vectors(tmp_path / "x.parquet", x)
    encode_file(source, codec_file, tmp_path / "codes.parquet")
    decode_file(tmp_path / "codes.parquet", codec_file, tmp_path / "expected.parquet")
    out = tmp_path / "y.parquet"
    for _ in range(100):
        kill_at(18)
        try:
            decode_file(tmp_path / "codes.parquet", codec_file, out, handling=Handling(resume=True))
        except Killed:
            kill_at(None)
        else:
            break
    kill_at(None)
    assert out.read_bytes() == (tmp_path / "expected.parquet").read_bytes()


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
