"""What the trellis gains: the codebooks that are shipped, and the codec beside a product quantizer."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest

from embcodec import Codec
from embcodec.codecs.trellis import _DISTORTION, _gaussian_books, _quantized, allocate
from embcodec.data import load_sample
from embcodec.kernels import flat_topk, trellis_decode, trellis_encode


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


def test_the_allocation_is_the_best_one() -> None:
    energy = np.repeat([40.0, 9.0, 2.0, 0.3], 16)
    sums = energy.reshape(-1, 16).sum(axis=1)

    def lost(rates: Sequence[int]) -> float:
        return float(sum(total * _DISTORTION[rate] for total, rate in zip(sums, rates)))

    plans = [(sum(plan), lost(plan)) for plan in product(_DISTORTION, repeat=4) if plan[0]]
    for size in range(1, 30):
        rates = allocate(energy, size)[::16].tolist()
        assert sum(rates) <= size
        assert lost(rates) == pytest.approx(min(loss for taken, loss in plans if taken <= size))


def test_recall_is_above_that_of_a_product_quantizer_of_as_many_bytes() -> None:
    sample = load_sample()
    base = sample.base[:2048]
    _, true = flat_topk(base, sample.queries, 10)

    def recall(spec: str) -> float:
        codec = Codec(spec).fit(base)
        _, found = codec.search(codec.encode(base), sample.queries, k=10)
        return float((found[:, :, None] == true[:, None, :]).any(axis=2).mean())

    assert recall("TCQ48B") > recall("PQ48x8") + 0.04
