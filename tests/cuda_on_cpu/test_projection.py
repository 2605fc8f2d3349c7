"""Projection by tiles of 128 rows and 64 columns."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("n", "d", "columns"), [(128, 16, 64), (129, 17, 65), (300, 40, 130)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_tiles(n, d, columns, dtype):
    x = RNG.standard_normal((n, d)).astype(dtype)
    matrix, mean = RNG.standard_normal((d, columns), np.float32), RNG.standard_normal(d, np.float32)
    for less in (None, mean):
        got = on_device.call(kernels.project, {"x": x, "matrix": matrix, "mean": less})
        assert got.tobytes() == kernels.project(x, matrix, less).tobytes()


@pytest.mark.parametrize("row", [0, 127, 128, 299])
def test_refuses_what_is_not_finite(row):
    x, matrix = RNG.standard_normal((300, 40), np.float32), RNG.standard_normal((40, 70), np.float32)
    x[row:, 39] = np.nan
    with pytest.raises(ValueError, match=f"row {row}$"):
        on_device.call(kernels.project, {"x": x, "matrix": matrix})
