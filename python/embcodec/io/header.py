"""What a file of codes says about the codec that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embcodec.codecs import Codec

__all__ = ["CODE_COLUMN", "VECTOR_COLUMN", "CodesHeader", "sidecar_path"]

CODE_COLUMN = "code"
VECTOR_COLUMN = "vector"  # of vectors that had no name
_PREFIX = "embcodec."


@dataclass(frozen=True)
class CodesHeader:
    """The codec of a file of codes, and the column that the codes replaced.

    It travels as text: in the schema's metadata of a Parquet file, in the metadata of a safetensors file, and
    beside a `.npy` file in `<name>.npy.json`; each key has the prefix `embcodec.`.
    """

    fingerprint: str
    spec: str
    d: int
    column: str

    @classmethod
    def of(cls, codec: Codec, column: str) -> CodesHeader:
        """The header of what `codec` writes for vectors that were called `column`."""
        return cls(codec.fingerprint, codec.spec, codec.d, column)

    @classmethod
    def parse(cls, metadata: Mapping[str, str], where: str) -> CodesHeader:
        """Read the header back.

        Raises:
            ValueError: an entry is missing or d is not a number.
        """
        try:
            fingerprint, spec, d, column = (metadata[_PREFIX + key] for key in cls.__dataclass_fields__)
            return cls(fingerprint, spec, int(d), column)
        except (KeyError, ValueError):
            raise ValueError(
                f"{where}: does not say which codec wrote it, so these are no codes to read"
            ) from None

    def metadata(self) -> dict[str, str]:
        """The header as text."""
        return {_PREFIX + key: str(value) for key, value in asdict(self).items()}

    def check(self, codec: Codec, where: str) -> None:
        """Refuse another codec.

        Raises:
            ValueError: the fingerprints differ.
        """
        if self.fingerprint != codec.fingerprint:
            raise ValueError(
                f"{where}: codes of codec {self.fingerprint} ({self.spec}), but the codec given is "
                f"{codec.fingerprint} ({codec.spec})"
            )


def sidecar_path(path: Path) -> Path:
    """Where the header of a `.npy` file of codes lies."""
    return path.with_name(path.name + ".json")
