"""The comparison with peers: what its numbers mean, and that it runs, resumes and reports."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def record(**changes):
    from quality_store import Record

    values = {
        "data": "x",
        "dims": 8,
        "protocol": "half",
        "family": "a",
        "codec": "c",
        "bytes": 4.0,
        "recall": 0.5,
        "metric": "ip",
        "distortion": 0.1,
        "bound": 0.1,
        "fit_seconds": 0.0,
        "encode_seconds": 0.0,
    }
    return Record(**{**values, **changes})


def test_the_bound_of_equal_variances_is_the_gaussian_rate_distortion_function():
    from quality_data import gaussian_bound

    for bits in (0.5, 1, 2, 4):
        assert gaussian_bound(np.full(16, 3.0), bits) == pytest.approx(4.0**-bits)


def test_the_bound_gives_weak_components_no_bits():
    from quality_data import gaussian_bound

    # Half a bit a dimension is one bit for the strong component: 4 -> 1, which is the weak one's level too.
    assert gaussian_bound(np.array([4.0, 1.0]), 0.5) == pytest.approx(2 / 5)
    assert gaussian_bound(np.array([4.0, 0.0]), 1.0) == pytest.approx(4.0**-2)


def test_a_curve_keeps_what_no_other_beats_and_is_linear_in_the_logarithm_of_bytes():
    from quality_curves import bytes_at, recall_at, recall_curve

    points = [(4, 0.5), (8, 0.4), (16, 0.9), (16, 0.7)]
    curve = recall_curve([record(bytes=b, recall=r, codec=str(i)) for i, (b, r) in enumerate(points)])
    assert curve == [(4, 0.5), (16, 0.9)]
    assert recall_at(curve, 8) == pytest.approx(0.7)
    assert bytes_at(curve, 0.7) == pytest.approx(8)
    assert recall_at(curve, 3) is None
    assert recall_at(curve, 17.5) == 0.9  # which a code of 16 bytes fits
    assert recall_at(curve, 18) is None
    assert bytes_at(curve, 0.95) is None
    assert bytes_at(curve, 0.3) == 4


def test_excess_is_in_decibels_above_the_bound():
    from quality_curves import distortion_curve, excess_at

    curve = distortion_curve([record(bytes=2), record(bytes=4, distortion=0.05, bound=0.025)])
    assert curve == [(2.0, 0.0), (4.0, pytest.approx(10 * math.log10(2)))]
    assert excess_at(curve, 3) == pytest.approx(5 * math.log10(2))


def test_a_run_measures_once_and_reports(tmp_path):
    rng = np.random.default_rng(0)
    for name, rows in (("base", 800), ("query", 30)):
        x = rng.standard_normal((rows, 64)).astype(np.float16)
        np.save(tmp_path / f"{name}.npy", x)
    results = tmp_path / "out" / "quality.json"
    command = [sys.executable, BENCHMARKS / "quality.py", tmp_path, "--results", results, "--only", "ours"]
    command += ["--protocol", "half", "--spec", "TCQ{}B", "--spec", "SQ8", "--bits", "1", "2"]

    def run(*arguments):
        return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout

    assert run(*command).count("recall") == 3
    assert run(*command) == ""
    rows = json.loads(results.read_text())
    found = [dict(zip(rows["columns"], row, strict=True)) for row in rows["records"]]
    assert [(r["codec"], r["bytes"]) for r in found] == [("TCQ8B", 8), ("TCQ16B", 16), ("SQ8", 64)]
    assert found[0]["recall"] < found[1]["recall"] < found[2]["recall"]
    assert all(r["distortion"] > 0.9 * r["bound"] for r in found)
    assert "| **" in run(sys.executable, BENCHMARKS / "quality_report.py", results)
