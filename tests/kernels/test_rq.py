"""The beam of residual quantization: what it finds, and where values are equal, too many or none."""

import numpy as np
import pytest

from embcodec import available_isa, kernels
from embcodec.reference.rq import rq_beam, rq_products

RNG = np.random.default_rng(8)


def problem(m, d=6, n=40):
    """Rows, codebooks that halve, and their products."""
    x = RNG.standard_normal((n, d), np.float32)
    codebooks = RNG.standard_normal((m, 256, d), np.float32) * np.float32(0.5) ** np.arange(m)[:, None, None]
    codebooks = codebooks.astype(np.float32)
    return x, codebooks, kernels.rq_products(codebooks)


def left(x, codes, codebooks):
    return np.square(x - kernels.rq_decode(codes, codebooks)).sum(axis=1)


@pytest.mark.parametrize(("m", "words", "d"), [(1, 7, 3), (2, 16, 33), (4, 31, 17), (3, 256, 24)])
def test_products_are_those_of_any_two_stages(m, words, d):
    codebooks = RNG.standard_normal((m, words, d), np.float32)
    want = rq_products(codebooks)
    for s in range(m):
        for t in range(s):
            exact = codebooks[t].astype(np.float64) @ codebooks[s].T
            np.testing.assert_allclose(want[s * (s - 1) // 2 + t], exact, rtol=0, atol=1e-4)
    out = np.empty_like(want)
    for isa in available_isa():
        assert kernels.rq_products(codebooks, out=out, isa=isa) is out
        np.testing.assert_array_equal(out, want)


def test_a_beam_of_all_codewords_finds_the_nearest_of_all_sums():
    x, codebooks, products = problem(2)
    sums = (codebooks[0][:, None] + codebooks[1][None]).reshape(-1, x.shape[1])
    least = np.array([np.square(row - sums).sum(axis=1).min() for row in x])
    for isa in available_isa():
        codes = kernels.rq_encode(x, codebooks, products, 256, isa=isa)
        np.testing.assert_allclose(left(x, codes, codebooks), least, rtol=1e-4, atol=1e-6)


def test_a_beam_of_one_takes_the_nearest_codeword_in_each_stage():
    x, codebooks, products = problem(4)
    rest, want = x, []
    for codebook in codebooks:
        ids = kernels.vq_encode(rest, codebook)
        want.append(ids)
        rest = rest - codebook[ids]
    codes = kernels.rq_encode(x, codebooks, products, 1)
    assert (codes == np.stack(want, axis=1)).all(axis=1).mean() > 0.97  # but where two are as near


def test_wider_beams_leave_less():
    x, codebooks, products = problem(5, d=16, n=300)
    lost = [left(x, kernels.rq_encode(x, codebooks, products, beam), codebooks).mean() for beam in (1, 4, 32)]
    assert lost[0] > 1.05 * lost[1] > 1.05 * lost[2]


def test_paths_are_sorted_and_start_with_the_code():
    x, codebooks, products = problem(3)
    paths = kernels.rq_beam(x, codebooks, products, 9)
    np.testing.assert_array_equal(paths[:, 0], kernels.rq_encode(x, codebooks, products, 9))
    lost = np.stack([left(x, paths[:, b], codebooks) for b in range(9)], axis=1)
    assert (np.diff(lost, axis=1) > -1e-5).all()
    assert all(len(np.unique(row, axis=0)) == 9 for row in paths)


@pytest.mark.parametrize("beam", [1, 15, 16, 17, 63, 64, 65, 256])
@pytest.mark.parametrize("kind", ["equal", "integers", "overflow"])
def test_equal_values_and_infinite_ones_are_taken_in_order(beam, kind):
    """More values that are equal than the beam takes, and fewer finite ones than it takes."""
    x = np.ones((3, 2), np.float32)
    codebooks = np.zeros((2, 256, 2), np.float32)
    products = np.zeros((1, 256, 256), np.float32)
    if kind == "integers":
        x, codebooks = (
            np.rint(3 * RNG.standard_normal((2, 3, 2)))[0],
            np.rint(RNG.standard_normal((2, 256, 2))),
        )
        x, codebooks = x.astype(np.float32), codebooks.astype(np.float32)
        products = kernels.rq_products(codebooks)
    if kind == "overflow":  # their squares are infinite, and a sum of such and of minus infinity is no number
        codebooks[:, 3:] = 3e38
        x[1] = 3e38
        products[:, 5:9] = -3e38
    want = rq_beam(x, codebooks, products, beam)
    for isa in available_isa():
        np.testing.assert_array_equal(kernels.rq_beam(x, codebooks, products, beam, isa=isa), want, isa)


@pytest.mark.parametrize("row", [0, 95, 96, 299])
def test_the_lowest_row_that_is_not_finite_is_named(row):
    x, codebooks, products = problem(2, n=300)
    x[row:, 3] = np.nan
    for isa in available_isa():
        for kernel in ("rq_encode", "rq_beam"):
            with pytest.raises(ValueError, match=f"^{kernel}: x has a non-finite value in row {row}$"):
                getattr(kernels, kernel)(x, codebooks, products, 4, isa=isa)
