"""The table of goals: what counts as met, and that every line runs, resumes and is reported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import embcodec

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def record(**changes):
    from ratio_store import Record

    values = {
        "line": "SQ8 scan, 1 query",
        "dims": 384,
        "rows": 1000,
        "threads": 1,
        "level": "best",
        "kind": "ratio",
        "goal": 1.6,
        "peer": "FAISS",
        "figure": [1.8, 2.0, 2.2],
        "seconds": {"embcodec": 0.001, "FAISS": 0.002, "NumKong": 0.0005},
        "ratios": {"FAISS": [1.8, 2.0, 2.2], "NumKong": [0.4, 0.5, 0.6]},
        "quality": {"embcodec": 0.99, "FAISS": 0.98, "NumKong": 0.9},
        "measure": "recall@10",
        "equals": ["FAISS"],
        "does_less": False,
        "rounds": 15,
        "isa": "avx2",
        "cpu": "x",
        "commit": "c",
    }
    return Record(**{**values, **changes})


def test_a_goal_is_met_by_its_figure_beside_equal_peers_only():
    assert record().met
    assert not record(goal=2.1).met
    assert not record(equals=["FAISS", "NumKong"]).met
    assert not record(does_less=True).met
    assert not record(figure=[]).met
    assert record(kind="overhead", goal=10e-6, figure=[8e-6, 9e-6, 11e-6], equals=["NumKong"]).met
    assert not record(kind="overhead", goal=10e-6, figure=[8e-6, 11e-6, 12e-6]).met


def test_a_missed_goal_says_by_how_much():
    from ratio_report import tables

    text = tables([record(goal=4.0, equals=["FAISS", "NumKong"]), record(dims=768, level="avx2", goal=1.0)])
    assert "2.00 x: 50% short; NumKong is 2.0 x faster" in text
    assert "| **2.00 x**" in text
    assert "0 of 1 goals met" in text
    assert "1 of 1 goals met" in text


def test_a_faster_peer_that_does_not_count_is_named():
    from ratio_report import tables

    text = tables([record(equals=["FAISS"])])
    assert "**2.00 x**; NumKong, which does not count, is 2.0 x faster |" in text
    assert "1 of 1 goals met" in text


def test_peers_with_codes_brought_into_another_order_do_not_count():
    from lines import Contest

    contest = Contest(lambda: None, quality={"embcodec": 0.9, "a": 0.9, "b": 0.9}, prepared=frozenset("a"))
    assert [contest.does_the_job(name) for name in "ab"] == [False, True]


def test_results_do_the_job_of_a_peer_up_to_noise():
    from lines import Contest

    recall = Contest(lambda: None, quality={"embcodec": 0.90, "a": 0.905, "b": 0.88, "c": 0.92})
    assert [recall.does_the_job(name) for name in "abcd"] == [True, False, True, True]
    assert [recall.keeps_up_with(name) for name in "abcd"] == [True, True, False, True]
    error = Contest(
        lambda: None, quality={"embcodec": 0.10, "a": 0.1005, "b": 0.12, "c": 0.09}, better="less"
    )
    assert [error.does_the_job(name) for name in "abc"] == [True, False, True]
    assert [error.keeps_up_with(name) for name in "abc"] == [True, True, False]


def run(*arguments):
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def test_a_run_measures_once_again_where_asked_and_reports(tmp_path):
    from lines import LINES

    results, page = tmp_path / "ratios.json", tmp_path / "page.md"
    command = [sys.executable, BENCHMARKS / "ratios.py", "-o", results, "--rows", "600", "--dims", "32"]
    command += ["--threads", "1", "--levels", "best", "--rounds", "1"]
    assert run(*command).count("\n") == len(LINES)
    assert run(*command) == ""
    before = json.loads(results.read_text())
    assert run(*command, "--only", "SQ8 scan, 1 query").count("\n") == 1
    after = json.loads(results.read_text())
    assert [r["line"] for r in after] == [r["line"] for r in before]
    assert all(r["figure"] for r in after if r["peer"] in r["seconds"])
    good = [r for r in after if r["measure"] == "recall@10" and r["line"].startswith("SQ8")]
    assert len(good) == 2
    assert all(quality > 0.9 for r in good for quality in r["quality"].values())

    page.write_text("before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter\n")
    run(sys.executable, BENCHMARKS / "ratio_report.py", results, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert all(f"| {line.name} |" in text for line in LINES)


@pytest.mark.skipif("avx2" not in embcodec.available_isa(), reason="this machine has no AVX2")
def test_the_avx2_level_is_forced_on_both_sides(tmp_path):
    results = tmp_path / "ratios.json"
    command = [sys.executable, BENCHMARKS / "ratios.py", "-o", results, "--rows", "600", "--dims", "32"]
    run(*command, "--threads", "1", "--levels", "avx2", "--rounds", "1", "--only", "SQ8 scan")
    records = json.loads(results.read_text())
    assert [(r["isa"], r["peer"], list(r["ratios"])) for r in records] == [("avx2", "FAISS", ["FAISS"])] * 2
