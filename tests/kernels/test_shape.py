"""Shapes of rows: what their two numbers promise, and rows at the end of what float32 holds."""

import numpy as np
import on_device
import pytest

from embcodec import available_isa, kernels
from embcodec.codecs.levels import lloyd_max
from embcodec.reference import REGISTRY

LEVELS = [*available_isa(), *on_device.DEVICES]
every = pytest.mark.parametrize("isa", LEVELS)


def call(name, isa, **inputs):
    if isa in on_device.DEVICES:
        return on_device.call(getattr(kernels, name), inputs)
    return getattr(kernels, name)(**inputs, isa=isa)


def parameters(d, bits, scales=(1,)):
    rng = np.random.default_rng(d)
    return {
        "levels": lloyd_max(bits),
        "step": rng.uniform(0.5, 2, d).astype(np.float32),
        "direction": rng.standard_normal(d, np.float32) * np.float32(0.02),
        "scales": np.array(scales, np.float32),
    }


@every
@pytest.mark.parametrize("bits", [1, 4])
def test_inner_products_with_itself_and_with_the_direction_are_right(bits, isa):
    d = 200
    p = parameters(d, bits)
    x = np.random.default_rng(1).standard_normal((40, d)).astype(np.float32) * p["step"]
    codes = call("shape_encode", isa, x=x, **p)
    del p["scales"]
    y = call("shape_decode", isa, codes=codes, **p).astype(np.float64)
    squares = np.square(x.astype(np.float64)).sum(1)
    np.testing.assert_allclose((x * y).sum(1), squares, rtol=6e-4)  # a float16 has 11 bits
    off = y @ p["direction"] - x @ p["direction"].astype(np.float64)
    one = np.square(p["direction"].astype(np.float64)).sum() * codes[:, -2:].copy().view(np.float16)[:, 0]
    clipped = np.abs(codes[:, -3].view(np.int8)) == 127
    assert clipped.mean() < 0.5
    rounded = 0.5 * one + 5e-4 * np.abs(x @ p["direction"]) + 1e-5  # to an int8, and to a float16
    assert (np.abs(off) < rounded)[~clipped].all()


@every
def test_of_several_scales_the_one_of_least_angle_is_kept(isa):
    x = np.random.default_rng(2).standard_normal((50, 96)).astype(np.float32)
    scales = (0.7, 0.9, 1.1, 1.4)
    p = {**parameters(96, 3, scales), "direction": np.zeros(96, np.float32)}

    def cosines(codes):
        y = kernels.shape_decode(codes, p["levels"], p["step"], p["direction"]).astype(np.float64)
        return (x * y).sum(1) / np.sqrt(np.square(y).sum(1))

    alone = [
        cosines(call("shape_encode", isa, x=x, **{**p, "scales": np.array([s], np.float32)})) for s in scales
    ]
    assert len(set(np.argmax(alone, axis=0))) > 1
    np.testing.assert_allclose(
        cosines(call("shape_encode", isa, x=x, **p)), np.max(alone, axis=0), rtol=1e-12
    )


@every
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_rows_of_any_length(bits, several, isa):
    kernel = REGISTRY["shape_encode"]
    for d in (1, 16, 37):
        rng = np.random.default_rng(bits * d)
        lengths = np.float32(10.0) ** np.linspace(-44, 38, 83, dtype=np.float32)
        x = rng.standard_normal((83, d)).clip(-3, 3).astype(np.float32) * lengths[:, None]
        inputs = {
            **kernel.inputs(rng.standard_normal((83, d), np.float32), rng, bits=bits, several=several),
            "x": x,
        }
        np.testing.assert_array_equal(call("shape_encode", isa, **inputs), kernel.reference(**inputs))


@every
def test_no_step_and_no_row(isa):
    p = {**parameters(20, 2), "step": np.zeros(20, np.float32)}
    x = np.stack([np.ones(20), np.zeros(20)]).astype(np.float32)
    codes = call("shape_encode", isa, x=x, **p)
    np.testing.assert_array_equal(codes, REGISTRY["shape_encode"].reference(x, **p))
    assert not codes[:, -2:].any()  # no level says anything: the factor is 0
