"""SIGKILL at random moments, for real: a resumed run must write the bytes of one never killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import embcodec

ROWS, D = 60_000, 64
SMALL_CHUNKS = """
import sys
from embcodec.io import plan
plan._CHUNK_ROWS = 1024
from embcodec.cli import main
sys.exit(main(sys.argv[1:]))
"""

SLOW_CHUNKS = (
    """
import signal, time
from embcodec import Codec
# A shell's background job ignores interrupts, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
encode = Codec.encode
def slow(self, *args, **options):
    time.sleep(0.05)
    return encode(self, *args, **options)
Codec.encode = slow
"""
    + SMALL_CHUNKS
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with x.parquet, codec.safetensors and, of an undisturbed run, codes.parquet and y.parquet."""
    folder = tmp_path_factory.mktemp("kill")
    x = np.random.default_rng(3).standard_normal((ROWS, D), dtype=np.float32)
    request.getfixturevalue("write_vectors")(folder / "x.parquet", x, row_group_size=ROWS)
    embcodec.Codec("SQ8").fit(x).save(folder / "codec.safetensors")
    for command in ("encode", "decode"):
        assert start(folder, command, folder).wait() == 0
    return folder


def start(inputs: Path, command: str, outputs: Path, *options: str) -> subprocess.Popen:
    source, out = ("x", "codes") if command == "encode" else ("codes", "y")
    paths = [str(inputs / f"{source}.parquet"), "--codec", str(inputs / "codec.safetensors")]
    arguments = [command, *paths, "-o", str(outputs / f"{out}.parquet"), *options]
    return subprocess.Popen([sys.executable, "-c", SMALL_CHUNKS, *arguments], stdout=subprocess.DEVNULL)


def kill_and_resume(inputs: Path, command: str, outputs: Path, kills: int, seed: int) -> list[int]:
    """Kill a job again and again, then let it finish; returns how many parts lay there at each kill."""
    rng = np.random.default_rng(seed)
    seen = []
    out = outputs / ("codes.parquet" if command == "encode" else "y.parquet")
    while len(seen) < kills:
        process = start(inputs, command, outputs, "--resume")
        time.sleep(float(rng.uniform(0.3, 1.5)))
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        assert not out.exists() or out.read_bytes() == (inputs / out.name).read_bytes()
        seen.append(len(list(out.with_name(f"{out.name}.partial").glob("parts/*.arrow"))))
    assert start(inputs, command, outputs, "--resume").wait() == 0
    assert [path.name for path in outputs.iterdir()] == [out.name]
    assert out.read_bytes() == (inputs / out.name).read_bytes()
    return seen


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_killed_job_resumes_to_the_same_bytes(command: str, inputs: Path, tmp_path: Path) -> None:
    kill_and_resume(inputs, command, tmp_path, kills=3, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["encode", "decode"])
@pytest.mark.parametrize("seed", range(3))
def test_jobs_killed_many_times_resume_to_the_same_bytes(
    command: str, seed: int, inputs: Path, tmp_path: Path
) -> None:
    kill_and_resume(inputs, command, tmp_path, kills=8, seed=seed)


def test_an_interrupt_says_how_to_go_on(inputs: Path, tmp_path: Path) -> None:
    arguments = ["encode", str(inputs / "x.parquet"), "--codec", str(inputs / "codec.safetensors")]
    arguments += ["-o", str(tmp_path / "codes.parquet")]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_CHUNKS, *arguments], stderr=subprocess.PIPE, text=True
    )
    parts = tmp_path / "codes.parquet.partial" / "parts"
    while not list(parts.glob("*.arrow")) and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    errors = process.communicate()[1]
    assert process.returncode == 130
    assert errors.count("\n") <= 2
    assert errors.strip().endswith("codes.parquet.partial, --resume goes on with it")
    assert start(inputs, "encode", tmp_path, "--resume").wait() == 0
    assert (tmp_path / "codes.parquet").read_bytes() == (inputs / "codes.parquet").read_bytes()
