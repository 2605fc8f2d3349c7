"""What the trellis gains: the codebooks that are shipped, and the codec beside a product quantizer."""

from collections.abc import Callable
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embcodec import Codec, available_isa, get_isa, load, set_isa
from embcodec.codecs.chain import Chain
from embcodec.codecs.residual import Residual
from embcodec.codecs.trellis import (
    _DISTORTION,
    TCQ,
    _first_rates,
    _gaussian_books,
    _quantized,
    _Trial,
    allocate,
)
from embcodec.data import load_sample
from embcodec.kernels import flat_topk, trellis_decode, trellis_encode
from embcodec.reference.trellis import RATES, UNIT, are_rates, code_size


@pytest.mark.parametrize("rate", [rate for rate in _DISTORTION if rate])
def test_the_shipped_books_reach_the_distortion_that_the_allocation_counts_on(rate: int) -> None:
    x = np.random.default_rng(rate).standard_normal((600, 256), np.float32)
    levels, scale = _quantized(_gaussian_books().astype(np.float64))
    step = np.full(256, scale[0 if rate == 1 else rate // 2 + 1], np.float32)
    plan = levels, step, np.full(256, rate, np.uint8)
    y = trellis_decode(trellis_encode(x, *plan, np.ones(256, np.float32)), *plan)
    distortion = float(((x - y) ** 2).mean())
    assert distortion == pytest.approx(_DISTORTION[rate], rel=0.03)
    assert distortion > 4.0 ** (-rate / 2)  # no code of a Gaussian is better


@given(d=st.integers(1, 4 * UNIT), size=st.integers(2, 50), spread=st.floats(0, 3), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_allocation_is_the_best_one(d: int, size: int, spread: float, seed: int) -> None:
    energy = np.exp(spread * np.random.default_rng(seed).standard_normal(d))

    def lost(rates: np.ndarray) -> float:
        return float(sum(e * _DISTORTION[rate] for e, rate in zip(energy, rates.tolist())))

    plans = [
        np.repeat(np.array(plan), UNIT)[:d]
        for plan in combinations_with_replacement(reversed(RATES), -(-d // UNIT))
    ]
    rates = allocate(energy, size)
    assert are_rates(rates)
    assert code_size(rates) <= size
    least = min(lost(plan) for plan in plans if are_rates(plan) and code_size(plan) <= size)
    assert lost(rates) == pytest.approx(least)


@pytest.mark.parametrize("d", [1, 7, 12, 15, 100, 300])
def test_the_components_beyond_whole_units_are_coded(d: int) -> None:
    x = np.random.default_rng(d).standard_normal((600, d), np.float32)
    codec = Codec(f"TCQ{max(2, d // 2)}B").fit(x)
    error = x - codec.decode(codec.encode(x))
    assert np.linalg.norm(error, 2) ** 2 / len(x) < 0.1  # in any direction; one that is not coded has 1


@pytest.mark.parametrize("d", [1, 9, 25, 48])
def test_the_most_bytes_are_6_bits_a_component_and_the_factor(d: int) -> None:
    x = np.random.default_rng(d).standard_normal((600, d), np.float32)
    most = -(-d * 6 // 8) + 1
    stage = Chain(f"TCQ{most}B").stages[0]
    stage.fit(x, None, 0)
    assert (stage.tensors()["rates"] == 12).all()
    with pytest.raises(ValueError, match=f"must be 2B to {most}B"):
        Codec(f"TCQ{most + 1}B").fit(x)


@pytest.mark.parametrize(
    "rates",
    [
        [0] * 25,
        [2] * 16 + [4] * 9,
        [8] * 8 + [4] * 17,
        [4] * 16 + [2] * 4 + [0] * 5,
        [5] * 25,
        [2] * 16 + [1] * 9,  # the last would have no other
        [8] * 16 + [6] * 9,  # more than the 10 bytes
    ],
)
def test_rates_of_a_file_are_checked(rates: list[int]) -> None:
    stage = Chain("TCQ3").stages[0]
    stage.fit(np.random.default_rng(3).standard_normal((300, 25), np.float32), None, 0)
    tensors = stage.tensors()
    stage.from_tensors(25, tensors)
    with pytest.raises(ValueError, match="tensor rates must fall"):
        stage.from_tensors(25, {**tensors, "rates": np.array(rates, np.uint8)})


def by_cosine() -> tuple[np.ndarray, np.ndarray, Callable[[Codec, np.ndarray], float]]:
    """Rows, queries, and what share of the true neighbours codes of the rows find."""
    sample = load_sample()
    x, queries = sample.base.astype(np.float32), sample.queries.astype(np.float32)
    _, true = flat_topk(x, queries, 10)

    def recall(codec: Codec, codes: np.ndarray) -> float:
        _, found = codec.search(codes, queries, 10, "cosine")
        return float((found[:, :, None] == true[:, None, :]).any(axis=2).mean())

    return x, queries, recall


def test_the_factor_keeps_the_length_of_what_is_coded_and_finds_more(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _, recall = by_cosine()
    codec = Codec("IVF64,TCQ31B").fit(x)
    codes, coder = codec.encode(x), codec._chain.coder
    assert isinstance(coder, Residual)
    assert isinstance(coder.inner, TCQ)
    assert coder.inner.factored[0] == 1
    base = coder.inner.mean + coder.first.centroids[codes[:, 0]]
    coded, decoded = (np.linalg.norm(rows - base, axis=1) for rows in (x, codec.decode(codes)))
    step = np.log(coder.inner.factors[1] / coder.inner.factors[0])
    assert np.abs(np.log(decoded[coded > 0.1] / coded[coded > 0.1])).max() < step

    monkeypatch.setattr(_Trial, "recall", lambda *args: 1.0)  # so that it does not pay
    plain = Codec("IVF64,TCQ31B").fit(x)
    assert recall(codec, codes) > recall(plain, plain.encode(x)) + 0.005


def test_a_factor_of_all_rows_behind_centroids_finds_more(tmp_path: Path) -> None:
    x, queries, recall = by_cosine()
    codec = Codec("IVF64,TCQ8B").fit(x)
    codes, coder = codec.encode(x), codec._chain.coder
    assert isinstance(coder, Residual)
    assert isinstance(coder.inner, TCQ)
    assert coder.inner.factored[0] == 0
    gain = coder.inner.factors[0]
    assert gain > 1
    decoded, found = codec.decode(codes), recall(codec, codes)
    scores, ids = codec.search(codes, queries, 10)
    np.testing.assert_allclose(scores, np.einsum("qkd,qd->qk", decoded[ids], queries), atol=1e-5)
    codec.save(tmp_path / "codec.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "codec.safetensors").decode(codes), decoded)

    coder.inner.factors = np.ones(256, np.float32)
    base = coder.inner.mean + coder.first.centroids[codes[:, 0]]
    np.testing.assert_allclose(decoded - base, gain * (codec.decode(codes) - base), atol=1e-5)
    assert (codec.encode(x) == codes).all()
    assert found > recall(codec, codes) + 0.005


def test_recall_is_above_that_of_a_product_quantizer_of_as_many_bytes() -> None:
    sample = load_sample()
    base = sample.base[:2048]
    _, true = flat_topk(base, sample.queries, 10)

    def recall(spec: str) -> float:
        codec = Codec(spec).fit(base)
        _, found = codec.search(codec.encode(base), sample.queries, k=10)
        return float((found[:, :, None] == true[:, None, :]).any(axis=2).mean())

    assert recall("TCQ48B") > recall("PQ48x8") + 0.04


def test_the_first_part_is_half_of_what_is_coded() -> None:
    rates = np.repeat(np.uint8([8, 4, 2, 0]), [16, 112, 160, 96])
    first = _first_rates(rates)
    assert (first[:128] == rates[:128]).all()
    assert not first[128:].any()
    assert not _first_rates(np.repeat(np.uint8([2, 0]), [64, 64])).any()  # nothing would be left


@pytest.mark.parametrize("spec", ["TCQ1", "RR,TCQ2", "IVF16,TCQ1"])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_a_first_pass_loses_hardly_a_hit(spec: str, metric: str) -> None:
    sample = load_sample()
    base, queries = sample.base[:2048], sample.queries[:64]
    codec = Codec(spec).fit(base)
    codes = codec.encode(base)
    scores, ids = codec.search(codes, queries, 10, metric)
    codec.k_factor = 2
    coarse, few = codec.search(codes, queries, 10, metric)
    assert 0.5 < (few == ids).mean() < 1  # it is taken, and 20 rows are too few
    assert (coarse <= scores).all()
    codec.k_factor = 100
    again, found = codec.search(codes, queries, 10, metric)
    assert (found == ids).mean() > 0.999
    assert (again[found == ids] == scores[found == ids]).all()


def test_a_first_pass_gives_the_same_on_every_level_and_number_of_threads() -> None:
    sample = load_sample()
    base, queries = sample.base[:2048], sample.queries[:20]
    codec = Codec("TCQ2").fit(base)
    codec.k_factor = 3
    codes = codec.encode(base)
    mask = np.arange(len(base)) % 5 > 0
    want = codec.search(codes, queries, 10, mask=mask, threads=1)
    before = get_isa()
    try:
        for isa in available_isa():
            set_isa(isa)
            for threads in (1, 2):
                got = codec.search(codes, queries, 10, mask=mask, threads=threads)
                assert all((g == w).all() for g, w in zip(got, want))
    finally:
        set_isa(before)


def test_fewer_rows_than_wanted_after_a_first_pass() -> None:
    base = load_sample().base[:2048]
    codec = Codec("TCQ2").fit(base)
    codec.k_factor = 4
    mask = np.arange(len(base)) < 3
    scores, ids = codec.search(codec.encode(base), base[:2], 10, mask=mask)
    assert (np.sort(ids, axis=1)[:, -3:] == [0, 1, 2]).all()
    assert (ids[:, 3:] == -1).all()
    assert (scores[:, 3:] == -np.inf).all()


def test_k_factor_is_checked() -> None:
    codec = Codec("TCQ2")
    with pytest.raises(ValueError, match="k_factor must be at least 1"):
        codec.k_factor = 0
    with pytest.raises(TypeError, match="k_factor"):
        codec.k_factor = 1.5  # type: ignore[assignment]
    with pytest.raises(ValueError, match="needs a scan of trellis codes, which IVF4,SQ8 does not have"):
        Codec("IVF4,SQ8").k_factor = 7
    codec.k_factor = 7
    codec.fit(load_sample().base[:512])
    assert codec.k_factor == 7
    codec.k_factor = None
    assert codec.k_factor is None
