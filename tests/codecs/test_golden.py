"""Codecs and codes of earlier versions are read as they were meant (tests/golden/write.py wrote them)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from embcodec.codecs import load, parse_spec
from embcodec.codecs.chain import Chain

_PATH = Path(__file__).parents[1] / "golden" / "write.py"
_SPEC = importlib.util.spec_from_file_location("golden_write", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(golden)


@pytest.mark.parametrize("spec", golden.SPECS)
def test_golden(spec: str) -> None:
    codec_path, codes_path = golden.paths(spec)
    codec = load(codec_path)
    assert (codec.spec, codec.d, codec.seed) == (spec, golden.D, 5)
    with np.load(codes_path) as file:
        codes, decoded = file["codes"], file["decoded"]
    np.testing.assert_allclose(codec.decode(codes), decoded, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(codec.encode(golden.make_rows(20)), codes)


def test_what_is_documented_has_a_golden_file() -> None:
    """A heading in docs/codecs.md, such as "### SQ8, SQ6, SQ4", is a promise that these are read for ever."""
    text = (Path(__file__).parents[2] / "docs" / "codecs.md").read_text()
    names = [name for heading in re.findall("^### (.+)$", text, re.MULTILINE) for name in heading.split(", ")]
    assert len(names) > 15
    kept = {type(stage) for spec in golden.SPECS for stage in Chain(spec).stages}
    for name in names:
        transforms, coder = parse_spec(name if _is_coder(name) else f"{name},F16")
        assert type((*transforms, coder)[0]) in kept, name


def _is_coder(name: str) -> bool:
    try:
        parse_spec(name)
    except ValueError:
        return False
    return True
