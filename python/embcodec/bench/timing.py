"""Timing on a machine that others use too: short samples, taken in turns, of which the least counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

__all__ = ["interleave", "least_seconds"]

Call = Callable[[], Any]

SAMPLE_SECONDS = 0.003
"""A sample repeats a call until it takes as long as this: clocks and interrupts do not matter then."""


def least_seconds(call: Call, samples: int = 5, at_most: float = 0.2) -> float:
    """Seconds of one call: the least of some samples, the one that others disturbed least.

    Args:
        call: what to time.
        samples: how many.
        at_most: seconds after which no more are taken; a call that takes longer is timed once.
    """
    first = _sample(call, 1)
    if first > at_most:
        return first  # the cost of a first call is nothing beside it
    calls = _calls(call)
    found = [_sample(call, calls)]
    while len(found) < samples and sum(found) * calls < at_most:
        found.append(_sample(call, calls))
    return min(found)


def interleave(
    calls: Mapping[str, Call], rounds: int, at_most: float = float("inf"), at_least: int = 3
) -> dict[str, list[float]]:
    """Seconds of each call in each round: a round takes a sample of each, every other one backwards.

    What disturbs one call of a round disturbs its neighbours, and cancels in their ratio.

    Args:
        calls: what to time, by name.
        rounds: how often.
        at_most: seconds after which no round begins ...
        at_least: ... once there are as many as this.
    """
    for call in calls.values():
        call()  # the first may allocate or load
    calls_of = {name: _calls(call) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    started = perf_counter()
    for i in range(rounds):
        if i >= at_least and perf_counter() - started > at_most:
            break
        for name in list(calls)[:: -1 if i % 2 else 1]:
            seconds[name].append(_sample(calls[name], calls_of[name]))
    return seconds


def _sample(call: Call, calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        call()
    return (perf_counter() - start) / calls


def _calls(call: Call) -> int:
    """How many calls make a sample."""
    return max(1, round(SAMPLE_SECONDS / _sample(call, 1)))
