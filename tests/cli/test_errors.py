"""Bad input is one clear line on stderr and exit status 2; nothing is written."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embcodec
from embcodec.cli import main


def bad_values(path: Path) -> None:
    x = np.zeros((20_000, 16), np.float32)
    x[12345, 3] = np.nan
    np.save(path / "bad.npy", x)


def truncated(path: Path) -> None:
    data = (path / "x.parquet").read_bytes()
    (path / "bad.parquet").write_bytes(data[: len(data) // 2])


def two_columns(path: Path) -> None:
    column = pa.array([[1.0] * 16] * 3)
    pq.write_table(pa.table({"a": column, "b": column}), path / "bad.parquet")


def nulls(path: Path) -> None:
    column = pa.array([[1.0] * 16] * 3 + [None], pa.list_(pa.float32()))
    pq.write_table(pa.table({"emb": column}), path / "bad.parquet")


def other_codes(path: Path) -> None:
    embcodec.Codec("SQ4").fit(np.load(path / "x.npy")).save(path / "bad.safetensors")


def nothing(path: Path) -> None:
    pass


def saved(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: np.save(path / "bad.npy", array)


ENCODE = ("--codec", "sq8.safetensors", "-o", "out.npy")
CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "wrong dtype": (
        saved(np.zeros((5, 16), np.int32)),
        ("encode", "bad.npy", *ENCODE),
        "bad.npy: vector must be float",
    ),
    "wrong dimension": (
        saved(np.zeros((5, 17), np.float32)),
        ("encode", "bad.npy", *ENCODE),
        "rows have 17 dimensions, the codec takes 16",
    ),
    "NaN": (
        bad_values,
        ("encode", "bad.npy", *ENCODE),
        "bad.npy: vector has a non-finite value in row 12345",
    ),
    "NaN in fit": (
        bad_values,
        ("fit", "bad.npy", "--spec", "SQ8", "-o", "out.safetensors"),
        "bad.npy: vector has a non-finite value in row 12345",
    ),
    "k > n": (
        nothing,
        ("search", "codes.parquet", "q.npy", "--codec", "sq8.safetensors", "-k", "1001"),
        "k must be in 1..1000, the number of rows, got 1001",
    ),
    "k > n, with OUT": (
        nothing,
        ("search", "codes.parquet", "q.npy", *ENCODE[:2], "-k", "1001", "-o", "out.parquet"),
        "got 1001",
    ),
    "empty file": (
        lambda path: (path / "bad.npy").touch(),
        ("encode", "bad.npy", *ENCODE),
        "bad.npy: the file is empty (0 bytes)",
    ),
    "truncated Parquet": (truncated, ("encode", "bad.parquet", *ENCODE), "bad.parquet: cannot be read: "),
    "not a codec": (
        nothing,
        ("encode", "x.npy", "--codec", "x.npy", "-o", "out.npy"),
        "x.npy is not a codec file, or damaged",
    ),
    "codes of another codec": (
        other_codes,
        ("decode", "codes.parquet", "--codec", "bad.safetensors", "-o", "out.npy"),
        "but the codec given is",
    ),
    "missing file": (nothing, ("encode", "none.npy", *ENCODE), "none.npy: no such file or folder"),
    "missing codec": (
        nothing,
        ("encode", "x.npy", "--codec", "none.safetensors", "-o", "out.npy"),
        "none.safetensors: No such file or directory",
    ),
    "missing folder": (
        nothing,
        ("encode", "x.npy", "--codec", "sq8.safetensors", "-o", "none/out.npy"),
        "none: no such folder",
    ),
    "unknown ending": (
        nothing,
        ("encode", "x.npy", "--codec", "sq8.safetensors", "-o", "out.csv"),
        "out.csv: the name must end in .npy, .parquet, .safetensors",
    ),
    "unknown ending of X": (
        lambda path: (path / "x.csv").write_text("1,2"),
        ("encode", "x.csv", *ENCODE),
        "x.csv: the name must end in",
    ),
    "two columns": (
        two_columns,
        ("encode", "bad.parquet", *ENCODE),
        "columns a, b all hold vectors; choose one",
    ),
    "no such column": (
        nothing,
        ("encode", "x.parquet", *ENCODE, "--column", "url"),
        "column 'url' is string, not a list",
    ),
    "null": (nulls, ("encode", "bad.parquet", *ENCODE), "bad.parquet: row 3 is null"),
    "vectors for codes": (nothing, ("decode", "x.parquet", *ENCODE), "x.parquet: no column 'code'"),
    "queries of another dimension": (
        saved(np.zeros((5, 17), np.float32)),
        ("search", "codes.parquet", "bad.npy", "--codec", "sq8.safetensors"),
        "must be (n, 16), got (5, 17)",
    ),
    "no queries": (
        saved(np.zeros((0, 16), np.float32)),
        ("search", "codes.parquet", "bad.npy", "--codec", "sq8.safetensors"),
        "bad.npy: has no rows",
    ),
    "unknown spec": (nothing, ("fit", "x.npy", "--spec", "SQ9", "-o", "out.safetensors"), "SQ9"),
    "no memory": (
        nothing,
        ("encode", "x.npy", *ENCODE, "--memory", "50MB"),
        "a memory of 50.0 MB is too small",
    ),
    "a size that is none": (
        nothing,
        ("encode", "x.npy", *ENCODE, "--memory", "much"),
        "must look like 500MB",
    ),
    "OUT exists": (
        nothing,
        ("encode", "x.npy", "--codec", "sq8.safetensors", "-o", "q.npy"),
        "q.npy: exists; --overwrite replaces it",
    ),
    "unknown option": (nothing, ("encode", "x.npy", "--fast"), "No such option: --fast"),
    "unknown command": (nothing, ("compress", "x.npy"), "No such command 'compress'"),
    "missing option": (nothing, ("fit", "x.npy", "-o", "out.safetensors"), "Missing option '--spec'"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_line_and_nothing_is_written(case: str, run, files: Path, monkeypatch) -> None:
    make, arguments, message = CASES[case]
    make(files)
    monkeypatch.chdir(files)
    before = {path: path.read_bytes() for path in files.iterdir()}
    done = run(*arguments)
    assert done.status == 2
    assert done.err.startswith("embcodec: error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert {path: path.read_bytes() for path in files.iterdir()} == before


def test_a_damaged_codec_never_crashes_a_command(run, files: Path) -> None:
    good = (files / "sq8.safetensors").read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(60):
        flipped = bytearray(good)
        flipped[rng.integers(len(good))] ^= 1 << int(rng.integers(8))
        (files / "bad.safetensors").write_bytes(flipped)
        done = run("encode", files / "x.npy", "--codec", files / "bad.safetensors", "-o", files / "out.npy")
        assert done.status == 2, done.out
        assert done.err.count("\n") == 1
        assert "unexpected" not in done.err
        assert not (files / "out.npy").exists()


def test_no_traceback_unless_it_is_wanted(run, files: Path, monkeypatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr("embcodec.io.describe", broken)
    done = run("info", files / "x.npy")
    assert done.status == 2
    assert done.err == "embcodec: error: unexpected KeyError: 'surprise' (EMBCODEC_DEBUG=1 shows where)\n"
    monkeypatch.setenv("EMBCODEC_DEBUG", "1")
    with pytest.raises(KeyError):
        main(["info", str(files / "x.npy")])


def test_a_full_disk_is_one_line_and_can_be_gone_on_with(run, files: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    arguments = ["encode", str(files / "x.npy"), "--codec", str(files / "sq8.safetensors")]
    arguments += ["-o", str(files / "out.parquet")]
    done = subprocess.run(
        [sys.executable, "-m", "embcodec", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "File too large" in done.stderr
    assert done.stderr.strip().endswith("out.parquet.partial, --resume goes on with it")
    assert not (files / "out.parquet").exists()
    assert run(*arguments, "--resume").status == 0


def test_a_reader_that_leaves_is_no_error(files: Path) -> None:
    paths = f"{files}/codes.parquet {files}/q.npy --codec {files}/sq8.safetensors"
    command = f"{sys.executable} -m embcodec search {paths} -k 900 --json | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(run, files: Path) -> None:
    (files / "x.npy").chmod(0)
    done = run("info", files / "x.npy")
    assert done.err == f"embcodec: error: {files / 'x.npy'}: Permission denied\n"
