"""Results in files."""

import json

import pytest

from embcodec.bench import Measurement, read_run, read_runs


def test_a_run_is_read_as_it_was_written(tmp_path, make_run):
    run = make_run({"x": [0.1, 0.2]}, accuracy={"recall@10": 0.9}, bytes=10, operations=20, rounds_of="r")
    assert read_run(run.write(tmp_path / "a.json")) == run


def test_a_folder_names_files_by_time_and_commit_and_sorts_by_time(tmp_path, make_run):
    times = ["2026-01-02T00:00:00+00:00", "2026-01-01T23:30:00-02:00", "2026-01-01T09:00:00Z"]
    for i, time in enumerate(times):
        make_run({"x": [1.0]}, commit=f"commit{i}", time=time).write(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir())[-1] == "2026-01-02T000000-commit0.json"
    assert [run.commit for run in read_runs(tmp_path)] == ["commit2", "commit0", "commit1"]


def test_pytest_benchmark_is_read_with_its_extra_info(benchmark_json):
    extra = {"bytes": 7, "accuracy": {"recall@10": 0.9}, "isa": "avx2", "threads": 2, "unknown": 1}
    run = read_run(benchmark_json(extra=extra))
    assert run.label == "0123456789"
    assert run.machine == {"cpu": "A processor", "isa": "avx2", "threads": 2}
    expected = Measurement("b.py", [0.002], bytes=7, accuracy={"recall@10": 0.9})
    assert run.measurements == {"b.py::test_x": expected}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"format": 2, "commit": "c"}',
        '{"commit_info": {}}',
        json.dumps({"format": 1, "x": 1}),
    ],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"x\.json: not a result of benchmarks"):
        read_run(path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no \.json files"):
        read_runs(tmp_path)
