"""What each stage promises, against an independent computation."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from scipy import stats
from sklearn import decomposition

from embcodec.codecs import Codec, Coder, Transform, load, parse_spec
from embcodec.codecs.base import Coarse
from embcodec.codecs.levels import lloyd_max
from embcodec.codecs.pq import _dealt
from embcodec.codecs.rows import F32
from embcodec.codecs.scalar import SQ
from embcodec.codecs.spec import _STAGES
from embcodec.data import load_sample
from embcodec.kernels import bits_encode, flat_topk


def fit_transform_stage(text: str, x: np.ndarray, seed: int = 0) -> Transform:
    """The transform of that name, fitted alone."""
    ((stage,), _) = parse_spec(f"{text},F16")
    stage.fit(x, None, seed)
    return stage


def fit_coder(text: str, x: np.ndarray, seed: int = 0) -> Coder:
    _, coder = parse_spec(text)
    coder.fit(x, None, seed)
    return coder


def encode(coder: Coder, x: np.ndarray) -> np.ndarray:
    out = np.full((len(x), coder.code_size(x.shape[1])), 0x88, np.uint8)
    coder.encode(x, out)
    return out


def close(got: np.ndarray, want: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * max(1.0, float(np.abs(want).max())))


# transforms


@pytest.mark.parametrize("text", ["Center", "Norm", "MRL16", "PCA16", "PCA48", "OPQ12", "HR", "RR", "JL16"])
def test_the_way_back_is_affine_and_adjoint_is_its_transpose(text: str, rows: np.ndarray) -> None:
    stage = fit_transform_stage(text, rows)
    m = stage.out_dim(rows.shape[1])
    offset = np.zeros(rows.shape[1]) if stage.offset is None else stage.offset
    matrix = (stage.inverse(np.eye(m, dtype=np.float32)) - offset).T  # (d, m), column by column
    z = np.random.default_rng(0).standard_normal((9, m)).astype(np.float32)
    close(stage.inverse(z), z @ matrix.T + offset)
    close(stage.adjoint(rows), rows @ matrix)
    if stage.isometric:
        close(matrix.T @ matrix, np.eye(m))


def test_hr_with_padding_is_not_isometric(rows: np.ndarray) -> None:
    assert fit_transform_stage("HR", rows).isometric
    assert not fit_transform_stage("HR", rows[:, :25]).isometric
    assert not fit_transform_stage("JL16", rows).isometric


def test_center(rows: np.ndarray) -> None:
    stage = fit_transform_stage("Center", rows)
    close(stage.forward(rows).mean(axis=0), np.zeros(48))
    close(stage.inverse(stage.forward(rows)), rows)


def test_norm(rows: np.ndarray) -> None:
    x = np.concatenate([rows, rows[:1] * 0, rows[:1] * np.float32(1e30), rows[:1] * np.float32(1e-30)])
    stage = fit_transform_stage("Norm", x)
    z = stage.forward(x)
    lengths = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    close(z[:150], (x / np.where(lengths > 0, lengths, 1))[:150], 1e-7)
    assert (z[150] == 0).all()
    close(z[151:], z[[0, 0]], 1e-6)
    assert stage.inverse(z) is z  # the length is gone


def test_mrl(rows: np.ndarray) -> None:
    stage = fit_transform_stage("MRL16", rows)
    np.testing.assert_array_equal(stage.forward(rows), rows[:, :16])
    back = stage.inverse(rows[:, :16])
    np.testing.assert_array_equal(back[:, :16], rows[:, :16])
    assert (back[:, 16:] == 0).all()


def test_pca_is_that_of_sklearn(rows: np.ndarray) -> None:
    stage = fit_transform_stage("PCA16", rows)
    oracle = decomposition.PCA(16, svd_solver="full").fit(rows.astype(np.float64))
    want = oracle.components_
    peak = want[np.arange(16), np.abs(want).argmax(axis=1)]
    close(stage.tensors()["components"], want * np.sign(peak)[:, None])
    close(stage.inverse(stage.forward(rows)), oracle.inverse_transform(oracle.transform(rows)))


def test_pca_takes_few_rows_constant_dimensions_and_far_means() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 20), np.float32)
    x[:, 5] = 3
    x[:, 7] = 1000 + x[:, 7]
    stage = fit_transform_stage("PCA20", x)
    close(stage.tensors()["components"] @ stage.tensors()["components"].T, np.eye(20))
    close(stage.inverse(stage.forward(x)), x, 1e-6)


def test_a_matrix_is_transposed_once_for_each_fit(rows: np.ndarray) -> None:
    stage = fit_transform_stage("PCA8", rows)
    first = stage.transposed("components")
    assert stage.transposed("components") is first
    stage.fit(-rows[: len(rows) // 2] * rows[0], None, 0)
    np.testing.assert_array_equal(stage.transposed("components"), stage.components.T)
    assert not np.array_equal(stage.transposed("components"), first)


def test_hr_spreads_a_spike_and_comes_back(rows: np.ndarray) -> None:
    for d in (48, 25, 1, 7):
        x = rows[:, :d]
        stage = fit_transform_stage("HR", x)
        z = stage.forward(x)
        close(np.linalg.norm(z, axis=1), np.linalg.norm(x, axis=1))
        close(stage.inverse(z), x)
    spike = np.zeros((1, 48), np.float32)
    spike[0, 3] = 1
    close(np.abs(fit_transform_stage("HR", spike).forward(spike)), np.full((1, 48), 48**-0.5))


def test_random_transforms_follow_their_seed(rows: np.ndarray) -> None:
    for text in ("HR", "RR", "JL16"):
        one, again, other = (fit_transform_stage(text, rows, seed).forward(rows) for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert not np.allclose(one, other)
    twice = Codec("HR,HR,F16").fit(rows)
    assert (twice._chain.tensors()["0.flips"] != twice._chain.tensors()["1.flips"]).any()


def test_rr_is_a_uniform_rotation() -> None:
    x = np.zeros((1, 3), np.float32)
    images = np.stack([fit_transform_stage("RR", x, seed).tensors()["rotation"] for seed in range(3000)])
    close(images @ images.transpose(0, 2, 1), np.tile(np.eye(3), (3000, 1, 1)))
    close(images.mean(axis=0), np.zeros((3, 3)), 0.05)
    close((images**2).mean(axis=0), np.full((3, 3), 1 / 3), 0.03)


def test_jl_keeps_lengths_on_average() -> None:
    x = np.random.default_rng(0).standard_normal((500, 300)).astype(np.float32)
    stage = fit_transform_stage("JL100", x)
    ratios = (stage.forward(x) ** 2).sum(axis=1) / (x**2).sum(axis=1)
    assert abs(ratios.mean() - 1) < 0.03
    z = stage.forward(x)
    close(stage.forward(stage.inverse(z)), z)  # the way back loses nothing that the projection kept


# scalar


def special_values() -> np.ndarray:
    """Ties between neighbours of both formats, denormals, zeros and values beyond the range of float16."""
    bits = np.arange(0x3F800000, 0x3F800000 + 40000 * 64, 64, dtype=np.uint32).view(np.float32)
    halves = np.arange(2048, 2049 + 40, dtype=np.float32)
    more = [0, -0.0, 1e-8, -6e-8, 3e-41, 65503, 65504, 65519, 65520, 7e4, -7e4, 3.39e38, -3.4028235e38]
    return np.concatenate([bits, halves, -halves, np.array(more, np.float32)])[:, None]


def test_f16_rounds_as_numpy_and_saturates() -> None:
    x = special_values()
    got = encode(fit_coder("F16", x), x).view("<f2")
    with np.errstate(over="ignore"):
        want = x.astype(np.float16)
    np.testing.assert_array_equal(got[np.isfinite(want)], want[np.isfinite(want)])
    assert (np.abs(got[np.isinf(want)]) == 65504).all()
    assert (np.sign(got) == np.sign(want)).all()


def test_bf16_rounds_as_ml_dtypes_and_saturates() -> None:
    x = special_values()
    coder = fit_coder("BF16", x)
    codes = encode(coder, x)
    want = x.astype(ml_dtypes.bfloat16)
    finite = np.isfinite(want.astype(np.float32))[:, 0]
    np.testing.assert_array_equal(codes.view("<u2")[finite], want.view(np.uint16)[finite])
    assert np.isfinite(coder.decode(codes)).all()
    np.testing.assert_array_equal(coder.decode(codes)[finite], want.astype(np.float32)[finite])


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_sq_is_within_half_a_step(bits: int, rows: np.ndarray) -> None:
    x = rows.copy()
    x[:, 4] = 0.3
    coder = fit_coder(f"SQ{bits}", x)
    step = (x.max(axis=0).astype(np.float64) - x.min(axis=0)) / (2**bits - 1)
    error = np.abs(coder.decode(encode(coder, x)).astype(np.float64) - x)
    assert (error <= step / 2 * 1.0001 + 1e-6).all()
    assert (error[:, 4] == 0).all()
    middle = x.mean(axis=0)
    beyond = coder.decode(encode(coder, middle + (x - middle) * 100))
    close(beyond.max(axis=0), x.max(axis=0))
    close(beyond.min(axis=0), x.min(axis=0))


def test_sq_quantiles_leave_out_the_extremes() -> None:
    x = np.random.default_rng(0).permutation(np.arange(1000, dtype=np.float32))[:, None]
    for text, lo, hi in (
        ("SQ8", 0, 999),
        ("SQ8:q0.01", 10, 989),
        ("SQ8:q0.0009", 0, 999),
        ("SQ8:q0.499", 499, 500),
    ):
        tensors = fit_coder(text, x).tensors()
        assert tensors["lo"] == lo
        close(tensors["lo"] + 255 * tensors["step"], np.float32([hi]))
    one = fit_coder("SQ4:q0.4", x[:1])
    assert one.decode(encode(one, x[:1])) == x[0]


def test_sq4_with_quantiles_finds_more_on_real_embeddings() -> None:
    sample = load_sample()
    exact = (-sample.queries @ sample.base.T).argsort(axis=1)[:, :10]

    def recall(spec: str) -> float:
        codec = Codec(spec).fit(sample.base)
        _, ids = codec.search(codec.encode(sample.base), sample.queries, 10)
        return float(np.mean([len(set(a) & set(b)) for a, b in zip(ids, exact, strict=True)])) / 10

    assert recall("SQ4:q0.002") > recall("SQ4") + 0.005 > 0.9


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_row_sq_code_is_levels_scale_and_offset(bits: int, rows: np.ndarray) -> None:
    coder = fit_coder(f"SQ{bits}:row", rows)
    codes = encode(coder, rows)
    packed = 48 * bits // 8
    scale, offset = codes[:, packed:].copy().view("<f4").T
    np.testing.assert_array_equal(offset, rows.min(axis=1))
    close(scale * (2**bits - 1), rows.max(axis=1) - rows.min(axis=1))
    error = np.abs(coder.decode(codes) - rows)
    assert (error <= scale[:, None] * 0.5001 + 1e-6).all()
    outlier = rows.copy()
    outlier[3] *= 1000
    np.testing.assert_array_equal(np.delete(encode(coder, outlier), 3, 0), np.delete(codes, 3, 0))


# binary


@pytest.mark.parametrize("text", ["Binary", "Binary:mean", "Binary:median"])
def test_binary_decodes_to_the_means_of_both_sides(text: str, rows: np.ndarray) -> None:
    x = rows.copy()
    x[:, 0] = np.abs(x[:, 0]) + 1  # all above 0
    x[:, 1] = 2  # constant
    coder = fit_coder(text, x)
    threshold = {
        "Binary": np.zeros(48, np.float32),
        "Binary:mean": x.mean(axis=0, dtype=np.float64).astype(np.float32),
        "Binary:median": np.median(x, axis=0),
    }[text]
    codes = encode(coder, x)
    np.testing.assert_array_equal(codes, np.packbits(x > threshold, axis=1))
    decoded = coder.decode(codes)
    for column in range(48):
        above = x[:, column] > threshold[column]
        for side in (above, ~above):
            if side.any():
                close(decoded[side, column], np.full(side.sum(), x[side, column].mean(dtype=np.float64)))
    assert all(np.isfinite(t).all() for t in coder.tensors().values())


# levels after a rotation


@pytest.mark.parametrize("bits", range(1, 9))
def test_lloyd_max_levels_are_where_their_cells_have_their_means(bits: int) -> None:
    levels = lloyd_max(bits).astype(np.float64)
    close(levels, -levels[::-1], 1e-6)
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    mass, density = np.diff(stats.norm.cdf(edges)), stats.norm.pdf(edges)
    close(levels, -np.diff(density) / mass, 2e-3)
    # Max (1960) printed these errors
    printed = {1: 0.3634, 2: 0.1175, 3: 0.03454, 4: 0.009497, 5: 0.002499}
    error = 1 - (mass * levels**2).sum()
    assert abs(error - printed.get(bits, error)) < 1e-4 * 2.0**-bits
    assert error < 2.8 * 4.0**-bits


@pytest.mark.parametrize("text", ["LM1", "LM3", "RaBitQ1", "RaBitQ3"])
@pytest.mark.parametrize("d", [48, 45])
def test_both_corrections_of_a_row_do_what_they_say(text: str, d: int, rows: np.ndarray) -> None:
    x = rows[:, :d]
    coder = fit_coder(text, x)
    tensors = coder.tensors()
    y, mean, direction = coder.decode(encode(coder, x)), tensors["mean"], tensors["direction"]
    centred, decoded = (x - mean).astype(np.float64), (y - mean).astype(np.float64)
    squares = (centred**2).sum(axis=1)
    np.testing.assert_allclose((centred * decoded).sum(axis=1), squares, rtol=1e-3)  # float16's precision
    lost = (centred - decoded) @ direction
    step = (direction.astype(np.float64) ** 2).sum() * np.sqrt(squares / squares.mean())
    assert (np.abs(lost) < 2 * step).mean() > 0.95
    energy = ((x @ direction) ** 2).sum() / (direction**2).sum()
    assert energy > 0.99 * np.linalg.norm(x.astype(np.float64), 2) ** 2


def test_more_bits_of_levels_lose_less_and_lengths_survive(rows: np.ndarray) -> None:
    x = rows * np.linspace(0.1, 30, len(rows), dtype=np.float32)[:, None]
    for name in ("LM", "RaBitQ"):
        errors = []
        for bits in range(1, 9):
            coder = fit_coder(f"{name}{bits}", x)
            y = coder.decode(encode(coder, x))
            errors.append((((x - y) ** 2).sum(axis=1) / ((x - x.mean(axis=0)) ** 2).sum(axis=1)).mean())
        assert all(after < 0.6 * before for before, after in pairwise(errors))
        assert errors[-1] < 2e-4


def test_rabitq1_codes_are_signs_of_the_rotated_row(rows: np.ndarray) -> None:
    coder = fit_coder("RaBitQ1", rows)
    rotation = fit_transform_stage("HR", rows)
    z = rotation.forward(rows - coder.tensors()["mean"])
    np.testing.assert_array_equal(encode(coder, rows)[:, :6], bits_encode(z, order="lsb"))


def test_rows_alike_and_rows_far_beyond_the_sample(rows: np.ndarray) -> None:
    same = np.tile(rows[:1], (5, 1))
    for text in ("LM2", "RaBitQ2"):
        coder = fit_coder(text, same)
        close(coder.decode(encode(coder, same)), same)
        assert np.isfinite(coder.decode(encode(coder, rows * np.float32(1e8)))).all()


# codebooks


@pytest.mark.parametrize(("text", "width"), [("VQ1", 1), ("VQ20", 1), ("VQ257", 2)])
def test_vq_names_the_nearest_codeword(text: str, width: int, rows: np.ndarray) -> None:
    x = np.tile(rows, (2, 1)) + np.random.default_rng(0).standard_normal((300, 48)).astype(np.float32)
    coder = fit_coder(text, x)
    codes = encode(coder, x)
    assert codes.shape == (300, width)
    ids = codes.astype(np.int64) @ (256 ** np.arange(width))
    codebook = coder.tensors()["codebook"].astype(np.float64)
    distance = ((x[:, None].astype(np.float64) - codebook) ** 2).sum(axis=2)
    assert (distance[np.arange(300), ids] <= distance.min(axis=1) * (1 + 1e-5) + 1e-9).all()
    np.testing.assert_array_equal(coder.decode(codes), codebook[ids].astype(np.float32))


@pytest.mark.parametrize(("text", "m", "bits"), [("PQ12x4", 12, 4), ("PQ3x4", 3, 4), ("PQ6x8", 6, 8)])
def test_pq_codes_are_packed_ids_of_near_codewords(text: str, m: int, bits: int, rows: np.ndarray) -> None:
    x = np.tile(rows, (2, 1)) + np.random.default_rng(0).standard_normal((300, 48)).astype(np.float32)
    coder = fit_coder(text, x)
    stream = np.unpackbits(encode(coder, x), axis=1, bitorder="little")[:, : m * bits]
    ids = stream.reshape(300, m, bits) @ (1 << np.arange(bits))
    codebooks = coder.tensors()["codebooks"].astype(np.float64)
    parts = x.astype(np.float64).reshape(300, m, 1, 48 // m)
    distance = ((parts - codebooks) ** 2).sum(axis=3)
    chosen = np.take_along_axis(distance, ids[:, :, None], 2)[:, :, 0]
    assert (chosen <= distance.min(axis=2) * (1 + 1e-5) + 1e-9).all()
    assert chosen.sum() < 0.9 * ((x - x.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("m", [1, 4, 12, 48])
def test_opq_deals_components_of_all_sizes_to_all_subspaces(m: int) -> None:
    variance = np.linspace(1, 0.1, 48) ** 4
    dealt = _dealt(variance, m)
    np.testing.assert_array_equal(np.sort(dealt), np.arange(48))
    products = np.log(variance[dealt]).reshape(m, 48 // m).sum(axis=1)
    neighbours = np.log(variance).reshape(m, 48 // m).sum(axis=1)
    assert np.ptp(products) <= np.ptp(neighbours) / (5 if 1 < m < 48 else 1)


def loss(spec: str, x: np.ndarray) -> float:
    """Mean squared error of the second half of x, fitted on the first."""
    half = len(x) // 2
    codec = Codec(spec).fit(x[:half])
    return float(((codec.transform(x[half:]) - x[half:]) ** 2).sum(axis=1).mean())


def test_opq_makes_pq_lose_less() -> None:
    rng = np.random.default_rng(1)
    mixed = np.linspace(2, 0.1, 16)[:, None] * np.linalg.qr(rng.standard_normal((16, 16)))[0]
    x = (rng.standard_normal((6000, 16)) @ mixed + 3).astype(np.float32)
    assert loss("OPQ4,PQ4x4", x) < 0.85 * loss("PQ4x4", x)


def test_opq_finds_what_variances_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((12000, 16)) ** 3 @ np.linalg.qr(rng.standard_normal((16, 16)))[0]).astype(
        np.float32
    )
    turned = loss("OPQ4,PQ4x8", x)
    monkeypatch.setattr("embcodec.codecs.pq._OPQ_ROUNDS", 0)
    assert turned < 0.97 * loss("OPQ4,PQ4x8", x)


def test_opq_takes_few_rows_and_constant_dimensions(rows: np.ndarray) -> None:
    for n in (1, 20, 40, 150):
        x = rows[:n].copy()
        x[:, 3] = 7
        rotation = fit_transform_stage("OPQ6", x).tensors()["rotation"]
        close(rotation @ rotation.T, np.eye(48))


# sparse


def test_top_keeps_the_largest(rows: np.ndarray) -> None:
    kept = np.argsort(-np.abs(rows), axis=1, kind="stable")[:, :5]
    want = np.zeros_like(rows)
    np.put_along_axis(want, kept, np.take_along_axis(rows, kept, 1), 1)
    exact = fit_coder("Top5:f32", rows)
    np.testing.assert_array_equal(exact.decode(encode(exact, rows)), want)
    half = fit_coder("Top5", rows)
    codes = encode(half, rows)
    np.testing.assert_array_equal(half.decode(codes), want.astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(codes[:, :10].copy().view("<u2"), np.sort(kept, axis=1))
    huge = half.decode(encode(half, np.full((1, 48), -1e6, np.float32)))
    assert (huge[0, :5] == -65504).all()


def test_top_of_many_dimensions() -> None:
    for d, index in ((65536, "<u2"), (65537, "<u4")):
        x = np.zeros((2, d), np.float32)
        x[0, [5, d - 1]] = 1, -2
        coder = fit_coder("Top2", x)
        codes = encode(coder, x)
        ids = codes[:, : 2 * np.dtype(index).itemsize].copy().view(index)
        assert ids.tolist() == [[5, d - 1], [0, 1]]
        np.testing.assert_array_equal(coder.decode(codes), x)
        _, found = coder.search(codes, -x[:1], 2, "ip", None, None)
        assert found.tolist() == [[1, 0]]


# a stage of one's own


def test_the_stage_in_the_documentation_works(rows: np.ndarray, queries: np.ndarray, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "codecs.md").read_text()
    source = text[text.index("from embcodec.codecs import Tensor, Transform, register") :].partition("```")[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embcodec.codecs.spec._STAGES", [*_STAGES])
        exec(source, {"np": np, "F32": F32})
        codec = Codec("Scale,PCA20,SQ8").fit(rows)
        codec.save(tmp_path / "c")
        assert load(tmp_path / "c").fingerprint == codec.fingerprint
        codes = codec.encode(rows)
        close(codec.decode(codes), rows, 0.5)
        for metric in ("ip", "l2", "cosine"):
            scores, ids = codec.search(codes, queries, 5, metric)
            want, found = flat_topk(codec.decode(codes), queries, 5, metric=metric)
            close(scores, want)
            assert (ids == found).mean() > 0.9
    with pytest.raises(ValueError, match="stage 'Scale' at position 0 is not known"):
        Codec("Scale,SQ8")


def test_a_coder_behind_centroids_is_fitted_for_rows_that_are_new_to_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row of the sample is as far from its centroid as if that were the mean of the others."""
    rng = np.random.default_rng(8)
    x = (rng.standard_normal((90, 12)) + 9 * rng.standard_normal((30, 12))[np.arange(90) // 3]).astype(
        np.float32
    )
    x = np.concatenate([x, np.full((1, 12), 99, np.float32)])  # with a centroid of its own
    seen: list[tuple[np.ndarray, Coarse]] = []

    def fit_residual(self: SQ, x: np.ndarray, coarse: Coarse, queries: np.ndarray, seed: int) -> None:
        seen.append((x, coarse))
        self.fit(x, queries, seed)

    monkeypatch.setattr(SQ, "fit_residual", fit_residual)
    Codec("IVF31,SQ8", seed=1).fit(x)
    (rest, coarse), ids = seen[0], seen[0][1].ids
    assert ids is not None
    for row, mine in enumerate(ids):
        others = np.flatnonzero(ids == mine)
        others = others[others != row]
        want = x[row] - (x[others].mean(axis=0) if len(others) else x[row])
        np.testing.assert_allclose(rest[row], want, atol=2e-4)
    np.testing.assert_allclose(coarse.add_to(coarse.left(rest)), x, atol=1e-4)
