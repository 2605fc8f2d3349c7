from pathlib import Path

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from embcodec.io import load_vectors
from embcodec.io.columns import rows_of
from embcodec.io.formats import find_files, open_source

FORMATS = [".npy", ".parquet", ".safetensors"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("start", [0, 1, 299, 300, 301, 999, 1000])
def test_rows_are_read_from_any_row_on(suffix: str, start: int, tmp_path: Path, x, write_vectors) -> None:
    source = open_source(write_vectors(tmp_path / f"x{suffix}", x), "vectors")
    assert (source.rows, source.width, source.dtype, source.row_bytes) == (
        *x.shape,
        np.float32,
        4 * x.shape[1],
    )
    batches = list(source.read(start, 128, [source.column]))
    assert all(0 < batch.num_rows <= 128 for batch in batches)
    rows = [rows_of(batch.column(0), "f") for batch in batches]
    np.testing.assert_array_equal(np.concatenate([x[:0], *rows]), x[start:])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", FORMATS)
def test_floats_come_as_they_are(suffix: str, dtype: type, tmp_path: Path, x, write_vectors) -> None:
    source = open_source(write_vectors(tmp_path / f"x{suffix}", x.astype(dtype)), "vectors")
    assert source.dtype == dtype
    np.testing.assert_array_equal(next(source.read_rows(2000))[:300], x.astype(dtype)[:300])


def test_bfloat16_tensors_come_as_float32(tmp_path: Path, x) -> None:
    brief = x.astype(ml_dtypes.bfloat16)
    save_file({"emb": brief}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(load_vectors(tmp_path / "x.safetensors"), brief.astype(np.float32))


def test_big_endian_arrays_come_in_native_order(tmp_path: Path, x) -> None:
    np.save(tmp_path / "x.npy", x.astype(">f4"))
    np.testing.assert_array_equal(load_vectors(tmp_path / "x.npy"), x)


def test_a_list_column_tells_its_width(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"v": pa.array([[1.0, 2.0]] * 5, pa.list_(pa.float64()))}), tmp_path / "x.parquet"
    )
    source = open_source(tmp_path / "x.parquet", "vectors")
    assert (source.width, source.row_bytes) == (2, 16)
    pq.write_table(pa.table({"v": pa.array([], pa.list_(pa.float64()))}), tmp_path / "x.parquet")
    assert open_source(tmp_path / "x.parquet", "vectors").width is None


def test_what_is_carried_along_is_measured(tmp_path: Path, x) -> None:
    """Both where the footer says it and where a dictionary hides it from the footer."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    for text in (["a" * 1000] * len(x), [f"{i:01000}" for i in range(len(x))]):
        pq.write_table(pa.table({"text": text, "v": vectors}), tmp_path / "x.parquet")
        assert 1000 <= open_source(tmp_path / "x.parquet", "vectors").carried_bytes <= 1100


def test_a_tensor_is_chosen_by_name_among_others(tmp_path: Path, x) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": x, "b": 2 * x, "labels": np.arange(len(x))}, path)
    np.testing.assert_array_equal(load_vectors(path, "b"), 2 * x)
    with pytest.raises(ValueError, match="one tensor must be 2-d, or --column choose among: a, b, labels"):
        load_vectors(path)
    with pytest.raises(ValueError, match="tensor 'labels' is I64"):
        load_vectors(path, "labels")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4), np.int32), "must be float16 or float32 or float64, got int32"),
        (np.zeros((3, 4), np.uint8), "must be float16 or float32 or float64, got uint8"),
        (np.zeros(3, np.float32), r"must have rows and columns, got shape \(3,\)"),
        (np.zeros((3, 0), np.float32), r"must have rows and columns, got shape \(3, 0\)"),
        (np.zeros((3, 4), np.float32, order="F"), "Fortran order"),
        (np.array([{}, {}], object), "must be .*, got object"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / "x.npy", "vectors")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_file_is_refused_at_any_length(suffix: str, tmp_path: Path, x, write_vectors) -> None:
    whole = write_vectors(tmp_path / f"x{suffix}", x).read_bytes()
    path = tmp_path / f"y{suffix}"
    for length in [0, 1, 7, 8, 9, 60, 128, 500, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"^{path}: [^\n]+$"):
            list(open_source(path, "vectors").read_rows(64))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_flipped_bit_is_refused_or_harmless(suffix: str, tmp_path: Path, x, write_vectors) -> None:
    data = bytearray(write_vectors(tmp_path / f"x{suffix}", x[:50]).read_bytes())
    rng = np.random.default_rng(0)
    path = tmp_path / f"y{suffix}"
    for position in [*range(12), *rng.integers(0, len(data), 100), *range(len(data) - 20, len(data))]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        refusal = None
        try:
            rows = np.concatenate(list(open_source(path, "vectors").read_rows(64)))
        except ValueError as error:
            refusal = str(error)
        assert str(path) in refusal if refusal else rows.ndim == 2


def test_a_folder_is_its_files_by_name(tmp_path: Path, x, write_vectors) -> None:
    for name in ("b.parquet", "a.parquet", "_metadata.parquet", ".c.parquet"):
        write_vectors(tmp_path / name, x)
    (tmp_path / "README.md").write_text("not rows")
    assert [path.name for path in find_files(tmp_path)] == ["a.parquet", "b.parquet"]
    assert len(load_vectors(tmp_path)) == 2 * len(x)


def test_other_folders_are_refused(tmp_path: Path, x, write_vectors) -> None:
    with pytest.raises(ValueError, match=r"files of one format, .*; found none"):
        find_files(tmp_path)
    for name in ("a.npy", "b.parquet"):
        write_vectors(tmp_path / name, x)
    with pytest.raises(ValueError, match=r"found .npy, .parquet"):
        find_files(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_files(tmp_path / "missing")


def test_loading_more_than_the_memory_holds_is_refused(tmp_path: Path, x, write_vectors) -> None:
    path = write_vectors(tmp_path / "x.npy", x)
    with pytest.raises(ValueError, match=r"a memory of 170.1 MB is too small: this takes 170.2 MB at least"):
        load_vectors(path, memory=170_100_000)
