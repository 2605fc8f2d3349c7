"""Timing on a machine that others use too: short samples, taken in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

__all__ = ["Sampler", "interleave", "least_in_turns", "least_seconds"]

Call = Callable[[], Any]

SAMPLE_SECONDS = 0.003
"""A sample repeats a call until it takes as long as this: clocks and interrupts do not matter then."""
SLOW = 0.2
"""Seconds beyond which a call is not repeated for the sake of it."""


class Sampler:
    """Takes samples of a call.

    The first call is not counted unless it is slow: it may allocate or load. How often a sample repeats the
    call, to take `sample_seconds`, is found out by the second.
    """

    def __init__(self, call: Call, sample_seconds: float = SAMPLE_SECONDS) -> None:
        self._call = call
        self._calls = 1
        self._first: float | None = self._sample()
        if self._first < SLOW:
            self._first = None
            self._calls = max(1, round(sample_seconds / self._sample()))

    def seconds(self) -> float:
        """Seconds of one call, by one sample."""
        seconds, self._first = self._first or self._sample(), None
        return seconds

    def _sample(self) -> float:
        start = perf_counter()
        for _ in range(self._calls):
            self._call()
        return (perf_counter() - start) / self._calls


def least_seconds(call: Call, samples: int = 5) -> float:
    """Seconds of one call: the least of some samples, the one that others disturbed least.

    A slow call is sampled less often.
    """
    sampler, started = Sampler(call), perf_counter()
    found: list[float] = []
    while not found or (len(found) < samples and perf_counter() - started < SLOW):
        found.append(sampler.seconds())
    return min(found)


def least_in_turns(
    base: Callable[[], float],
    new: Callable[[], float],
    swap: bool,
    pairs: int = 15,
    at_most: float = 1.0,
) -> tuple[float, float]:
    """The least of each side's samples, which are taken within milliseconds of each other.

    Args:
        base: takes a sample of one side, in seconds.
        new: of the other.
        swap: whether the second goes first; the order changes with each pair.
        pairs: samples of each ...
        at_most: ... unless they take longer than so many seconds.
    """
    started = perf_counter()
    found: tuple[list[float], list[float]] = ([], [])
    for i in range(pairs):
        for side in (1, 0) if (i % 2 == 1) != swap else (0, 1):
            found[side].append((base, new)[side]())
        if perf_counter() - started > at_most:
            break
    return min(found[0]), min(found[1])


def interleave(
    calls: Mapping[str, Call],
    rounds: int,
    at_most: float = float("inf"),
    at_least: int = 3,
    sample_seconds: float = SAMPLE_SECONDS,
) -> dict[str, list[float]]:
    """Seconds of each call in each round: a round takes a sample of each, every other one backwards.

    What disturbs one call of a round disturbs its neighbours, and cancels in their ratio.

    Args:
        calls: what to time, by name.
        rounds: how often.
        at_most: seconds after which no round begins ...
        at_least: ... once there are as many as this.
        sample_seconds: what a sample repeats a shorter call for.
    """
    samplers = {name: Sampler(call, sample_seconds) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    started = perf_counter()
    for i in range(rounds):
        if i >= at_least and perf_counter() - started > at_most:
            break
        for name in list(calls)[:: -1 if i % 2 else 1]:
            seconds[name].append(samplers[name].seconds())
    return seconds
