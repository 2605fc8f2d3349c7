from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

import embcodec

D = 24
ROWS = 1000
FORMATS = (".npy", ".parquet", ".safetensors")

WriteVectors = Callable[..., Path]


@pytest.fixture(scope="session")
def x() -> np.ndarray:
    return np.random.default_rng(7).standard_normal((ROWS, D), dtype=np.float32)


@pytest.fixture(scope="session")
def codec(x: np.ndarray) -> embcodec.Codec:
    return embcodec.Codec("SQ8").fit(x)


@pytest.fixture(scope="session")
def other_codec(x: np.ndarray) -> embcodec.Codec:
    return embcodec.Codec("SQ8").fit(2 * x)


@pytest.fixture(scope="session")
def codec_file(codec: embcodec.Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "codec.safetensors"
    codec.save(path)
    return path


@pytest.fixture(scope="session")
def write_vectors() -> WriteVectors:
    """Write x to a path by its ending: Parquet with two columns around `emb`, row groups of 300 rows."""

    def write(path: Path, x: np.ndarray, row_group_size: int = 300) -> Path:
        if path.suffix == ".npy":
            np.save(path, x)
        elif path.suffix == ".safetensors":
            save_file({"emb": x}, path)
        else:
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
            names = [f"row {i}" for i in range(len(x))]
            table = pa.table({"id": pa.array(range(len(x)), pa.int32()), "emb": vectors, "name": names})
            pq.write_table(table, path, row_group_size=row_group_size, compression="zstd")
        return path

    return write
