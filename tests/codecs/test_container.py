"""A codec file: whole or not at all, and believed nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from embcodec.codecs import Codec, container, load

SPEC = "PCA4,PQ2x4"  # floats in three tensors, in a file small enough to cut everywhere


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = np.random.default_rng(0).standard_normal((60, 10), np.float32)
    path = tmp_path_factory.mktemp("codec") / "c.safetensors"
    Codec(SPEC, seed=12).fit(x).save(path)
    return path


def same(a: Codec, b: Codec) -> bool:
    x = np.random.default_rng(1).standard_normal((20, 10), np.float32)
    return (
        (a.spec, a.d, a.seed, a.fingerprint) == (b.spec, b.d, b.seed, b.fingerprint)
        and (a.encode(x) == b.encode(x)).all()
        and bool((a.transform(x) == b.transform(x)).all())
    )


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is not a codec file, or damaged: ") as caught:
        load(path)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def test_truncated_anywhere(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    for length in [*range(0, len(data), 97), 1, 7, 8, 9, len(data) - 1]:
        refused(tmp_path / "t", data[:length])
    refused(tmp_path / "t", data + b"\0")


def test_a_thousand_bit_flips(saved: Path, tmp_path: Path) -> None:
    data, original = saved.read_bytes(), load(saved)
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(data[:8], "little")
    for i in range(1000):
        flipped = bytearray(data)
        bit = int(rng.integers(8 * (header if i % 2 else len(data))))  # every other one in the header
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "f").write_bytes(flipped)
        try:
            codec = load(tmp_path / "f")
        except ValueError:
            continue
        assert same(codec, original), f"bit {bit}"


def rewrite(path: Path, **changes: Any) -> bytes:
    """The saved codec with other header fields, and a checksum that fits them."""
    tensors = load_file(path)
    header = json.loads(_entry(path))
    checksum = header.pop("checksum")
    header.update(changes)
    fields = {name: header[name] for name in ("spec", "d", "seed", "fingerprint", "format")}
    checksum = changes.get("checksum", container.Header(**fields).checksum())
    return save(tensors, metadata={"embcodec": json.dumps({**header, "checksum": checksum})})


def _entry(path: Path) -> str:
    data = path.read_bytes()
    entry: str = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["embcodec"]
    return entry


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2, but this version reads 1"),
        ({"format": "1"}, "must hold"),
        ({"format": True}, "must hold"),
        ({"d": 11}, "must be float32"),
        ({"d": -10}, "out of range"),
        ({"d": 0}, "out of range"),
        ({"d": 10**30}, "out of range"),
        ({"d": 10.0}, "must hold"),
        ({"d": float("nan")}, "must hold"),
        ({"seed": -1}, "out of range"),
        ({"seed": 2**64}, "out of range"),
        ({"spec": "PCA4,PQ2x8"}, "must be float32"),
        ({"spec": "PCA4 ,PQ2x4"}, "fingerprint"),
        ({"spec": "PCA4"}, "no coder"),
        ({"spec": "SQ8"}, "must hold tensors"),
        ({"spec": "PCA4,SQ8"}, "must hold tensors"),
        ({"spec": "Norm,PCA4,PQ2x4"}, "must hold tensors"),
        ({"spec": "PCA999999,PQ2x4"}, "needs at least"),
        ({"spec": ["PCA4", "PQ2x4"]}, "must hold"),
        ({"spec": "x" * 100000}, "spec 'xxx"),
        ({"fingerprint": "0" * 16}, "fingerprint"),
        ({"checksum": "0" * 16}, "checksum"),
        ({"checksum": None}, "checksum"),
        ({"more": 1}, "must hold"),
    ],
)
def test_headers_that_lie(saved: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path / "h", rewrite(saved, **changes))


def change_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> bytes:
    tensors = {name: tensor.copy() for name, tensor in load_file(path).items()}
    change(tensors)
    header = json.loads(_entry(path))
    header.pop("checksum")
    header["fingerprint"] = container.fingerprint(header["spec"], header["d"], tensors)
    fresh = container.Header(**header)
    return save(tensors, metadata={"embcodec": json.dumps({**header, "checksum": fresh.checksum()})})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.mean"), "must hold tensors"),
        (lambda t: t.update({"0.more": np.zeros(3, np.float32)}), "must hold tensors"),
        (lambda t: t.update({"2.mean": np.zeros(3, np.float32)}), "tensor '2.mean' belongs to no stage"),
        (lambda t: t.update({"": np.zeros(3, np.float32)}), "tensor '' belongs to no stage"),
        (lambda t: t.update({"0.mean": t["0.mean"].astype(np.float64)}), "must be float32"),
        (lambda t: t.update({"0.mean": t["0.mean"].view(np.int32)}), "must be float32"),
        (lambda t: t.update({"0.mean": t["0.mean"][:, None]}), "must be float32"),
        (lambda t: t.update({"0.mean": np.zeros(0, np.float32)}), "must be float32"),
        (lambda t: t["0.mean"].__setitem__(0, np.nan), "must be finite"),
        (lambda t: t["1.codebooks"].__setitem__(0, np.inf), "must be finite"),
        (lambda t: t["0.components"].__setitem__(0, 2), "must be finite and in"),
    ],
)
def test_tensors_that_do_not_fit(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    assert same(_loaded(tmp_path, change_tensors(saved, lambda t: None)), load(saved))
    assert message in refused(tmp_path / "t", change_tensors(saved, change))


def _loaded(folder: Path, data: bytes) -> Codec:
    (folder / "ok").write_bytes(data)
    return load(folder / "ok")


def frame(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + body


TENSOR = b'"0.x":{"dtype":"%s","shape":%s,"data_offsets":[0,%d]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 8,
        b"\xff" * 100,
        b"PAR1" + b"\0" * 1000,
        (2**63 - 1).to_bytes(8, "little") + b"{}",
        frame(b"{}"),
        frame(b"[]"),
        frame(b"null"),
        frame(b"\xff\xfe{}"),
        frame(b'{"__metadata__":{}}'),
        frame(b'{"__metadata__":null}'),
        frame(b'{"__metadata__":{"embcodec":"' + b"[" * 100000 + b'"}}'),
        frame(b'{"__metadata__":{"embcodec":"NaN"}}'),
        frame(b'{"__metadata__":{"embcodec":"1' + b"0" * 5000 + b'"}}'),
        frame(b'{"__metadata__":{"embcodec":"\\ud800"}}'),
        frame(b'{"__metadata__":' + b'{"a":' * 100000 + b"1" + b"}" * 100001),
        frame(b"{" + TENSOR % (b"F32", b"[4611686018427387904]", 4) + b"}", b"\0" * 4),
        frame(b"{" + TENSOR % (b"F32", b"[-1]", 4) + b"}", b"\0" * 4),
        frame(b"{" + TENSOR % (b"F32", b"[0,9223372036854775807]", 0) + b"}"),
        frame(b"{" + TENSOR % (b"F32", b"[" + b"1," * 99 + b"1]", 4) + b"}", b"\0" * 4),
        frame(b"{" + TENSOR % (b"BF16", b"[2]", 4) + b"}", b"\0" * 4),
        frame(b"{" + TENSOR % (b"F8_E4M3", b"[4]", 4) + b"}", b"\0" * 4),
        frame(b"{" + TENSOR % (b"O", b"[4]", 4) + b"}", b"\0" * 4),
    ],
)
def test_hostile_files(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "h", data)


def test_a_key_twice(saved: Path, tmp_path: Path) -> None:
    twice = _entry(saved).replace('"d": 10', '"d": 10, "d": 10')
    assert "a key twice" in refused(tmp_path / "d", save(load_file(saved), metadata={"embcodec": twice}))


def test_random_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for size in (8, 9, 100, 5000):
        refused(tmp_path / "r", rng.bytes(size))
        refused(tmp_path / "r", frame(rng.bytes(size)))


def test_what_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_written_whole_or_not_at_all(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "c.safetensors"
    target.write_bytes(b"what was there before")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        load(saved).save(target)
    monkeypatch.undo()
    assert target.read_bytes() == b"what was there before"
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    load(saved).save(target)
    assert target.read_bytes() == saved.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_saved_file_has_the_usual_permissions(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    load(saved).save(str(tmp_path / "c"))
    assert (tmp_path / "c").stat().st_mode == (tmp_path / "plain").stat().st_mode
