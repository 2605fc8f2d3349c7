from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

import embcodec
from embcodec.io import encode_file, search_file, write_answers

FORMATS = [".npy", ".parquet", ".safetensors"]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch) -> None:
    monkeypatch.setattr("embcodec.io.search._BATCH_BYTES", 128 * 4 * 24)
    monkeypatch.setattr("embcodec.io.search._QUERY_BLOCK", 3)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_batches_find_what_one_search_finds(
    suffix: str, metric: str, tmp_path: Path, x, codec, codec_file, write_vectors
) -> None:
    codes = tmp_path / f"codes{suffix}"
    encode_file(write_vectors(tmp_path / "x.parquet", x), codec_file, codes)
    answers = search_file(codes, codec_file, x[:10], k=200, metric=metric)
    scores, ids = codec.search(codec.encode(x), x[:10], k=200, metric=metric)
    np.testing.assert_array_equal(answers.ids, ids)
    np.testing.assert_array_equal(answers.scores, scores)


def test_of_equal_scores_the_first_row_comes_first(tmp_path: Path, x, codec_file, write_vectors) -> None:
    same = np.repeat(x[:1], 1000, axis=0)
    encode_file(write_vectors(tmp_path / "x.npy", same), codec_file, tmp_path / "codes.npy")
    answers = search_file(tmp_path / "codes.npy", codec_file, x[:2], k=300)
    np.testing.assert_array_equal(answers.ids, [range(300)] * 2)


def test_all_rows_can_be_asked_for_and_no_more(tmp_path: Path, x, codec_file, write_vectors) -> None:
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, tmp_path / "codes.npy")
    answers = search_file(tmp_path / "codes.npy", codec_file, x[:2], k=1000)
    np.testing.assert_array_equal(np.sort(answers.ids, 1), [range(1000)] * 2)
    with pytest.raises(ValueError, match=r"k must be in 1..1000, the number of rows, got 1001"):
        search_file(tmp_path / "codes.npy", codec_file, x[:2], k=1001)


def test_ids_count_through_a_folder(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    (tmp_path / "x").mkdir()
    for name, rows in {"a.parquet": x[:333], "b.parquet": x[:0], "c.parquet": x[333:]}.items():
        write_vectors(tmp_path / "x" / name, rows)
    encode_file(tmp_path / "x", codec_file, tmp_path / "codes")
    answers = search_file(tmp_path / "codes", codec_file, x[:5], k=7)
    np.testing.assert_array_equal(answers.ids, codec.search(codec.encode(x), x[:5], k=7)[1])


def test_rows_are_named_by_a_column(tmp_path: Path, x, codec_file, write_vectors) -> None:
    encode_file(write_vectors(tmp_path / "x.parquet", x), codec_file, tmp_path / "codes.parquet")
    answers = search_file(tmp_path / "codes.parquet", codec_file, x[:10], k=50, id_column="name")
    assert answers.names.to_pylist() == [f"row {i}" for i in answers.ids.ravel()]
    with pytest.raises(ValueError, match="no column 'url' beside the codes"):
        search_file(tmp_path / "codes.parquet", codec_file, x[:10], id_column="url")


def test_codes_of_another_codec_are_refused(
    tmp_path: Path, x, codec_file, other_codec, write_vectors
) -> None:
    other_codec.save(tmp_path / "other.safetensors")
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, tmp_path / "codes.npy")
    with pytest.raises(ValueError, match=r"codes of codec .* but the codec given is"):
        search_file(tmp_path / "codes.npy", tmp_path / "other.safetensors", x[:2])


def test_more_queries_than_the_memory_holds_are_refused(tmp_path: Path, x, codec_file, write_vectors) -> None:
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, tmp_path / "codes.npy")
    with pytest.raises(ValueError, match=r"a memory of 200.0 MB is too small: this takes 242.2 MB at least"):
        search_file(tmp_path / "codes.npy", codec_file, x, k=1000, memory=200_000_000)


def test_answers_are_written_whole(tmp_path: Path, x, codec, codec_file, write_vectors) -> None:
    encode_file(write_vectors(tmp_path / "x.parquet", x), codec_file, tmp_path / "codes.parquet")
    answers = search_file(tmp_path / "codes.parquet", codec_file, x[:4], k=3, id_column="name")
    write_answers(answers, tmp_path / "hits.safetensors")
    tensors = load_file(tmp_path / "hits.safetensors")
    np.testing.assert_array_equal(tensors["ids"], answers.ids)
    np.testing.assert_array_equal(tensors["scores"], answers.scores)
    write_answers(answers, tmp_path / "hits.parquet")
    hits = pq.read_table(tmp_path / "hits.parquet")
    assert hits.column_names == ["query", "rank", "id", "name", "score"]
    assert hits["query"].to_pylist() == [q for q in range(4) for _ in range(3)]
    assert hits["rank"].to_pylist() == [0, 1, 2] * 4
    np.testing.assert_array_equal(hits["id"], answers.ids.ravel())
    assert hits["name"].type == pa.string()
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_codec_is_refused(tmp_path: Path, x, codec_file, write_vectors) -> None:
    encode_file(write_vectors(tmp_path / "x.npy", x), codec_file, tmp_path / "codes.npy")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(codec_file.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"damaged.safetensors is not a codec file, or damaged"):
        search_file(tmp_path / "codes.npy", damaged, x[:2])
    assert isinstance(embcodec.load(codec_file), embcodec.Codec)
