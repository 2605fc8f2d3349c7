"""`embcodec bench` from the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import embcodec
from embcodec.bench import Measurement, Run, read_run

PACKAGE = Path(embcodec.__file__).parent


def write(path, seconds, name="x", **qualities):
    measurements = {name: Measurement("g", list(seconds), **qualities)}
    return Run("c", "2026-01-01", {}, measurements).write(path)


def test_run_keeps_kernels_and_codecs(run, tmp_path):
    out = tmp_path / "result.json"
    done = run("bench", "run", "-o", out, "--rounds", 2, "--rows", 300, "--dims", 32, "--only", "sq_topk",
               "--only", "SQ4 search")  # fmt: skip
    assert done.status == 0, done.err
    result = read_run(out)
    assert {"sq_topk-bits8", "rowsq_topk-bits4", "SQ4 search"} <= set(result.measurements)
    found = result.measurements["SQ4 search"]
    assert len(found.seconds) == 2
    assert found.accuracy["recall@10"] > 0.9
    kernel = result.measurements["sq_topk-bits8"]
    assert kernel.accuracy["recall@10"] > 0.8
    assert kernel.operations == 2 * 300 * 32 * 5
    assert result.setting == {
        **result.setting,
        "isa": embcodec.get_isa(),
        "rows": 300,
        "dims": 32,
        "threads": 1,
    }


def test_run_names_what_it_does_not_know(run, tmp_path):
    done = run("bench", "run", "-o", tmp_path, "--only", "nothing")
    assert (done.status, done.err) == (2, "embcodec: error: no benchmark's name contains 'nothing'\n")


def test_compare_leaves_with_1_on_a_regression(run, tmp_path):
    a = write(tmp_path / "a.json", np.linspace(1, 1.01, 20))
    slow = write(tmp_path / "slow.json", np.linspace(1.2, 1.21, 20))
    assert run("bench", "compare", a, a).status == 0
    done = run("bench", "compare", a, slow)
    assert done.status == 1
    assert "1.199" in done.out
    assert "1 slower" in done.out
    found = run("bench", "compare", a, slow, "--json")
    assert found.status == 1
    assert json.loads(found.out)[0]["verdict"] == "slower"
    assert run("bench", "compare", a, slow, "--speed", 0.3).status == 0
    assert run("bench", "compare", slow, a).status == 0


def test_compare_leaves_with_1_where_accuracy_fell(run, tmp_path):
    a = write(tmp_path / "a.json", [1.0], accuracy={"recall@10": 0.9})
    b = write(tmp_path / "b.json", [1.0], accuracy={"recall@10": 0.8})
    done = run("bench", "compare", a, b)
    assert done.status == 1
    assert "recall@10 0.9 to 0.8" in done.out


def test_compare_lists_what_changed_by_its_full_name(run, tmp_path):
    name = "benchmarks/b.py::test[bold-1]"  # markup for a terminal, if it were not escaped
    a = write(tmp_path / "a.json", np.linspace(1, 1.01, 20), name)
    b = write(tmp_path / "b.json", np.linspace(2, 2.01, 20), name)
    assert name in run("bench", "compare", a, b).out
    assert run("bench", "compare", a, a).out == "1 same\n"


def test_compare_says_when_it_cannot_decide(run, tmp_path):
    a, b = write(tmp_path / "a.json", [1.0]), write(tmp_path / "b.json", [1.5])
    done = run("bench", "compare", a, b)
    assert done.status == 2
    assert "1 benchmarks look slower, but it takes 7 rounds to decide" in done.err


def test_compare_wants_two_sides(run, tmp_path):
    done = run("bench", "compare", "--base", "python")
    assert (done.status, "give two stored results, or --base and --new" in done.err) == (2, True)


def test_page_and_import(run, tmp_path):
    a = write(tmp_path / "results" / "a.json", [1.0])
    done = run("bench", "page", a.parent, "-o", tmp_path / "page.html", "--title", "Ours")
    assert done.status == 0
    assert "<h1>Ours</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert run("bench", "run", "--from", a, "-o", tmp_path / "copies").status == 0
    assert [read_run(p) for p in (tmp_path / "copies").iterdir()] == [read_run(a)]


PLANT = '''
import functools as _functools

def _slower(function, share):
    """The same, after some of the rows."""
    @_functools.wraps(function)
    def call(codes, *args, **kwargs):
        rest = {key: value for key, value in kwargs.items() if key != "out"}
        function(codes[: int(len(codes) * share)], *args, **rest)
        return function(codes, *args, **kwargs)
    return call

sq_topk = _slower(sq_topk, 0.15)
'''


@pytest.fixture
def changed_tree(tmp_path):
    """A copy of the package with something added to one of its files."""

    def change(file, text):
        shutil.copytree(PACKAGE, tmp_path / "embcodec", ignore=shutil.ignore_patterns("__pycache__"))
        path = tmp_path / "embcodec" / file
        path.write_text(path.read_text() + text)
        return tmp_path

    return change


def test_two_trees_are_measured_judged_and_kept(run, changed_tree, tmp_path):
    gone = changed_tree("reference/__init__.py", '\ndel REGISTRY["sq_topk"]\n')
    small = ("--rows", 256, "--dims", 16, "--rounds", 1, "--speed", 100, "--save", tmp_path / "kept")
    done = run("bench", "compare", *small, "--only", "sq_topk-bits8", "--base", PACKAGE.parent, "--new", gone)
    assert done.status == 1
    assert "1 missing, 1 same" in done.out
    base, new = (read_run(tmp_path / "kept" / name) for name in ("base.json", "new.json"))
    assert list(base.measurements) == ["sq_topk-bits8", "rowsq_topk-bits8"]
    assert list(new.measurements) == ["rowsq_topk-bits8"]
    assert base.rounds_of == new.rounds_of != ""
    assert new.measurements["rowsq_topk-bits8"].accuracy["recall@10"] > 0.8


def test_a_tree_that_cannot_be_measured_says_why(run, changed_tree):
    broken = changed_tree("bench/__init__.py", "\nraise ImportError('something is missing')\n")
    done = run("bench", "compare", "--base", PACKAGE.parent, "--new", broken, "--only", "sq_topk-bits8")
    assert done.status == 2
    assert "something is missing" in done.err


COMPARE = ("bench", "compare", "--rounds", 3, "--only", "sq_topk-bits8", "--rows", 20000)


@pytest.mark.slow
def test_a_planted_slowdown_of_a_kernel_is_caught_between_two_trees(run, changed_tree):
    planted = changed_tree("kernels/__init__.py", PLANT)
    done = run(*COMPARE, "--base", PACKAGE.parent, "--new", planted, "--json")
    assert done.status == 1, done.err
    verdicts = {change["name"]: change["verdict"] for change in json.loads(done.out)}
    assert verdicts == {"sq_topk-bits8": "slower", "rowsq_topk-bits8": "same"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_comparisons_of_a_tree_with_itself_raise_no_alarm(run):
    for _ in range(10):
        done = run(*COMPARE, "--base", PACKAGE.parent, "--new", PACKAGE.parent)
        assert done.status == 0, done.out
