"""A fitted codec as one safetensors file.

Tensors are named `<stage index>.<name>`. The metadata entry `embcodec` is a JSON object: format, spec, d,
seed, fingerprint, and checksum, a hash of the five. Nothing in a file is believed before it was checked:
whatever is wrong with it, reading raises ValueError.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

FORMAT = 1
_HEADER_LIMIT = 1 << 20  # bytes: what a codec has is a thousandth of it
_FIELDS = {"spec": str, "d": int, "seed": int, "fingerprint": str, "format": int}
_DAMAGE = (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError)
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Header:
    """What a codec file says about itself."""

    spec: str
    d: int
    seed: int
    fingerprint: str
    format: int = FORMAT

    def checksum(self) -> str:
        """A hash of all fields, so that a changed seed is noticed too."""
        return _sha256_16(json.dumps(asdict(self), sort_keys=True).encode())


def fingerprint(spec: str, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """What codes are told apart by: 16 hex digits of a SHA-256 of the spec, d and the tensors' bytes."""
    parts = [f"{spec}\n{d}\n".encode()]
    parts += [
        tensor.astype(tensor.dtype.newbyteorder("<")).tobytes() for _, tensor in sorted(tensors.items())
    ]
    return _sha256_16(*parts)


def write_codec(path: str | os.PathLike[str], header: Header, tensors: Tensors) -> None:
    """Write a codec file, whole or not at all."""
    entry = json.dumps({**asdict(header), "checksum": header.checksum()}, sort_keys=True)
    write_whole(Path(path), save_tensors(tensors, metadata={"embcodec": entry}))


def read_codec(path: str | os.PathLike[str]) -> tuple[Header, Tensors]:
    """Read a codec file; its tensors are still to be checked against the spec.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a codec file, or damaged.
    """
    try:
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _HEADER_LIMIT:  # before a large file of another kind is read
                raise ValueError("it does not begin with a header")
            header = _parse_header(file.read(length))
            file.seek(0)
            return header, load_tensors(file.read())
    except _DAMAGE as error:
        raise damaged(path, error) from error


def damaged(path: str | os.PathLike[str], error: Exception) -> ValueError:
    """What is said about a file that is not what it should be."""
    return ValueError(f"{os.fspath(path)} is not a codec file, or damaged: {error!s:.300}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that under its name there is the old content or the new, whenever the machine stops."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _parse_header(data: bytes) -> Header:
    metadata = _parse_object(data).get("__metadata__")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("embcodec"), str):
        raise ValueError("its header has no embcodec entry")
    fields = _parse_object(metadata["embcodec"])
    checksum = fields.pop("checksum", None)
    if {name: type(value) for name, value in fields.items()} != _FIELDS:
        raise ValueError(f"the entry must hold {', '.join(_FIELDS)} and checksum")
    if fields["format"] != FORMAT:
        raise ValueError(f"format {fields['format']}, but this version reads {FORMAT}")
    header = Header(**fields)
    if checksum != header.checksum():
        raise ValueError("its checksum is wrong")
    if not (0 < header.d < 2**31 and 0 <= header.seed < 2**64):
        raise ValueError(f"d {header.d} or seed {header.seed} is out of range")
    return header


def _parse_object(text: bytes | str) -> dict[str, Any]:
    value = json.loads(text, object_pairs_hook=_unique)
    if not isinstance(value, dict):
        raise ValueError("a JSON object was expected")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a JSON object has a key twice")
    return dict(pairs)


def _sha256_16(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
