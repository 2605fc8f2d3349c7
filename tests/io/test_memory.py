"""The peak of the whole process, as the kernel measured it, stays under --memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embcodec

D = 384
CHILD = """
import sys
from pathlib import Path
from embcodec.cli import main
status = main(sys.argv[1:])
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(peak, file=sys.stderr)
sys.exit(status)
"""


def peak_of(*arguments: str | Path) -> int:
    """Run a command in a process of its own; bytes at its peak."""
    command = [sys.executable, "-c", CHILD, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stderr.splitlines()[-1])


def write_parquet(path: Path, rows: int, group_rows: int, text: str = "document %d") -> Path:
    """Vectors with an id and a text, made a row group at a time."""
    rng = np.random.default_rng(0)
    vector = pa.list_(pa.float32(), D)
    schema = pa.schema([("id", pa.int64()), ("emb", vector), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, use_dictionary=["text"], compression={"text": "zstd"}) as writer:
        for start in range(0, rows, group_rows):
            ids = range(start, start + group_rows)
            values = pa.array(rng.random(group_rows * D, dtype=np.float32))
            emb = pa.FixedSizeListArray.from_arrays(values, type=vector)
            batch = pa.record_batch([pa.array(ids), emb, pa.array([text % i for i in ids])], schema=schema)
            writer.write_table(pa.Table.from_batches([batch]), row_group_size=group_rows)
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """x.parquet and x.npy, 100,000 rows of 154 MB; the Parquet file is one row group."""
    folder = tmp_path_factory.mktemp("memory")
    write_parquet(folder / "x.parquet", 100_000, 100_000)
    x = np.random.default_rng(0).random((100_000, D), dtype=np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "q.npy", x[:200])
    for name, spec in (("sq", "SQ8"), ("pca", "PCA96,SQ8"), ("pq", "PQ48x8")):
        embcodec.Codec(spec).fit(x[:3000]).save(folder / f"{name}.safetensors")
    return folder


def test_one_row_group_of_154_mb_is_streamed(inputs: Path, tmp_path: Path) -> None:
    codec, codes, y = inputs / "sq.safetensors", tmp_path / "codes.parquet", tmp_path / "y.parquet"
    common = ["--codec", codec, "--memory", "200MB"]
    assert peak_of("encode", inputs / "x.parquet", *common, "-o", codes) < 200_000_000
    assert peak_of("decode", codes, *common, "-o", y) < 200_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("megabytes", "suffix", "name"), [(180, ".parquet", "sq"), (200, ".npy", "pca"), (300, ".parquet", "pq")]
)
def test_every_command_stays_within_its_memory(
    megabytes: int, suffix: str, name: str, inputs: Path, tmp_path: Path
) -> None:
    x, codes, codec = inputs / f"x{suffix}", tmp_path / f"codes{suffix}", inputs / f"{name}.safetensors"
    common = ["--memory", f"{megabytes}MB"]
    spec = embcodec.load(codec).spec
    peaks = {
        "fit": peak_of("fit", x, "--spec", spec, "-o", tmp_path / "c.safetensors", *common),
        "encode": peak_of("encode", x, "--codec", codec, "-o", codes, *common),
        "decode": peak_of("decode", codes, "--codec", codec, "-o", tmp_path / f"y{suffix}", *common),
        "search": peak_of("search", codes, inputs / "q.npy", "--codec", codec, *common),
    }
    assert max(peaks.values()) < megabytes * 1_000_000, peaks


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["SQ8", "PCA64,SQ8"])
def test_wide_rows_and_the_matrices_of_a_fit_count_too(spec: str, tmp_path: Path) -> None:
    x = tmp_path / "x.npy"
    np.save(x, np.random.default_rng(0).random((10_000, 2048)))
    peak = peak_of("fit", x, "--spec", spec, "-o", tmp_path / "c.safetensors", "--memory", "450MB")
    assert peak < 450_000_000


@pytest.mark.slow
def test_wide_columns_beside_the_vectors_count_too(inputs: Path, tmp_path: Path) -> None:
    x = write_parquet(tmp_path / "x.parquet", 20_000, 5_000, "%d " + 20_000 * "x")
    codec, codes = inputs / "sq.safetensors", tmp_path / "codes.parquet"
    assert peak_of("encode", x, "--codec", codec, "-o", codes, "--memory", "300MB") < 300_000_000


@pytest.mark.slow
@pytest.mark.parametrize(("memory", "limit"), [("1GB", 10**9), ("250MB", 250_000_000)])
def test_a_million_rows_encode_within_their_memory(
    memory: str, limit: int, inputs: Path, tmp_path: Path
) -> None:
    x, codec = write_parquet(tmp_path / "x.parquet", 1_000_000, 100_000), inputs / "sq.safetensors"
    assert (
        peak_of("encode", x, "--codec", codec, "-o", tmp_path / "codes.parquet", "--memory", memory) < limit
    )
    assert pq.ParquetFile(tmp_path / "codes.parquet").metadata.num_rows == 1_000_000
