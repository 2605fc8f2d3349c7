import contextlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import embcodec
from embcodec.io import Handling, decode_file, encode_file
from embcodec.io.formats import open_source

FORMATS = [".npy", ".parquet", ".safetensors"]


def rows_in(path: Path, kind: str) -> np.ndarray:
    return np.concatenate(list(open_source(path, kind).read_rows(256)))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch) -> None:
    """Several batches a chunk and several chunks a file, at borders that row groups do not share."""
    monkeypatch.setattr("embcodec.io.plan._CHUNK_ROWS", 256)
    monkeypatch.setattr("embcodec.io.plan._BATCH_BYTES", 2 * 64 * 4 * 24)


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("read", FORMATS)
def test_files_hold_what_the_codec_makes(
    read: str, written: str, tmp_path: Path, x, codec, codec_file, write_vectors
) -> None:
    source = write_vectors(tmp_path / f"x{read}", x)
    codes, vectors = tmp_path / f"codes{written}", tmp_path / f"y{read}"
    summary = encode_file(source, codec_file, codes)
    assert (summary.rows, summary.bytes_written) == (1000, 1000 * codec.code_size)
    np.testing.assert_array_equal(rows_in(codes, "codes"), codec.encode(x))
    decode_file(codes, codec_file, vectors)
    np.testing.assert_array_equal(rows_in(vectors, "vectors"), codec.transform(x))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {source.name, codes.name, vectors.name} | (
        {"codes.npy.json"} if written == ".npy" else set()
    )


def test_numpy_and_safetensors_read_what_is_written(
    tmp_path: Path, x, codec, codec_file, write_vectors
) -> None:
    source = write_vectors(tmp_path / "x.npy", x)
    for suffix in (".npy", ".safetensors"):
        encode_file(source, codec_file, tmp_path / f"codes{suffix}")
        decode_file(tmp_path / f"codes{suffix}", codec_file, tmp_path / f"y{suffix}")
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codec.encode(x))
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), codec.transform(x))
    np.testing.assert_array_equal(load_file(tmp_path / "codes.safetensors")["codes"], codec.encode(x))
    np.testing.assert_array_equal(load_file(tmp_path / "y.safetensors")["vector"], codec.transform(x))


def test_codes_say_which_codec_wrote_them(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / "x.parquet", x)
    for suffix in FORMATS:
        encode_file(source, codec_file, tmp_path / f"codes{suffix}")
    expected = {
        "embcodec.fingerprint": codec.fingerprint,
        "embcodec.spec": "SQ8",
        "embcodec.d": "24",
        "embcodec.column": "emb",
    }
    assert json.loads((tmp_path / "codes.npy.json").read_text()) == expected
    with safe_open(tmp_path / "codes.safetensors", "numpy") as file:
        assert file.metadata() == expected
    metadata = pq.read_schema(tmp_path / "codes.parquet").metadata
    assert expected.items() <= {key.decode(): value.decode() for key, value in metadata.items()}.items()


def test_other_columns_are_carried_along_in_place(tmp_path: Path, x, codec_file) -> None:
    table = pa.table(
        {
            "id": pa.array(range(1000), pa.int32()),
            "emb": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 24),
            "tags": [[str(i), None] if i % 3 else None for i in range(1000)],
            "kind": pa.array([f"kind {i % 7}" for i in range(1000)]).dictionary_encode(),
            "when": pa.array(range(1000), pa.timestamp("us", "UTC")),
            "nested": [{"a": i, "b": {"c": None if i % 5 == 0 else 1.5 * i}} for i in range(1000)],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=300, compression="zstd")
    encode_file(tmp_path / "x.parquet", codec_file, tmp_path / "codes.parquet")
    decode_file(tmp_path / "codes.parquet", codec_file, tmp_path / "y.parquet")
    codes, y = pq.read_table(tmp_path / "codes.parquet"), pq.read_table(tmp_path / "y.parquet")
    assert codes.column_names == ["id", "code", "tags", "kind", "when", "nested"]
    assert y.column_names == table.column_names
    for name in ("id", "tags", "kind", "when", "nested"):
        assert codes.schema.field(name).type == y.schema.field(name).type == table.schema.field(name).type
        assert codes[name].to_pylist() == y[name].to_pylist() == table[name].to_pylist()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_carried_columns_keep_their_compression(
    compression: str, tmp_path: Path, x, codec, codec_file, write_vectors
) -> None:
    table = pq.read_table(write_vectors(tmp_path / "x.parquet", x))
    pq.write_table(table, tmp_path / "x.parquet", compression=compression)
    encode_file(tmp_path / "x.parquet", codec_file, tmp_path / "codes.parquet")
    before, after = (
        pq.ParquetFile(tmp_path / name).metadata.row_group(0) for name in ("x.parquet", "codes.parquet")
    )
    assert [after.column(i).compression for i in (0, 2)] == [before.column(i).compression for i in (0, 2)]
    assert after.column(1).compression == "UNCOMPRESSED"
    assert pq.read_table(tmp_path / "codes.parquet")["name"].equals(table["name"])


def test_columns_without_a_place_are_named(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / "x.parquet", x)
    assert encode_file(source, codec_file, tmp_path / "codes.npy").left_out == ["id", "name"]
    assert encode_file(source, codec_file, tmp_path / "codes.parquet").left_out == []


