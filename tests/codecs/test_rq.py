"""Residual quantization, alone and in front of another coder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embcodec import Codec, load
from embcodec.codecs.residual import Residual
from embcodec.codecs.rq import RQ
from embcodec.data import load_sample
from embcodec.kernels import flat_topk

D = 96


@pytest.fixture(scope="module")
def base() -> np.ndarray:
    """Narrow, for the fits."""
    return np.ascontiguousarray(load_sample().base[:, :D], np.float32)


@pytest.fixture(scope="module")
def fitted(base: np.ndarray) -> Codec:
    return Codec("RQ3x8,TCQ9B").fit(base)


def left(x: np.ndarray, codec: Codec, codes: np.ndarray) -> np.ndarray:
    return np.square(x - codec.decode(codes)).sum(axis=1, dtype=np.float64)


def found(base: np.ndarray, codec: Codec) -> float:
    queries = np.ascontiguousarray(load_sample().queries[:, :D], np.float32)
    _, true = flat_topk(base, queries, 10)
    _, ids = codec.search(codec.encode(base), queries, 10, "cosine")
    return float((ids[:, :, None] == true[:, None, :]).any(axis=2).mean())


def test_each_stage_leaves_less_of_new_rows(base: np.ndarray) -> None:
    new = base[1::2]
    lost = []
    for m in (1, 2, 4):
        codec = Codec(f"RQ{m}x8").fit(base[::2])
        lost.append(left(new, codec, codec.encode(new)).mean())
    assert lost[0] > 1.05 * lost[1] > 1.1 * lost[2]


def test_all_paths_of_the_beam_teach_more_than_the_best(
    base: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that codewords fit rows that the fit has not seen."""
    lost = []
    for beam in (16, 1):
        monkeypatch.setattr("embcodec.codecs.rq._FIT_BEAM", beam)
        codec = Codec("RQ4x8").fit(base[::2])
        lost.append(left(base[1::2], codec, codec.encode(base[1::2])).mean())
    assert lost[0] < 0.98 * lost[1]


def test_in_front_of_a_trellis_it_finds_more_and_leaves_less_than_centroids(
    base: np.ndarray, fitted: Codec
) -> None:
    centroids = Codec("IVF256,TCQ11B").fit(base)
    assert fitted.code_size == centroids.code_size
    assert found(base, fitted) > found(base, centroids)
    assert (
        left(base, fitted, fitted.encode(base)).mean()
        < 0.95 * left(base, centroids, centroids.encode(base)).mean()
    )


def test_the_way_that_leaves_least_behind_both_is_taken(
    base: np.ndarray, fitted: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = left(base, fitted, fitted.encode(base))
    monkeypatch.setattr("embcodec.codecs.rq._WAYS", 1)
    one = left(base, fitted, fitted.encode(base))
    assert (several <= one * (1 + 1e-5)).all()
    assert (several < one).mean() > 0.2
    assert several.mean() < 0.995 * one.mean()


def test_a_code_is_the_bytes_of_both(base: np.ndarray, fitted: Codec) -> None:
    coder = fitted._chain.coder
    assert isinstance(coder, Residual)
    assert isinstance(coder.first, RQ)
    codes = fitted.encode(base[:50])
    whole = coder.first.decode(codes[:, :3]) + coder.inner.decode(codes[:, 3:])
    np.testing.assert_allclose(fitted.decode(codes), whole, rtol=0, atol=1e-6)


def test_inner_products_come_from_tables(base: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec("RQ5x8").fit(base)
    codes, queries = codec.encode(base), base[:20] + np.float32(0.1)
    want = queries @ codec.decode(codes).T
    monkeypatch.setattr("embcodec.codecs.rq.rq_decode", None)
    for order in (codes, np.asfortranarray(codes)):
        scores, ids = codec.search(order, queries, 10, "ip")
        np.testing.assert_allclose(scores, np.take_along_axis(want, ids, axis=1), rtol=0, atol=1e-5)
        np.testing.assert_allclose(scores, -np.sort(-want, axis=1)[:, :10], rtol=0, atol=1e-5)


def test_a_saved_codec_codes_alike(base: np.ndarray, fitted: Codec, tmp_path: Path) -> None:
    fitted.save(tmp_path / "codec.safetensors")
    again = load(tmp_path / "codec.safetensors")
    codes = fitted.encode(base[:300])
    np.testing.assert_array_equal(again.encode(base[:300]), codes)
    np.testing.assert_array_equal(again.decode(codes), fitted.decode(codes))


def test_a_sample_that_is_too_large_is_cut(base: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embcodec.codecs.rq._FIT_RESIDUALS", 1000)
    codec = Codec("RQ2x8").fit(base)
    assert (
        left(base, codec, codec.encode(base)).mean() < np.square(base - base.mean(axis=0)).sum(axis=1).mean()
    )


@pytest.mark.parametrize("spec", ["RQ2x8", "RQ2x8,SQ8"])
def test_too_few_rows_are_refused(base: np.ndarray, spec: str) -> None:
    with pytest.raises(ValueError, match=r"^Codec.fit: RQ2x8 needs at least 256 rows to fit, got 255$"):
        Codec(spec).fit(base[:255])


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_in_front_of_a_trellis_codewords_are_added_in_the_scan(
    base: np.ndarray, fitted: Codec, metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, queries = fitted.encode(base), base[:20] + np.float32(0.1)
    want, _ = flat_topk(fitted.decode(codes), queries, 10, metric)
    mask = np.arange(len(base)) % 7 == 3
    want_masked, _ = flat_topk(fitted.decode(codes), queries, 10, metric, mask=mask)
    monkeypatch.setattr("embcodec.codecs.residual.topk_decoded", None)
    scores, _ = fitted.search(codes, queries, 10, metric)
    np.testing.assert_allclose(scores, want, rtol=1e-5, atol=1e-5)
    masked, ids = fitted.search(codes, queries, 10, metric, mask=mask)
    assert mask[ids].all()
    np.testing.assert_allclose(masked, want_masked, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(fitted, "k_factor", 30)
    shortlisted, _ = fitted.search(codes, queries, 10, metric)
    np.testing.assert_array_equal(shortlisted[:, 0], scores[:, 0])
