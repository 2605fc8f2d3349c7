"""Two runs side by side."""

import pytest

from embcodec.bench import Side, Tolerance, Verdict, compare, compare_sides

TIMES = [1.0 + i / 1000 for i in range(20)]


def verdicts(changes):
    return {change.name: change.verdict for change in changes}


def test_each_benchmark_gets_a_verdict(make_run):
    base = make_run({"slow": TIMES, "fast": TIMES, "same": TIMES, "gone": TIMES}, rounds_of="r")
    slower = {
        "slow": [1.2 * t for t in TIMES],
        "fast": [0.7 * t for t in TIMES],
        "same": TIMES,
        "fresh": TIMES,
    }
    changes = compare(base, make_run(slower, rounds_of="r"))
    assert verdicts(changes) == {
        "slow": Verdict.slower,
        "fast": Verdict.faster,
        "same": Verdict.same,
        "gone": Verdict.missing,
    }
    assert [c.name for c in changes if c.is_regression] == ["slow", "gone"]
    assert changes[0].ratio.middle == pytest.approx(1.2)


def test_a_slowdown_within_the_tolerance_is_none(make_run):
    base, new = make_run({"x": TIMES}), make_run({"x": [1.2 * t for t in TIMES]})
    assert verdicts(compare(base, new, Tolerance(speed=0.25))) == {"x": Verdict.same}


def test_too_few_rounds_leave_a_suspicion_undecided(make_run):
    base = make_run({"x": TIMES[:3], "y": TIMES[:3]})
    new = make_run({"x": [1.2 * t for t in TIMES[:3]], "y": TIMES[:3]})
    changes = compare(base, new)
    assert verdicts(changes) == {"x": Verdict.undecided, "y": Verdict.same}
    assert not any(change.is_regression for change in changes)


def test_results_of_another_setting_are_refused(make_run):
    base, new = (make_run({"x": TIMES}, machine={"cpu": "x", "rows": rows}) for rows in (100, 200))
    with pytest.raises(ValueError, match="the results differ in rows: 100 and 200"):
        compare(base, new)


def test_less_accuracy_and_more_error_are_regressions(make_run):
    was = make_run({"x": TIMES}, accuracy={"recall@10": 0.95}, error={"distortion": 0.1})

    def verdict(**quality):
        quality = {"accuracy": {"recall@10": 0.95}, "error": {"distortion": 0.1}, **quality}
        return compare(was, make_run({"x": TIMES}, **quality))[0]

    assert verdict().verdict is Verdict.same
    assert verdict(accuracy={"recall@10": 0.947}).verdict is Verdict.same
    assert verdict(accuracy={"recall@10": 0.94}).quality == ("recall@10 0.95 to 0.94",)
    assert verdict(accuracy={}).quality == ("recall@10 0.95 to nothing",)
    assert verdict(error={"distortion": 0.101}).verdict is Verdict.same
    assert verdict(error={"distortion": 0.103}).verdict is Verdict.worse


def sides(fake_side, **new):
    return Side.parse(fake_side()), Side.parse(fake_side(**new))


def test_a_suspicion_is_decided_in_fresh_rounds(fake_side):
    seen = []
    found = compare_sides(
        *sides(fake_side, slowdown=1.15), rounds=2, on_round=lambda purpose, i, n: seen.append((purpose, n))
    )
    assert verdicts(found.changes) == {"a": Verdict.same, "b": Verdict.slower}
    assert seen == [("screen", 2)] * 2 + [("confirm", 25)] * 25
    assert [len(m.seconds) for m in found.base.measurements.values()] == [2, 2]


def test_ten_comparisons_of_the_same_with_itself_raise_no_alarm(fake_side):
    for _ in range(10):
        found = compare_sides(*sides(fake_side), rounds=3)
        assert set(verdicts(found.changes).values()) == {Verdict.same}


def test_accuracy_is_compared_between_commands(fake_side):
    found = compare_sides(*sides(fake_side, recall=0.8), rounds=1)
    assert set(verdicts(found.changes).values()) == {Verdict.worse}


def test_sides_that_are_none_are_refused(tmp_path, fake_side):
    with pytest.raises(ValueError, match="no Python interpreter, no folder that holds embcodec/"):
        Side.parse(str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"no command with \{out\}"):
        Side.parse(str(tmp_path))


def test_a_side_that_fails_says_why(fake_side):
    broken = Side.parse("sh -c 'echo out of luck >&2; exit 3' {out}")
    with pytest.raises(ValueError, match="left with status 3: out of luck"):
        compare_sides(Side.parse(fake_side()), broken, rounds=1)
