"""A job killed before any one change to the file system is gone on with to the same bytes.

The kills are exceptions here, so that every change can be tried; test_kill.py does it with real ones.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

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
    monkeypatch.setattr("embcodec.io.job.shutil.rmtree", guarded(shutil.rmtree))

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
