import json
import runpy
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from embcodec.data import load_folder, load_sample

MAKE_SAMPLE = Path(__file__).parents[2] / "scripts" / "make_sample.py"


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "base.npy", rng.normal(size=(5000, 8)).astype(np.float16))
    np.save(tmp_path / "query.npy", rng.normal(size=(600, 8)).astype(np.float16))
    lines = (json.dumps({"row": i, "section": ("web", "doc", "libs")[i % 3]}) for i in range(5000))
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_sample_has_the_documented_shapes():
    sample = load_sample()
    assert sample.base.shape == (4096, 384)
    assert sample.base.dtype == np.float32
    assert sample.queries.shape == (500, 384)
    assert sample.queries.dtype == np.float32
    np.testing.assert_array_equal(sample.relevant, np.arange(500))
    assert sample.labels.shape == (4096,)
    np.testing.assert_array_equal(np.unique(sample.labels), np.arange(len(sample.label_names)))
    np.testing.assert_allclose(np.linalg.norm(sample.base, axis=1), 1, atol=1e-3)


def test_sample_queries_find_their_rows_but_not_all_of_them():
    sample = load_sample()
    first = (sample.queries @ sample.base.T).argmax(axis=1)
    assert 0.6 < (first == sample.relevant).mean() < 0.9


def test_sample_is_frozen():
    with pytest.raises(FrozenInstanceError):
        load_sample().base = np.zeros((1, 1), np.float32)


def test_load_folder_reads_all_rows(folder):
    whole = load_folder(folder)
    np.testing.assert_array_equal(whole.base, np.load(folder / "base.npy").astype(np.float32))
    np.testing.assert_array_equal(whole.relevant, np.arange(600))
    assert whole.label_names == ("doc", "libs", "web")
    assert [whole.label_names[i] for i in whole.labels[:4]] == ["web", "doc", "libs", "web"]


def test_make_sample_is_deterministic_and_keeps_the_relevant_rows(folder):
    make_sample = runpy.run_path(str(MAKE_SAMPLE))
    assert make_sample["make_sample"](folder) == make_sample["make_sample"](folder)
    rows = make_sample["sample_rows"](5000)
    np.testing.assert_array_equal(rows[:500], np.arange(500))
    assert len(np.unique(rows)) == 4096
    assert rows.max() < 5000


def test_load_folder_refuses_a_wrong_dimension(folder):
    np.save(folder / "query.npy", np.zeros((3, 7), np.float32))
    with pytest.raises(ValueError, match=r"base.npy is \(5000, 8\), but query.npy is \(3, 7\)"):
        load_folder(folder)


def test_load_folder_refuses_a_wrong_dtype(folder):
    np.save(folder / "base.npy", np.zeros((5000, 8), np.int32))
    with pytest.raises(ValueError, match=r"base.npy must be 2-d float16 or float32, got 2-d int32"):
        load_folder(folder)


def test_load_folder_refuses_missing_labels(folder):
    (folder / "docs.jsonl").write_text('{"section": "web"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"5000 rows, but docs.jsonl has 1"):
        load_folder(folder)


@pytest.mark.parametrize("line", ['{"package": "x"}', "[]", "{"])
def test_load_folder_refuses_a_line_without_a_section(folder, line):
    (folder / "docs.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"every line of docs.jsonl must be a JSON object with a section"):
        load_folder(folder)
