"""`encode --device cuda`: rows of the host, piece by piece through the device."""

import sys

import numpy as np
import on_device
import pytest

from embcodec import BackendUnavailableError, Codec, load
from embcodec._backends import cuda
from embcodec.cli import main
from embcodec.io.device import DeviceEncoder

pytestmark = on_device.needs_emulation


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(5).standard_normal((1000, 16), np.float32)


MANY = ("F16", "SQ4:row", "VQ300", "Top3", "LM3", "IVF9,RaBitQ2", "RR,PQ4x8")
PIECES = [*(("HR,SQ8", rows) for rows in (1, 7, 999, 1000, 5000)), *((spec, 300) for spec in MANY)]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("spec", "rows"), PIECES)
def test_pieces_change_nothing(x, spec, rows, dtype):
    """Fewer rows than fit, more, and a last piece that is short; twice, so that buffers are used again."""
    codec = Codec(spec).fit(x)
    encoder = DeviceEncoder(codec, piece_bytes=rows * 8 * 16)
    for part in (x, x[::-1]):
        np.testing.assert_array_equal(encoder.encode(part.astype(dtype)), codec.encode(part.astype(dtype)))
    assert encoder.encode(x[:0]).shape == (0, codec.code_size)


def test_a_row_is_named_by_its_number_in_all_pieces(x):
    bad = x.copy()
    bad[123, 4] = np.nan
    with pytest.raises(ValueError, match="x has a non-finite value in row 123"):
        DeviceEncoder(Codec("LM3").fit(x), piece_bytes=100 * 8 * 16).encode(bad)


def run(tmp_path, x, *options, spec="SQ8"):
    np.save(tmp_path / "x.npy", x)
    Codec(spec).fit(np.nan_to_num(x)).save(tmp_path / "codec.safetensors")
    names = ("x.npy", "codec.safetensors", "codes.npy")
    rows, codec, codes = (str(tmp_path / name) for name in names)
    return main(["encode", rows, "--codec", codec, "-o", codes, *options])


@pytest.mark.parametrize("spec", ["SQ8", "Norm,LM4", "IVF9,TCQ2"])
def test_the_command(tmp_path, x, spec):
    assert run(tmp_path, x, "--device", "cuda", spec=spec) == 0
    want = load(tmp_path / "codec.safetensors").encode(x)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), want)


def test_the_command_names_the_row_of_the_file(tmp_path, x, capsys):
    bad = x.copy()
    bad[123, 4] = np.inf
    assert run(tmp_path, bad, "--device", "cuda") == 2
    assert "has a non-finite value in row 123" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["driver", "build", "cupy", "device"])
def test_what_is_missing_is_said(tmp_path, x, capsys, monkeypatch, missing):
    message = {
        "driver": "no NVIDIA driver found",
        "build": "this build of embcodec has no CUDA",
        "cupy": "device cuda needs CuPy, which is missing",
        "device": "no CUDA device found",
    }[missing]

    class NoDriver:
        @staticmethod
        def device_count():
            raise BackendUnavailableError(message)

    class NoDevice:
        device_count = staticmethod(lambda: 0)

    if missing == "cupy":
        monkeypatch.setitem(sys.modules, "cupyx", None)
    else:
        monkeypatch.setattr(cuda, "_cuda", {"driver": NoDriver, "build": None, "device": NoDevice}[missing])
    assert run(tmp_path, x, "--device", "cuda") == 2
    assert capsys.readouterr().err == f"embcodec: error: {message}\n"
