"""What a kernel may be given: dtypes, strides, memory that is not its own, other threads beside it."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from embcodec import _native, kernels
from embcodec.reference import REGISTRY, outputs

LEVELS = _native.available_levels()
FIRST = {name: kernel.variants[0] for name, kernel in REGISTRY.items()}


def inputs_of(name, x, variant=None):
    return REGISTRY[name].inputs(x, np.random.default_rng(9), **(variant or FIRST[name]))


def data(n, d):
    return np.random.default_rng(4).standard_normal((n, d), np.float32)


def result(name, inputs, **options):
    """The outputs as bytes, and the inertia as a number."""
    got = outputs(getattr(kernels, name)(**inputs, **options))
    return [g.tobytes() if isinstance(g, np.ndarray) else g for g in got]


WITH_X = [name for name in REGISTRY if "x" in inputs_of(name, data(20, 8))]
WITH_QUERIES = [name for name in REGISTRY if "queries" in inputs_of(name, data(20, 8))]
WITH_CODES = [
    (name, argument)
    for name in REGISTRY
    for argument in ("codes", "indices", "values")
    if argument in inputs_of(name, data(20, 8))
]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize(("name", "isa"), list(product(WITH_X, LEVELS)))
def test_dtypes_are_taken_as_their_float32(name, isa, dtype):
    for d in (1, 17, 33, 64):
        inputs = inputs_of(name, data(65, d))
        x = inputs["x"].astype(dtype)
        want = result(name, {**inputs, "x": x.astype(np.float32)}, isa=isa)
        assert result(name, {**inputs, "x": x}, isa=isa) == want, d


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_every_half_has_the_value_it_stands_for(dtype):
    """All finite bit patterns, denormals too: a range of one dimension for each shows the value itself."""
    halves = np.arange(2**16, dtype=np.uint16).view(dtype)
    halves = halves[np.isfinite(halves.astype(np.float32))].reshape(1, -1)
    lo = halves.astype(np.float32)[0]
    step = np.maximum(np.abs(lo) * np.float32(2**-9), np.float32(1e-40))
    for isa in LEVELS:
        assert not kernels.sq_encode(halves, lo, step, isa=isa).any()
        below = np.nextafter(lo, np.float32(-np.inf))
        tiny = np.maximum(lo - below, np.float32(1e-45))
        want = REGISTRY["sq_encode"].reference(halves, below, tiny)
        assert (kernels.sq_encode(halves, below, tiny, isa=isa) == want).all()


def views(x):
    """The same values behind other strides, and where they come from."""
    n, d = x.shape
    wide = np.full((2 * n, 3 * d), 7, x.dtype)
    wide[::2, ::3] = x
    yield "both axes apart", wide[::2, ::3]
    yield "Fortran order", np.asfortranarray(x)
    yield "rows backwards", x[::-1].copy()[::-1]
    yield "items backwards", x[:, ::-1].copy()[:, ::-1]
    shifted = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    yield "unaligned", shifted
    frozen = x.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
@pytest.mark.parametrize(("name", "isa"), list(product(WITH_X, LEVELS)))
def test_strides_change_nothing(name, isa, dtype):
    for d in (1, 33):
        inputs = inputs_of(name, data(21, d))
        x = inputs["x"].astype(dtype)
        want = result(name, {**inputs, "x": x}, isa=isa)
        for label, view in views(x):
            assert result(name, {**inputs, "x": view}, isa=isa) == want, label


@pytest.mark.parametrize("name", WITH_X)
def test_one_row_many_times(name):
    inputs = inputs_of(name, data(21, 33))
    x = np.broadcast_to(inputs["x"][:1], inputs["x"].shape)
    assert result(name, {**inputs, "x": x}) == result(name, {**inputs, "x": x.copy()})


@pytest.mark.parametrize(("name", "argument"), WITH_CODES)
def test_strides_of_codes_change_nothing(name, argument):
    for d in (1, 33):
        inputs = inputs_of(name, data(21, d))
        want = result(name, inputs)
        for label, view in views(inputs[argument]):
            assert result(name, {**inputs, argument: view}) == want, label


@pytest.mark.parametrize("name", WITH_QUERIES)
def test_queries_of_any_dtype_and_stride(name):
    inputs = inputs_of(name, data(21, 33))
    queries = inputs["queries"]
    dtypes = [queries.dtype] if queries.dtype == np.uint8 else [np.float16, ml_dtypes.bfloat16, np.float64]
    for dtype in dtypes:
        rounded = queries.astype(dtype)
        want = result(name, {**inputs, "queries": rounded.astype(queries.dtype)})
        for label, view in views(rounded):
            assert result(name, {**inputs, "queries": view}) == want, label


@pytest.mark.parametrize("name", REGISTRY)
def test_parameters_of_any_dtype_and_stride(name):
    """Masks too. They are taken as float32, contiguous."""
    inputs = inputs_of(name, data(21, 33), REGISTRY[name].variants[-1])
    want = result(name, inputs)
    for argument, value in inputs.items():
        if isinstance(value, np.ndarray) and argument not in ("x", "codes", "indices", "values", "queries"):
            apart = np.repeat(value, 2, axis=-1)[..., ::2]
            assert result(name, {**inputs, argument: apart}) == want
            if value.dtype == np.float32:
                assert result(name, {**inputs, argument: value.astype(np.float64)}) == want


@pytest.mark.parametrize("name", WITH_X)
def test_memory_mapped_rows(name, tmp_path):
    inputs = inputs_of(name, data(65, 33))
    np.save(tmp_path / "x.npy", inputs["x"])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert result(name, {**inputs, "x": mapped}) == result(name, inputs)
    got = outputs(getattr(kernels, name)(**{**inputs, "x": mapped}))
    assert not any(isinstance(g, np.memmap) for g in got)


@pytest.mark.parametrize("name", REGISTRY)
def test_inputs_are_not_written_to(name):
    inputs = inputs_of(name, data(65, 33))
    before = {a: v.copy() for a, v in inputs.items() if isinstance(v, np.ndarray)}
    for array in inputs.values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
    result(name, inputs)
    for argument, array in before.items():
        assert inputs[argument].tobytes() == array.tobytes()


@pytest.mark.parametrize("name", REGISTRY)
def test_out_is_returned(name):
    inputs = inputs_of(name, data(65, 33))
    want = outputs(getattr(kernels, name)(**inputs))
    outs = tuple(np.full_like(w, 1) for w in want if isinstance(w, np.ndarray))
    got = outputs(getattr(kernels, name)(**inputs, out=outs if len(outs) > 1 else outs[0]))
    for g, o, w in zip(got, outs, want):
        assert g is o
        assert g.tobytes() == w.tobytes()


@pytest.mark.parametrize("odd", [0, 1, 5])  # floats from where a cache line begins, or nearly
def test_large_results_in_memory_already_written(odd):
    """Stores go past the cache there, by whole lines."""
    rng = np.random.default_rng(2)
    n, d = 3001, 392  # 4.7 MB
    assert n * d * 4 > 4 << 20
    codes = rng.integers(256, size=(n, d), dtype=np.uint8)
    low, step = rng.standard_normal((2, d), dtype=np.float32)
    books = rng.standard_normal((49, 256, 8), dtype=np.float32)
    decoders = [
        lambda **out: kernels.sq_decode(codes, low, step, **out),
        lambda **out: kernels.rowsq_decode(codes, low[np.arange(n) % d], step[np.arange(n) % d], d, **out),
        lambda **out: kernels.levels_decode(codes[:, : d // 2], np.sort(low[:16]), step, **out),
        lambda **out: kernels.bits_decode(codes[:, : d // 8], d, low, step, **out),
        lambda **out: kernels.pq_decode(codes[:, :49], books, **out),
    ]
    for decode in decoders:
        memory = np.full(n * d + 64, 7, np.float32)
        out = memory[odd : odd + n * d].reshape(n, d)
        decode(out=out, threads=1)
        np.testing.assert_array_equal(out, decode())
        assert (memory[:odd] == 7).all()
        assert (memory[odd + n * d :] == 7).all()


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize("d", [1, 3, 15, 37, 513, 4096, 4097])
def test_large_results_of_rows_of_any_length(d, isa):
    """Of a chunk of rows, what fills no cache line is written with the next."""
    rng = np.random.default_rng(d)
    n = (5 << 20) // (4 * d) + 7
    codes = rng.integers(256, size=(n, d), dtype=np.uint8)
    low, step = np.zeros(d, np.float32), np.ones(d, np.float32)
    for odd in (0, 1, 13):
        memory = np.full(n * d + 64, 7, np.float32)
        out = memory[odd : odd + n * d].reshape(n, d)
        kernels.sq_decode(codes, low, step, out=out, threads=2, isa=isa)
        np.testing.assert_array_equal(out, codes)
        assert (memory[:odd] == 7).all()
        assert (memory[odd + n * d :] == 7).all()


@pytest.mark.parametrize("isa", LEVELS)
@pytest.mark.parametrize(("d", "k"), [(7, 3), (100, 1), (384, 32), (401, 400), (1000, 90)])
def test_rows_unlike_the_row_before(d, k, isa):
    """topk_encode expects of a row what it found in those before; being wrong must not show."""
    rng = np.random.default_rng(6)
    x = data(120, d)
    x[0::6] **= 9
    x[1::6] *= np.exp(rng.normal(0, 20, (20, 1)))
    x[2::6] *= rng.random((20, d)) < 0.05
    x[3::6] = x[3::6].round()
    x[4::6] = np.copysign(np.finfo(np.float32).max, x[4::6])  # their sum is infinite
    x = x[rng.permutation(120)]
    assert result("topk_encode", {"x": x, "k": k}, isa=isa) == [
        a.tobytes() for a in REGISTRY["topk_encode"].reference(x, k)
    ]


def test_many_python_threads_at_once():
    """Each kernel from eight threads, with three threads of its own, and all kernels beside each other."""
    jobs = [(name, inputs_of(name, data(513, 24))) for name in REGISTRY]
    want = [result(name, inputs, threads=1) for name, inputs in jobs]
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(result, name, inputs, threads=3) for _ in range(8) for name, inputs in jobs]
        got = [future.result() for future in futures]
    for i, g in enumerate(got):
        assert g == want[i % len(jobs)], jobs[i % len(jobs)][0]
