"""Codec: encode and decode, what it takes and refuses. If only one file of codec tests is run, this is it."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from embcodec import available_isa, get_isa, set_isa
from embcodec.codecs import Codec, NotFittedError, load
from embcodec.codecs import rows as rows_module


def test_codes_and_rows_have_their_shapes(codec: Codec, rows: np.ndarray) -> None:
    codes = codec.encode(rows)
    assert codes.dtype == np.uint8
    assert codes.shape == (len(rows), codec.code_size)
    assert codes.flags.c_contiguous
    decoded = codec.decode(codes)
    assert decoded.dtype == np.float32
    assert decoded.shape == rows.shape
    assert np.isfinite(decoded).all()
    np.testing.assert_array_equal(codec.transform(rows), decoded)


def test_a_row_does_not_depend_on_its_neighbours(codec: Codec, rows: np.ndarray) -> None:
    codes = codec.encode(rows)
    for start, stop in ((0, 1), (17, 18), (1, 8), (60, 125)):
        np.testing.assert_array_equal(codec.encode(rows[start:stop]), codes[start:stop])
    order = np.random.default_rng(0).permutation(len(rows))
    np.testing.assert_array_equal(codec.encode(rows[order]), codes[order])


def test_bytes_are_the_same_on_every_level(codec: Codec, rows: np.ndarray) -> None:
    codes = codec.encode(rows)
    decoded = codec.decode(codes)
    before = get_isa()
    try:
        for isa in available_isa():
            set_isa(isa)
            assert codec.decode(codes).tobytes() == decoded.tobytes(), isa
            if not re.search("PQ|VQ", codec.spec):  # whose assignments are only near-optimal
                np.testing.assert_array_equal(codec.encode(rows), codes, err_msg=isa)
    finally:
        set_isa(before)


def test_fit_is_deterministic(codec: Codec) -> None:
    from_scratch = Codec(codec.spec, seed=3).fit(np.asarray(_training_rows()))
    assert from_scratch.fingerprint == codec.fingerprint


def _training_rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = np.random.default_rng(99).standard_normal((7, 48)) * 2 + 1.5
    x = centres[rng.integers(0, 7, 700)] + rng.standard_normal((700, 48)) * np.linspace(0.2, 2, 48)
    return x.astype(np.float32)


def test_saved_and_loaded_it_is_the_same(codec: Codec, rows: np.ndarray, tmp_path: Path) -> None:
    codec.save(tmp_path / "c.safetensors")
    again = load(tmp_path / "c.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    assert (again.spec, again.d, again.seed) == (codec.spec, codec.d, codec.seed)
    assert (again.code_size, again.fingerprint) == (codec.code_size, codec.fingerprint)
    codes = codec.encode(rows)
    np.testing.assert_array_equal(again.encode(rows), codes)
    np.testing.assert_array_equal(again.decode(codes), codec.decode(codes))


def test_dtypes(codec: Codec, rows: np.ndarray) -> None:
    for dtype in (np.float16, ml_dtypes.bfloat16):
        narrow = rows.astype(dtype)
        np.testing.assert_array_equal(codec.encode(narrow), codec.encode(narrow.astype(np.float32)))
    wide = rows.astype(np.float64) * (1 + 1e-12)
    np.testing.assert_array_equal(codec.encode(wide), codec.encode(wide.astype(np.float32)))


def test_layouts(codec: Codec, rows: np.ndarray, tmp_path: Path) -> None:
    codes = codec.encode(rows)
    spread = np.zeros((2 * len(rows), 2 * rows.shape[1]), np.float32)
    spread[::2, ::2] = rows
    np.save(tmp_path / "x.npy", rows)
    frozen = rows.copy()
    frozen.flags.writeable = False
    for x in (spread[::2, ::2], np.asfortranarray(rows), np.load(tmp_path / "x.npy", mmap_mode="r"), frozen):
        np.testing.assert_array_equal(codec.encode(x), codes)
    np.testing.assert_array_equal(codec.encode(rows[::-1]), codes[::-1])


def test_no_rows(codec: Codec) -> None:
    codes = codec.encode(np.empty((0, codec.d), np.float32))
    assert codes.shape == (0, codec.code_size)
    assert codec.decode(codes).shape == (0, codec.d)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_value_is_named_by_its_row(
    codec: Codec, rows: np.ndarray, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 8000)  # row 101 is not in the first block
    for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16):
        x = rows.astype(dtype)
        x[[101, 140], -1] = bad  # the last dimension, which MRL drops
        with pytest.raises(ValueError, match=r"Codec\.encode: x has a non-finite value in row 101$"):
            codec.encode(x)
        with pytest.raises(ValueError, match=r"Codec\.fit: x has a non-finite value in row 101$"):
            Codec(codec.spec).fit(iter([x[:60], x[60:]]))


def test_a_float64_beyond_float32_is_refused(fitted: Callable[[str], Codec], rows: np.ndarray) -> None:
    x = rows.astype(np.float64)
    x[7, 0] = 1e39
    for spec in ("SQ8", "F16", "PCA16,SQ8", "MRL16,SQ8"):
        with pytest.raises(ValueError, match=r"x has a non-finite value in row 7$"):
            fitted(spec).encode(x)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((10, 768), np.float32), ValueError, r"x must be \(n, 48\), got \(10, 768\)"),
        (np.ones(48, np.float32), ValueError, r"x must be \(n, 48\), got \(48,\)"),
        (np.ones((2, 3, 48), np.float32), ValueError, r"x must be \(n, 48\), got \(2, 3, 48\)"),
        (np.ones((2, 48), np.int64), TypeError, "x must be float32, float16, bfloat16 or float64, got int64"),
        (np.ones((2, 48), np.complex64), TypeError, "x must be float32, .* got complex64"),
        (np.array([["a"] * 48]), TypeError, "x must be float32, .* got str"),
        (None, TypeError, "x must be float32, .* got object"),
    ],
)
def test_what_encode_refuses(
    fitted: Callable[[str], Codec], x: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=r"^Codec\.encode: " + message):
        fitted("SQ8").encode(x)  # type: ignore[arg-type]


def test_what_decode_refuses(fitted: Callable[[str], Codec]) -> None:
    codec = fitted("SQ8")
    with pytest.raises(TypeError, match=r"^Codec\.decode: codes must be uint8, got float32"):
        codec.decode(np.ones((2, 48), np.float32))
    with pytest.raises(ValueError, match=r"^Codec\.decode: codes must be \(n, 48\), got \(2, 47\)"):
        codec.decode(np.ones((2, 47), np.uint8))


def test_before_fit(rows: np.ndarray, tmp_path: Path) -> None:
    codec = Codec("PCA16,SQ8")
    assert not codec.is_fitted
    codes = np.zeros((1, 16), np.uint8)
    for name, call in {
        "encode": lambda: codec.encode(rows),
        "decode": lambda: codec.decode(codes),
        "search": lambda: codec.search(codes, rows, 1),
        "save": lambda: codec.save(tmp_path / "c"),
        "d": lambda: codec.d,
        "code_size": lambda: codec.code_size,
        "fingerprint": lambda: codec.fingerprint,
    }.items():
        with pytest.raises(NotFittedError, match=rf"^Codec\.{name}: this PCA16,SQ8 codec is not fitted yet"):
            call()
    assert not hasattr(codec, "n_features_in_")
    assert list(tmp_path.iterdir()) == []


def test_a_fit_that_fails_leaves_the_codec_as_it_was(rows: np.ndarray) -> None:
    codec = Codec("PCA40,VQ30").fit(rows)
    before, codes = codec.fingerprint, codec.encode(rows)
    for bad in (rows[:9], rows[:, :30], np.full_like(rows, np.nan)):
        with pytest.raises(ValueError, match=r"^Codec\.fit: "):
            codec.fit(bad)
    assert codec.fingerprint == before
    np.testing.assert_array_equal(codec.encode(rows), codes)


def test_fingerprints_tell_codecs_apart(rows: np.ndarray) -> None:
    def fingerprint(spec: str, x: np.ndarray, seed: int = 0) -> str:
        return Codec(spec, seed).fit(x).fingerprint

    base = fingerprint("HR,SQ8", rows)
    assert len(base) == 16
    assert int(base, 16) >= 0
    assert base == fingerprint("HR,SQ8", rows)
    assert base != fingerprint("HR,SQ8", rows, seed=1)
    assert base != fingerprint("HR,SQ8", rows[:-20] * 2)
    assert base != fingerprint("HR,SQ6", rows)
    assert fingerprint("SQ8", rows) == fingerprint("SQ8", rows, seed=1)  # the same codes
    assert fingerprint("F16", rows) != fingerprint("F16", rows[:, :-1])


def test_queries_reach_the_coder_transformed(rows: np.ndarray, queries: np.ndarray) -> None:
    codec = Codec("Center,PCA16,SQ8")
    seen: list[np.ndarray | None] = []

    class Chain(type(codec._chain)):  # type: ignore[misc]
        def __init__(self, spec: str) -> None:
            super().__init__(spec)
            learn = self.coder.learn
            self.coder.learn = lambda x, q, seed: (seen.append(q), learn(x, q, seed))[1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embcodec.codecs.pipeline.Chain", Chain)
        codec.fit(rows, queries=queries)
        codec.fit(rows)
    assert seen[1] is None
    turned = queries
    for stage in codec._chain.transforms:
        turned = stage.forward(turned)
    np.testing.assert_array_equal(seen[0], turned)
    with pytest.raises(ValueError, match=r"Codec\.fit: queries must be \(n, 48\), got \(6, 47\)"):
        codec.fit(rows, queries=queries[:, 1:])
    with pytest.raises(ValueError, match=r"^Codec.fit: queries has no rows$"):
        codec.fit(rows, queries=queries[:0])


@pytest.mark.parametrize("spec", ["PCA16,SQ8", "BF16", "Top5", "SQ4:row", "HR,SQ4", "VQ20"])
def test_temporaries_stay_small(
    fitted: Callable[[str], Codec], spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = fitted(spec)
    x = np.random.default_rng(0).standard_normal((30000, codec.d), np.float32)
    monkeypatch.setattr(rows_module, "BLOCK_BYTES", 1 << 15)
    tracemalloc.start()
    codes = codec.encode(x)
    _, encode_peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    decoded = codec.decode(codes)
    _, decode_peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert encode_peak - codes.nbytes < 12 << 15
    assert decode_peak - codes.nbytes - decoded.nbytes < 12 << 15
