"""The grammar: what is a spec, what is said about what is not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embcodec.codecs import Codec, parse_spec

COMMON = (
    "F16", "BF16", "SQ8", "SQ6", "SQ4", "SQ4:q0.002", "SQ8:row", "SQ4:row", "Binary", "Binary:mean",
    "Binary:median", "LM1", "LM8", "RaBitQ1", "RaBitQ8", "TCQ2", "TCQ0.25", "TCQ96B", "IVF256,TCQ48B",
    "RQ8x8", "RQ2x8,TCQ48B", "VQ1024", "PQ48x8", "PQ96x4", "Top32", "Top32:f32", "Center,SQ8", "Norm,SQ8",
    "MRL128,SQ8", "PCA128,SQ8", "HR,SQ4", "RR,Binary", "JL128,F16", "Center,Norm,PCA64,RR,PQ8x8",
)  # fmt: skip


@pytest.mark.parametrize("spec", COMMON)
def test_canonical_spec_round_trips(spec: str) -> None:
    assert Codec(spec).spec == spec
    spaced = "  " + spec.replace(",", " ,\t") + " "
    assert Codec(spaced).spec == spec
    transforms, coder = parse_spec(spec)
    assert ",".join(stage.text for stage in (*transforms, coder)) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("PCA128,SQ5", "stage 'SQ5' at position 7 is not known; did you mean SQ8, SQ6, SQ4"),
        ("pca128,SQ8", "stage 'pca128' at position 0 is not known; did you mean PCA128?"),
        ("PCA,SQ8", "stage 'PCA' at position 0 is not known; did you mean PCA128?"),
        ("PCA0,SQ8", "stage 'PCA0' at position 0"),
        ("PCA0128,SQ8", "stage 'PCA0128' at position 0"),
        ("Centre,  SQ8", "stage 'Centre' at position 0 is not known; did you mean Center?"),
        ("Center,  FP16", "stage 'FP16' at position 9 is not known; did you mean"),
        ("PQ48", "did you mean PQ48x8 or PQ96x4?"),
        ("PQ48x5", "did you mean PQ48x8 or PQ96x4?"),
        ("Binary:mode", "did you mean Binary, Binary:mean or Binary:median?"),
        ("SQ4:q0.010", "stage 'SQ4:q0.010' at position 0"),  # one spelling for each meaning
        ("SQ4:q0.5:row", "stage 'SQ4:q0.5:row' at position 0"),
        ("LM9", "did you mean LM1, LM4 or LM8?"),
        ("RaBitQ", "did you mean RaBitQ1, RaBitQ4 or RaBitQ8?"),
        ("OPQ48x8,PQ48x8", "did you mean OPQ48?"),
        ("zzz", "the stages are"),
        ("", "stage '' at position 0"),
        ("PCA128,,SQ8", "stage '' at position 7"),
        ("SQ8,", "stage '' at position 4 comes after the coder 'SQ8'"),
        ("SQ8,PCA128", "stage 'PCA128' at position 4 comes after the coder 'SQ8', which must be last"),
        ("SQ8,SQ8", "comes after the coder"),
        ("PCA128", "has no coder at its end; add one of "),
        ("Center,Norm", "has no coder at its end"),
        ("PCA" + "9" * 5000 + ",SQ8", "is not known"),
        ("SQ\u0668", "is not known"),  # a digit, but not an ASCII one
    ],
)
def test_what_is_not_a_spec(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Codec(spec)
    assert str(caught.value).startswith("Codec: spec ")
    assert "\n" not in str(caught.value)


@given(st.lists(st.sampled_from(list("SPCAQBinary:,0148x PQ48x8 mean row q0. \n")), max_size=12).map("".join))
def test_any_string_is_a_spec_or_refused(spec: str) -> None:
    try:
        codec = Codec(spec)
    except ValueError:
        return
    assert Codec(codec.spec).spec == codec.spec
    assert codec.spec == "".join(spec.split())


@pytest.mark.parametrize("spec", [None, 8, b"SQ8", ["SQ8"]])
def test_a_spec_is_a_string(spec: object) -> None:
    with pytest.raises(TypeError, match="Codec: spec must be a string"):
        Codec(spec)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [1.0, "1", None])
def test_a_seed_is_an_integer(seed: object) -> None:
    with pytest.raises(TypeError, match="Codec: seed must be an integer"):
        Codec("SQ8", seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_range(seed: int) -> None:
    with pytest.raises(ValueError, match=r"Codec: seed must be (at least 0|below 2)"):
        Codec("SQ8", seed)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("PCA49,SQ8", "PCA49 needs at least 49 dimensions, got 48"),
        ("MRL64,SQ8", "MRL64 needs at least 64 dimensions, got 48"),
        ("JL64,SQ8", "JL64 needs at least 64 dimensions, got 48"),
        ("PCA16,MRL17,SQ8", "MRL17 needs at least 17 dimensions, got 16"),
        ("Top49", "Top49 needs at least 49 dimensions, got 48"),
        ("PQ7x4", "PQ7x4 needs dimensions that 7 divides, got 48"),
        ("OPQ7,PQ6x4", "OPQ7 needs dimensions that 7 divides, got 48"),
        ("TCQ1B", "TCQ1B must be 2B to 37B for 48 dimensions"),
        ("MRL8,TCQ2", None),
        ("MRL4,TCQ2", "TCQ2 must be 2B to 4B for 4 dimensions"),
        ("PCA16,PQ3x4", "PQ3x4 needs dimensions that 3 divides, got 16"),
        ("MRL2,RQ3x8", None),
        ("VQ701", "VQ701 needs at least 701 rows to fit, got 700"),
        ("MRL8,PQ2x8", None),
    ],
)
def test_dimensions_and_rows_that_a_stage_cannot_take(spec: str, message: str | None) -> None:
    x = np.random.default_rng(0).standard_normal((700, 48), np.float32)
    if message is None:
        assert Codec(spec).fit(x).is_fitted
        return
    with pytest.raises(ValueError, match=re.escape("Codec.fit: " + message)):
        Codec(spec).fit(x)


@pytest.mark.parametrize(
    ("spec", "d", "size"),
    [
        ("F16", 384, 768), ("BF16", 384, 768), ("SQ8", 384, 384), ("SQ6", 384, 288), ("SQ4", 384, 192),
        ("SQ8:row", 384, 392), ("SQ4:row", 384, 200), ("SQ4", 33, 17), ("SQ6", 3, 3), ("Binary", 384, 48),
        ("Binary", 9, 2), ("VQ1024", 384, 2), ("VQ256", 384, 1), ("VQ257", 384, 2), ("VQ1", 384, 1),
        ("PQ48x8", 384, 48), ("PQ96x4", 384, 48), ("PQ3x4", 384, 2), ("Top32", 384, 128),
        ("Top32:f32", 384, 192), ("Top32", 65536, 128), ("Top32", 65537, 192), ("PCA128,SQ8", 384, 128),
        ("HR,Binary", 100, 16), ("LM1", 384, 51), ("LM2", 100, 28), ("RaBitQ4", 384, 195),
        ("OPQ48,PQ48x8", 384, 48), ("TCQ96B", 384, 96), ("TCQ0.5", 384, 24), ("IVF256,TCQ48B", 384, 49),
        ("RQ12x8", 384, 12), ("RQ3x8,TCQ45B", 384, 48),
        ("IVF257,LM1", 384, 53),
    ],
)  # fmt: skip
def test_code_size(spec: str, d: int, size: int) -> None:
    transforms, coder = parse_spec(spec)
    for stage in transforms:
        d = stage.out_dim(d)
    assert coder.code_size(d) == size
