"""The grammar of a spec, and the registry of stages.

spec  = stage *("," stage)          transforms first, exactly one coder last
stage = name [size] [":" option]    PCA128, SQ8, SQ8:row, PQ48x8, Binary:mean
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TypeVar

from .base import CoarseStage, Coder, Stage, Transform
from .residual import Residual

_STAGES: list[type[Stage]] = []
_S = TypeVar("_S", bound=type[Stage])


def register(stage: _S) -> _S:
    """Class decorator: make a stage known to the grammar."""
    _STAGES.append(stage)
    return stage


def parse_spec(spec: str) -> tuple[tuple[Transform, ...], Coder]:
    """Read a spec into unfitted stages.

    Raises:
        TypeError: spec is not a string.
        ValueError: it is not a spec; the message names the stage, its position and what comes nearest.
    """
    if not isinstance(spec, str):
        raise TypeError(f"spec must be a string such as 'PCA128,SQ8', got {type(spec).__name__}")
    stages: list[Stage] = []
    position = 0
    for part in spec.split(","):
        where = (
            f"spec {spec!r}: stage {part.strip()!r} at position {position + len(part) - len(part.lstrip())}"
        )
        before = stages[-1] if stages else None
        if isinstance(before, Coder) and not isinstance(before, CoarseStage):
            raise ValueError(f"{where} comes after the coder {before.text!r}, which must be last")
        stage = _parse_stage(part.strip(), where)
        if isinstance(before, CoarseStage):
            if not isinstance(stage, Coder):
                raise ValueError(f"{where} comes after {before.text!r}, which only a coder may follow")
            stages.pop()
            stage = Residual(before, stage)
        stages.append(stage)
        position += len(part) + 1
    *transforms, coder = stages
    if not isinstance(coder, Coder):
        raise ValueError(f"spec {spec!r} has no coder at its end; add one of {_forms(_known(Coder))}")
    return tuple(stage for stage in transforms if isinstance(stage, Transform)), coder


def _parse_stage(text: str, where: str) -> Stage:
    for stage in _STAGES:
        match = re.fullmatch(stage.pattern, text, re.ASCII)
        if match is not None:
            return stage(text, *match.groups())
    raise ValueError(f"{where} is not known; {_suggest(text)}")


def _suggest(text: str) -> str:
    by_name: dict[str, list[type[Stage]]] = {}
    for stage in _STAGES:
        by_name.setdefault(_name(stage.forms[0]), []).append(stage)
    nearest = get_close_matches(_name(text), by_name, n=1)
    if nearest:
        return f"did you mean {_forms(by_name[nearest[0]])}?"
    return f"the stages are {_forms(_known(Stage))}"


def _name(text: str) -> str:
    letters = re.match("[A-Za-z]*", text)
    return letters[0].lower() if letters else ""


def _known(kind: type[Stage]) -> list[type[Stage]]:
    return [stage for stage in _STAGES if issubclass(stage, kind)]


def _forms(stages: list[type[Stage]]) -> str:
    *most, last = [form for stage in stages for form in stage.forms]
    return f"{', '.join(most)} or {last}" if most else last
