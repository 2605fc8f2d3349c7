"""Codecs and codes of earlier versions are read as they were meant (tests/golden/write.py wrote them)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from embcodec.codecs import load
from embcodec.codecs.chain import Chain
from embcodec.codecs.spec import _STAGES

_PATH = Path(__file__).parents[1] / "golden" / "write.py"
_SPEC = importlib.util.spec_from_file_location("golden_write", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
golden = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(golden)

# another BLAS may round a projection another way in the last place, and move a value over a boundary
PROJECTED = ("PCA", "RR", "JL")


@pytest.mark.parametrize("spec", golden.SPECS)
def test_golden(spec: str) -> None:
    codec_path, codes_path = golden.paths(spec)
    codec = load(codec_path)
    assert (codec.spec, codec.d, codec.seed) == (spec, golden.D, 5)
    with np.load(codes_path) as file:
        codes, decoded = file["codes"], file["decoded"]
    np.testing.assert_allclose(codec.decode(codes), decoded, rtol=0, atol=1e-5)
    again = codec.encode(golden.make_rows(20))
    if any(stage in spec for stage in PROJECTED):
        assert (again != codes).mean() < 0.02
    else:
        np.testing.assert_array_equal(again, codes)


def test_every_stage_has_a_golden_file() -> None:
    kinds = {type(stage) for spec in golden.SPECS for stage in Chain(spec).stages}
    assert kinds == set(_STAGES)
