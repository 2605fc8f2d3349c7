"""The list of kernels: what the conformance tests and the benchmarks walk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import product
from typing import Any

import numpy as np

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Kernel:
    """A kernel's definition in NumPy, and how to try it.

    inputs(x, rng, **variant) makes keyword arguments from a data matrix x (n, d) float32, or None where the
    variant does not fit its shape. check(inputs, got, want) judges a result of a kernel whose bytes are not
    fixed; None: every output must have the reference's bytes. peer does the same job as a NumPy user would
    write it.
    """

    name: str
    family: str
    reference: Callable[..., Any]
    inputs: Callable[..., Arguments | None]
    variants: tuple[Arguments, ...]
    check: Callable[[Arguments, Any, Any], None] | None
    peer: Callable[..., Any] | None


REGISTRY: dict[str, Kernel] = {}


def grid(**choices: tuple[Any, ...]) -> tuple[Arguments, ...]:
    """All combinations of the choices."""
    return tuple(dict(zip(choices, values)) for values in product(*choices.values()))


def register(
    *,
    family: str,
    inputs: Callable[..., Arguments | None],
    variants: tuple[Arguments, ...] = ({},),
    check: Callable[[Arguments, Any, Any], None] | None = None,
    peer: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a reference function under its name.

    Overflow is part of its definition, so NumPy's warnings are off while it runs.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def reference(*args: Any, **kwargs: Any) -> Any:
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)

        name = function.__name__
        REGISTRY[name] = Kernel(name, family, reference, inputs, variants, check, peer)
        return reference

    return enter


def outputs(result: Any) -> tuple[Any, ...]:
    """A kernel's result as a tuple, also where it is a single array."""
    return result if isinstance(result, tuple) else (result,)


def bytes_touched(inputs: Mapping[str, Any], result: Any) -> int:
    """Bytes of the arrays read and written by one call."""
    arrays = [*inputs.values(), *outputs(result)]
    return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray))


METRICS = ("ip", "l2", "cosine")
SEARCHES = {"metric": METRICS, "masked": (False, True)}


def search(x: Any, rng: np.random.Generator, masked: bool, **metric: str) -> Arguments:
    """Arguments of a scan over the rows x: queries near rows, a row itself and a zero query; k; a mask."""
    n, d = x.shape
    rows = x[rng.integers(n, size=3)]
    queries = np.concatenate(
        [rows + rng.standard_normal((3, d), np.float32), rows[:1], np.zeros_like(rows[:1])]
    )
    mask = rng.random(n) < 0.5 if masked else None
    return {"queries": queries, "k": min(n, 10), **metric, "mask": mask}


def some_extras(x: Any, rng: np.random.Generator) -> Arguments:
    """Factors of the rows x, and three centroids."""
    n, d = x.shape
    return {
        "factor": rng.random(n, np.float32),
        "centroids": rng.standard_normal((3, d), np.float32),
        "centroid": rng.integers(0, 3, n).astype(np.int32),
    }
