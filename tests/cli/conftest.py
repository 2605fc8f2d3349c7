from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embcodec
from embcodec.cli import main


@dataclass
class Run:
    """What a command line did."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys) -> Callable[..., Run]:
    """Run a command line in this process."""

    def call(*arguments: object) -> Run:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return call


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with x.parquet and x.npy (1000 x 16), q.npy (20 x 16), sq8.safetensors and codes.parquet."""
    x = np.random.default_rng(5).standard_normal((1000, 16), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "q.npy", x[:20] + np.float32(0.01))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 16)
    table = pa.table({"url": [f"http://{i}" for i in range(1000)], "emb": vectors})
    pq.write_table(table, tmp_path / "x.parquet")
    embcodec.Codec("SQ8").fit(x).save(tmp_path / "sq8.safetensors")
    codec = str(tmp_path / "sq8.safetensors")
    assert (
        main(["encode", str(tmp_path / "x.parquet"), "--codec", codec, "-o", str(tmp_path / "codes.parquet")])
        == 0
    )
    return tmp_path
