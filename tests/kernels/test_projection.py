"""Projection where its blocks of rows and panels of columns end; the conformance test has fewer rows."""

import numpy as np
import pytest

from embcodec import available_isa, kernels
from embcodec.reference.projection import project

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 32, 33, 64, 65, 200])
@pytest.mark.parametrize("n", [2, 3, 4, 6, 7, 95, 96, 97, 100, 193])
def test_blocks_and_panels(n, columns):
    x, mean = RNG.standard_normal((n, 130), np.float32), RNG.standard_normal(130, np.float32)
    matrix = RNG.standard_normal((130, columns), np.float32)
    want = project(x, matrix, mean)
    for isa in available_isa():
        assert kernels.project(x, matrix, mean, isa=isa).tobytes() == want.tobytes(), isa


@pytest.mark.parametrize("row", [0, 95, 96, 299])
def test_the_lowest_row_that_is_not_finite_is_named(row):
    x, matrix = RNG.standard_normal((300, 20), np.float32), RNG.standard_normal((20, 5), np.float32)
    x[row:, 7] = np.inf
    for isa in available_isa():
        with pytest.raises(ValueError, match=f"^project: x has a non-finite value in row {row}$"):
            kernels.project(x, matrix, isa=isa)
