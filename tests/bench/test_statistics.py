"""The decision: what it promises, on invented noise and on this machine's."""

from math import comb, inf

import numpy as np
import pytest

from embcodec.bench import Tolerance, Verdict, median_interval, paired_ratio
from embcodec.bench.compare import rounds_to_decide, speed_of
from embcodec.bench.rounds import CONFIRMING_ROUNDS
from embcodec.bench.statistics import rounds_needed, unpaired_ratio
from embcodec.bench.timing import Sampler, least_in_turns

RISK = 0.05 / 50  # as if fifty benchmarks were looked at


def test_the_interval_is_the_widest_cut_that_the_binomial_allows():
    values = list(range(20))
    # 2 * P(at most 4 of 20 below the median) = 0.0118; at most 5: 0.0414
    assert 2 * sum(comb(20, i) for i in range(5)) / 2**20 == pytest.approx(0.0118, abs=1e-4)
    interval = median_interval(values, 0.02)
    assert (interval.low, interval.middle, interval.high) == (4, 9.5, 15)
    assert median_interval(values, 0.05).low == 5


def test_too_few_values_bound_nothing():
    interval = median_interval([1.0, 1.1, 0.9], 0.05)
    assert (interval.low, interval.high) == (0, inf)
    assert not interval.is_bounded
    assert rounds_needed(0.05) == 6
    assert median_interval(range(1, 7), 0.05).is_bounded
    assert rounds_to_decide(1, Tolerance(risk=0.1), paired=False) == 6


def test_intervals_cover_the_median_as_often_as_they_say():
    rng = np.random.default_rng(0)
    samples = rng.lognormal(0, 1, (2000, 15))
    covered = [(i.low <= 1 <= i.high) for i in (median_interval(s, 0.1) for s in samples)]
    assert np.mean(covered) >= 0.9
    assert np.mean(covered) < 0.99


def test_a_planted_slowdown_of_15_percent_is_caught(noisy):
    caught = 0
    for seed in range(200):
        base, new = noisy(seed, CONFIRMING_ROUNDS, (1.0, 1.15))
        caught += speed_of(paired_ratio(base, new, 0.05), Tolerance()) is Verdict.slower
    assert caught >= 0.95 * 200


def test_identical_runs_raise_no_alarm_whatever_the_machine_does(noisy):
    for seed in range(1000):
        base, new = noisy(seed, CONFIRMING_ROUNDS)
        assert speed_of(paired_ratio(base, new, 0.05), Tolerance()) is Verdict.same


def test_drift_that_both_sides_see_cancels_only_in_pairs(noisy):
    base, new = noisy(1, 20, (1.0, 1.15), jitter=0.01)
    paired, unpaired = paired_ratio(base, new, RISK), unpaired_ratio(base, new, RISK)
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 2
    assert unpaired.low < paired.middle < unpaired.high


def test_what_became_faster_is_told():
    base = [1.0 + i / 100 for i in range(20)]
    assert speed_of(paired_ratio(base, [b * 0.8 for b in base], RISK), Tolerance()) is Verdict.faster
    assert speed_of(paired_ratio(base, [b * 0.98 for b in base], RISK), Tolerance()) is Verdict.same


X = np.ones((1150, 100), np.float32)
OUT = np.empty_like(X)


def work(rows):
    """A call whose time grows with its rows; all on the same memory, whose place makes a difference too."""
    return lambda: np.sin(X[:rows], out=OUT[:rows])


def rounds_on_this_machine(base, new):
    """As `compare` measures, in one process."""
    samples = Sampler(base).seconds, Sampler(new).seconds
    found = [least_in_turns(*samples, swap=i % 2 == 1, pairs=8) for i in range(CONFIRMING_ROUNDS)]
    return paired_ratio(*zip(*found), 0.05)


def test_on_this_machine_15_percent_more_work_is_caught():
    ratio = rounds_on_this_machine(work(1000), work(1150))
    assert speed_of(ratio, Tolerance()) is Verdict.slower, ratio


def test_on_this_machine_ten_identical_runs_raise_no_alarm():
    for _ in range(10):
        ratio = rounds_on_this_machine(work(1000), work(1000))
        assert speed_of(ratio, Tolerance()) is not Verdict.slower, ratio
