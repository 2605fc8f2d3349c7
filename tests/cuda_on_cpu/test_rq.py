"""Residual quantization: beams of all sizes, ties, and more rows than there is scratch memory for."""

import numpy as np
import on_device
import pytest

from embcodec import kernels

pytestmark = on_device.skip_without

RNG = np.random.default_rng(6)


def arguments(n, m, d, beam):
    """Few different numbers, so that many paths are as good as each other."""
    codebooks, x = (np.round(RNG.standard_normal(shape, np.float32)) for shape in ((m, 256, d), (n, d)))
    return {"x": x, "codebooks": codebooks, "products": kernels.rq_products(codebooks), "beam": beam}


@pytest.mark.parametrize("name", ["rq_encode", "rq_beam"])
@pytest.mark.parametrize(
    ("m", "d", "beam"),
    [(1, 5, 1), (1, 16, 256), (3, 1, 64), (5, 2, 127), (5, 2, 128), (3, 9, 129), (4, 9, 256), (12, 20, 32)],
)
def test_paths_of_one_value_are_taken_in_order(name, m, d, beam):
    kernel, inputs = getattr(kernels, name), arguments(5, m, d, beam)
    np.testing.assert_array_equal(on_device.call(kernel, inputs), kernel(**inputs))


@pytest.mark.parametrize("name", ["rq_encode", "rq_beam"])
def test_products_are_added_in_order(name):
    """What is large hides what is small until it cancels."""
    kernel, inputs = getattr(kernels, name), arguments(5, 12, 20, 32)
    products = inputs["products"]
    products += RNG.random(products.shape, np.float32)
    products += RNG.choice(np.float32([-(2**23), 2**23]), products.shape)
    np.testing.assert_array_equal(on_device.call(kernel, inputs), kernel(**inputs))


def test_rows_in_parts():
    """The row that is refused is named by its number in all of them; the others are right."""
    inputs = arguments(3000, 24, 2, 1)
    want = kernels.rq_encode(**inputs)
    inputs["x"][2990, 1] = np.nan
    out = on_device.device(np.zeros_like(want))
    with pytest.raises(ValueError, match=r"row 2990$"):
        on_device.call(kernels.rq_encode, inputs, out=out)
    np.testing.assert_array_equal(np.delete(on_device.host(out), 2990, axis=0), np.delete(want, 2990, axis=0))
