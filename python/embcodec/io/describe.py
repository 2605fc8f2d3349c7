"""What a file is: a codec, codes or vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from embcodec.codecs import load
from embcodec.codecs.container import read_codec
from embcodec.io.base import Source
from embcodec.io.formats import find_files, open_source
from embcodec.io.header import CodesHeader
from embcodec.io.load import open_all
from embcodec.io.tensors import tensors_metadata

__all__ = ["describe"]


def describe(path: Path, column: str | None = None) -> dict[str, Any]:
    """What there is to know about a file without reading its rows.

    Args:
        path: a codec file, or a file or folder of codes or vectors.
        column: the column of vectors; None takes the only one.

    Returns:
        `kind` ("codec", "codes" or "vectors") and what goes with it, for people and for JSON.

    Raises:
        FileNotFoundError: there is no such path.
        ValueError: it is none of these, or damaged.
    """
    files = find_files(path)
    if files[0].suffix == ".safetensors" and "embcodec" in tensors_metadata(files[0]):
        return _describe_codec(path)
    codes = _open_codes(files)
    if codes:
        return _describe_codes(codes)
    return _describe_vectors(open_all(path, column))


def _describe_codec(path: Path) -> dict[str, Any]:
    codec = load(path)
    header, _ = read_codec(path)
    return {
        "kind": "codec",
        "spec": codec.spec,
        "d": codec.d,
        "code_size": codec.code_size,
        "ratio": 4 * codec.d / codec.code_size,
        "fingerprint": codec.fingerprint,
        "seed": codec.seed,
        "format": header.format,
        "file_bytes": path.stat().st_size,
    }


def _describe_codes(sources: list[Source]) -> dict[str, Any]:
    header = CodesHeader.parse(sources[0].metadata, str(sources[0].path))
    code_size = sources[0].width
    return {
        "kind": "codes",
        "spec": header.spec,
        "d": header.d,
        "code_size": code_size,
        "ratio": 4 * header.d / code_size if code_size else None,
        "fingerprint": header.fingerprint,
        **_common(sources),
    }


def _describe_vectors(sources: list[Source]) -> dict[str, Any]:
    return {
        "kind": "vectors",
        "d": sources[0].width,
        "dtype": str(sources[0].dtype),
        "column": sources[0].column,
        **_common(sources),
    }


def _common(sources: list[Source]) -> dict[str, Any]:
    return {
        "rows": sum(source.rows for source in sources),
        "columns": {field.name: str(field.type) for field in sources[0].schema},
        "files": len(sources),
        "file_bytes": sum(source.path.stat().st_size for source in sources),
    }


def _open_codes(files: list[Path]) -> list[Source]:
    """The sources, if all are codes that say which codec wrote them."""
    try:
        sources = [open_source(file, "codes") for file in files]
        for source in sources:
            CodesHeader.parse(source.metadata, str(source.path))
    except ValueError:
        return []
    return sources