def test_a_column_called_code_is_not_overwritten(tmp_path: Path, x, codec_file) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 24)
    pq.write_table(pa.table({"code": range(1000), "emb": vectors}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="already has a column 'code', which encode would write"):
        encode_file(tmp_path / "x.parquet", codec_file, tmp_path / "codes.parquet")
    encode_file(tmp_path / "x.parquet", codec_file, tmp_path / "codes.npy")


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_rows_are_rows_too(suffix: str, tmp_path: Path, x, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / f"x{suffix}", x[:0])
    codes, y = tmp_path / f"codes{suffix}", tmp_path / f"y{suffix}"
    assert encode_file(source, codec_file, codes).rows == 0
    assert decode_file(codes, codec_file, y).rows == 0
    assert open_source(y, "vectors").width == 24


def test_half_precision(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / "x.parquet", x)
    encode_file(source, codec_file, tmp_path / "codes.parquet")
    for suffix in FORMATS:
        y = tmp_path / f"y{suffix}"
        decode_file(tmp_path / "codes.parquet", codec_file, y, dtype="float16")
        assert rows_in(y, "vectors").dtype == np.float16
        np.testing.assert_array_equal(rows_in(y, "vectors"), codec.transform(x).astype(np.float16))


def test_a_value_beyond_half_precision_is_refused(tmp_path: Path, x, write_vectors) -> None:
    big = x.copy()
    big[777, 3] = 1e6
    embcodec.Codec("SQ8").fit(big).save(tmp_path / "c.safetensors")
    encode_file(write_vectors(tmp_path / "x.npy", big), tmp_path / "c.safetensors", tmp_path / "codes.npy")
    with pytest.raises(ValueError, match="as float16 has a non-finite value in row 777"):
        decode_file(tmp_path / "codes.npy", tmp_path / "c.safetensors", tmp_path / "y.npy", dtype="float16")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_row_that_is_not_finite_is_named(suffix: str, tmp_path: Path, x, codec_file, write_vectors) -> None:
    for row, value in ((0, np.nan), (777, -np.inf), (999, np.nan)):
        bad = x.copy()
        bad[row, 5] = value
        source = write_vectors(tmp_path / f"x{suffix}", bad)
        with pytest.raises(ValueError, match=rf"^{source}: \w+ has a non-finite value in row {row}$"):
            encode_file(source, codec_file, tmp_path / "codes.npy")
        assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_codes_of_another_codec_are_refused(
    suffix: str, tmp_path: Path, x, codec, codec_file, other_codec, write_vectors
) -> None:
    other_codec.save(tmp_path / "other.safetensors")
    codes = tmp_path / f"codes{suffix}"
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, codes)
    with pytest.raises(ValueError, match=f"{codec.fingerprint}.*{other_codec.fingerprint}"):
        decode_file(codes, tmp_path / "other.safetensors", tmp_path / "y.npy")
    assert not (tmp_path / "y.npy").exists()


def test_codes_that_do_not_say_whose_are_refused(tmp_path: Path, x, codec, codec_file) -> None:
    np.save(tmp_path / "codes.npy", codec.encode(x))
    with pytest.raises(ValueError, match="does not say which codec wrote it"):
        decode_file(tmp_path / "codes.npy", codec_file, tmp_path / "y.npy")


def test_another_dimension_is_refused(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / "x.parquet", x[:, :20].copy())
    with pytest.raises(ValueError, match="rows have 20 dimensions, the codec takes 24"):
        encode_file(source, codec_file, tmp_path / "codes.npy")


def test_a_folder_becomes_a_folder(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    (tmp_path / "x").mkdir()
    parts = {"a.parquet": x[:400], "b.parquet": x[400:400], "c.parquet": x[400:]}
    for name, rows in parts.items():
        write_vectors(tmp_path / "x" / name, rows)
    assert encode_file(tmp_path / "x", codec_file, tmp_path / "codes").files == 3
    decode_file(tmp_path / "codes", codec_file, tmp_path / "y")
    assert {path.name for path in tmp_path.iterdir()} == {"x", "codes", "y"}
    for name, rows in parts.items():
        assert open_source(tmp_path / "codes" / name, "codes").rows == len(rows)
        if len(rows):
            np.testing.assert_array_equal(rows_in(tmp_path / "y" / name, "vectors"), codec.transform(rows))


def test_all_files_of_a_folder_are_checked_before_any_is_written(
    tmp_path: Path, x, codec_file, write_vectors
) -> None:
    (tmp_path / "x").mkdir()
    write_vectors(tmp_path / "x" / "a.npy", x)
    write_vectors(tmp_path / "x" / "b.npy", x[:, :5].copy())
    with pytest.raises(ValueError, match=r"b.npy: rows have 5 dimensions"):
        encode_file(tmp_path / "x", codec_file, tmp_path / "codes")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_input_is_never_the_output(tmp_path: Path, x, codec_file, write_vectors) -> None:
    source = write_vectors(tmp_path / "x.npy", x)
    for out in (source, codec_file):
        with pytest.raises(ValueError, match="is an input, and cannot be the output"):
            encode_file(source, codec_file, out, handling=Handling(overwrite=True))


def test_no_wrong_code_comes_out_of_a_damaged_parquet_file(
    tmp_path: Path, x, codec, codec_file, write_vectors
) -> None:
    """Pages have checksums."""
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, tmp_path / "codes.parquet")
    whole = (tmp_path / "codes.parquet").read_bytes()
    pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    damaged = tmp_path / "damaged.parquet"
    rng = np.random.default_rng(0)
    for position in rng.integers(4, pages, 300):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(flipped)
        with contextlib.suppress(ValueError):
            np.testing.assert_array_equal(rows_in(damaged, "codes"), codec.encode(x))
