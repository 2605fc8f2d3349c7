from pathlib import Path

import numpy as np
import pytest

import embcodec
from embcodec.io import check_codec_path, fit_file

FORMATS = [".npy", ".parquet", ".safetensors"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_fits_as_its_array_does(suffix: str, tmp_path: Path, x, write_vectors) -> None:
    path = write_vectors(tmp_path / f"x{suffix}", x)
    for spec in ("SQ8", "PCA8,SQ4"):
        expected = embcodec.Codec(spec, seed=3).fit(x)
        assert fit_file(path, spec, seed=3).fingerprint == expected.fingerprint


def test_a_folder_fits_as_its_rows_do(tmp_path: Path, x, codec, write_vectors) -> None:
    for name, rows in {"a.npy": x[:100], "b.npy": x[:0], "c.npy": x[100:]}.items():
        write_vectors(tmp_path / name, rows)
    assert fit_file(tmp_path, "SQ8").fingerprint == codec.fingerprint


def test_a_small_memory_takes_a_sample(tmp_path: Path, x, codec, write_vectors, monkeypatch) -> None:
    path = write_vectors(tmp_path / "x.npy", np.tile(x, (20, 1)) * np.linspace(0.1, 1, 20_000)[:, None])
    memory = 170_000_000 + 1_000_000
    small = fit_file(path, "SQ8", memory=memory)
    assert small.fingerprint == fit_file(path, "SQ8", memory=memory).fingerprint
    assert small.fingerprint != fit_file(path, "SQ8").fingerprint
    with pytest.raises(ValueError, match=r"a memory of 170.0 MB is too small"):
        fit_file(path, "SQ8", memory=170_000_001)


def test_a_row_that_is_not_finite_is_named_by_file(tmp_path: Path, x, write_vectors) -> None:
    bad = x.copy()
    bad[321, 0] = np.inf
    write_vectors(tmp_path / "a.npy", x)
    write_vectors(tmp_path / "b.npy", bad)
    with pytest.raises(ValueError, match=r"b.npy: vector has a non-finite value in row 321$"):
        fit_file(tmp_path, "SQ8")


def test_files_of_different_dimensions_are_refused(tmp_path: Path, x, write_vectors) -> None:
    write_vectors(tmp_path / "a.npy", x)
    write_vectors(tmp_path / "b.npy", x[:, :9].copy())
    with pytest.raises(ValueError, match=r"same dimensions: a.npy has 24, b.npy has 9"):
        fit_file(tmp_path, "SQ8")


def test_no_rows_are_too_few(tmp_path: Path, x, write_vectors) -> None:
    with pytest.raises(ValueError, match="has no rows"):
        fit_file(write_vectors(tmp_path / "x.parquet", x[:0]), "SQ8")


def test_a_path_is_refused_before_the_work(tmp_path: Path) -> None:
    x = tmp_path / "x.safetensors"
    x.touch()
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        check_codec_path(tmp_path / "codec.bin", x, False)
    with pytest.raises(ValueError, match="is an input"):
        check_codec_path(x, x, True)
    with pytest.raises(FileExistsError):
        check_codec_path(x, tmp_path / "y.npy", False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        check_codec_path(tmp_path / "missing" / "c.safetensors", x, False)
