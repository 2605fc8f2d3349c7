"""Every kernel on every level against its reference. If only one test file is run, this is the one."""

from functools import lru_cache
from inspect import signature
from itertools import product
from zlib import crc32

import numpy as np
import on_device
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY, outputs

LEVELS = _native.available_levels() + on_device.DEVICES
DIMS = (1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 384, 769)
DEVICE_DIMS = (1, 8, 17, 33, 130)  # fewer: a fibre for every thread takes its time
ROWS = (0, 1, 3, 65)
BORDER = 64


def normal(rng, n, d):
    return rng.standard_normal((n, d), np.float32)


def cycle(rng, n, d):
    """251 is the largest prime below 256: swapped blocks cannot cancel."""
    return (np.arange(n * d) % 251 - 125).astype(np.float32).reshape(n, d)


def ties(rng, n, d):
    """Few different values, and few different rows."""
    rows = rng.integers(-2, 3, (max(1, n // 4), d)).astype(np.float32) / 2
    return rows[rng.integers(rows.shape[0], size=n)]


def zeros(rng, n, d):
    return np.where(rng.random((n, d)) < 0.5, np.float32(0), np.float32(-0.0))


def denormals(rng, n, d):
    return normal(rng, n, d) * np.float32(1e-40)


def huge(rng, n, d):
    x = normal(rng, n, d)
    if n:
        x[rng.integers(n), rng.integers(d)] = 1e30
    return x


DATA = (normal, cycle, ties, zeros, denormals, huge)


@lru_cache(maxsize=1)
def cases(name, d):
    """Inputs and the reference's outputs for all rows and data: all variants of one, one of others."""
    kernel, rng = REGISTRY[name], np.random.default_rng(crc32(f"{name} {d}".encode()))
    found = []
    for n, data in product(ROWS, DATA):
        full = n == max(ROWS) and data is normal
        some = kernel.variants if full else [kernel.variants[rng.integers(len(kernel.variants))]]
        for variant in some:
            inputs = kernel.inputs(data(rng, n, d), rng, **variant)
            if inputs is not None:
                label = f"{n} rows, {data.__name__}, {variant}"
                found.append((label, inputs, kernel.reference(**inputs)))
    return found


def call(name, inputs, isa, threads=None, out=None):
    """On an instruction set, or on a CUDA device, where `out` has to be then."""
    function = getattr(kernels, name)
    if isa == "cuda":
        return on_device.call(function, inputs, out)
    return function(**inputs, isa=isa, threads=threads, out=out)


def assert_same(got, want, label):
    for i, (g, w) in enumerate(zip(outputs(got), outputs(want), strict=True)):
        g, w = np.asarray(g), np.asarray(w)
        assert (g.dtype, g.shape) == (w.dtype, w.shape), label
        if g.tobytes() != w.tobytes():
            where = np.argwhere(g != w)
            at = tuple(where[0]) if where.size else "signs of zero"
            values = "" if isinstance(at, str) else f"got {g[at]!r}, want {w[at]!r}"
            pytest.fail(f"{label}: output {i} at {at} ({len(where)} of {g.size}): {values}")


def judge(name, inputs, got, want, label):
    check = REGISTRY[name].check
    if check is None:
        assert_same(got, want, label)
    else:
        try:
            check(inputs, got, want)
        except AssertionError as error:
            raise AssertionError(f"{label}: {error}") from None


@pytest.mark.parametrize(
    ("name", "d", "isa"),
    [
        *product(REGISTRY, DIMS, _native.available_levels()),
        *product(REGISTRY, DEVICE_DIMS, on_device.DEVICES),
    ],
)
def test_matches_the_reference(name, d, isa):
    for label, inputs, want in cases(name, d):
        judge(name, inputs, call(name, inputs, isa=isa, threads=1), want, label)


@pytest.mark.parametrize(("name", "isa"), list(product(REGISTRY, LEVELS)))
def test_writes_nothing_beside_its_outputs(name, isa):
    for label, inputs, want in cases(name, 33) + cases(name, 8):
        arrays = [w for w in outputs(want) if isinstance(w, np.ndarray)]
        buffers = [np.full(w.nbytes + 2 * BORDER, 0x88, np.uint8) for w in arrays]
        if isa == "cuda":
            buffers = [on_device.device(b) for b in buffers]
        outs = tuple(
            b[BORDER : b.size - BORDER].view(w.dtype).reshape(w.shape) for b, w in zip(buffers, arrays)
        )
        got = outputs(call(name, inputs, out=outs if len(outs) > 1 else outs[0], isa=isa, threads=1))
        for out, result, buffer in zip(outs, got, buffers):
            assert result is out, label
            assert (buffer[:BORDER] == 0x88).all(), label
            assert (buffer[buffer.size - BORDER :] == 0x88).all(), label
        assert_same(tuple(map(on_device.host, got)), call(name, inputs, isa=isa, threads=1), label)


@pytest.mark.parametrize(("name", "isa"), list(product(REGISTRY, _native.available_levels())))
def test_threads_change_nothing(name, isa):
    kernel, rng = REGISTRY[name], np.random.default_rng(1)
    for variant in kernel.variants[:: max(1, len(kernel.variants) // 4)]:
        inputs = kernel.inputs(normal(rng, 4099, 24), rng, **variant)
        one, three = (call(name, inputs, isa=isa, threads=threads) for threads in (1, 3))
        assert_same(three, one, variant)


@pytest.mark.parametrize("name", REGISTRY if on_device.DEVICES else ())
def test_the_order_of_threads_changes_nothing(name):
    """On a device: forward, backward, and random."""
    kernel, rng = REGISTRY[name], np.random.default_rng(1)
    for variant in kernel.variants[:: max(1, len(kernel.variants) // 4)]:
        inputs = kernel.inputs(normal(rng, 300, 24), rng, **variant)
        first, *others = (call_in_order(name, inputs, order) for order in range(3))
        for other in others:
            assert_same(other, first, variant)


def call_in_order(name, inputs, order):
    on_device.set_order(order)
    try:
        return call(name, inputs, isa="cuda")
    finally:
        on_device.set_order(0)


def batch_arguments(name):
    """The arguments whose rows stand for themselves; a fit has none."""
    if name.endswith("_fit"):
        return ()
    if name.endswith(("_topk", "_tables")):
        return ("queries",)
    return ("x", "codes", "scale", "offset", "indices", "values")


@pytest.mark.parametrize(("name", "isa"), list(product((n for n in REGISTRY if batch_arguments(n)), LEVELS)))
def test_batch_is_row_by_row(name, isa):
    batched = batch_arguments(name)
    for label, inputs, _ in cases(name, 17):
        rows = len(next(inputs[argument] for argument in batched if argument in inputs))
        whole = outputs(call(name, inputs, isa=isa, threads=1))
        for i in range(0, rows, 7):
            one = {a: v[i : i + 1] if a in batched else v for a, v in inputs.items()}
            assert_same(call(name, one, isa=isa, threads=1), tuple(w[i : i + 1] for w in whole), label)


def call_on(isa, name, *arguments):
    return call(name, signature(getattr(kernels, name)).bind(*arguments).arguments, isa=isa)


@pytest.mark.parametrize(("encoder", "decoder"), list(product(LEVELS, LEVELS)))
def test_codes_of_one_level_decode_on_another(encoder, decoder):
    x = np.random.default_rng(2).standard_normal((65, 48), np.float32)
    codebooks = call_on(encoder, "pq_fit", x, 8, 4)
    lo, step = np.full(48, -2, np.float32), np.full(48, 4 / 63, np.float32)
    trips = {
        "sq": ((lo, step, 6), (lo, step, 6)),
        "rowsq": ((4,), (48, 4)),
        "levels": ((lo[:8] + np.arange(8, dtype=np.float32) / 2, step + 1),) * 2,
        "bits": ((0.5,), (48, lo, step)),
        "pq": ((codebooks,), (codebooks,)),
        "topk": ((9,), (48,)),
    }
    for family, (to_encode, to_decode) in trips.items():
        codes = outputs(call_on(encoder, f"{family}_encode", x, *to_encode))
        got = call_on(decoder, f"{family}_decode", *codes, *to_decode)
        assert_same(got, REGISTRY[f"{family}_decode"].reference(*codes, *to_decode), family)
