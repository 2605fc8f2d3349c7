"""Rows of the host encoded on a CUDA device, piece by piece; one is copied while another is computed on."""

from __future__ import annotations

from typing import Any

import numpy as np

from embcodec._backends.cuda import numbered
from embcodec._device import synchronize
from embcodec._errors import BackendUnavailableError
from embcodec.codecs import Codec
from embcodec.kernels import device_count

__all__ = ["DeviceEncoder"]

PIECE_BYTES = 64 << 20


class DeviceEncoder:
    """Encodes with a codec on the current device, through pairs of pinned buffers that take turns.

    Args:
        codec: a fitted codec.
        piece_bytes: of the rows that travel together; the device never holds all rows.

    Raises:
        BackendUnavailableError: there is no CUDA in this build, no CuPy, no driver or no device.
    """

    def __init__(self, codec: Codec, piece_bytes: int = PIECE_BYTES) -> None:
        if device_count() == 0:
            raise BackendUnavailableError("no CUDA device found")
        try:
            import cupy
            import cupyx
        except ImportError:
            raise BackendUnavailableError("device cuda needs CuPy, which is missing") from None
        self._codec, self._cupy, self._pinned = codec, cupy, cupyx.empty_pinned
        self._rows = max(1, piece_bytes // (8 * codec.d))
        self._slots: list[_Slot] = []

    def encode(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Rows (n, d) of the host to codes uint8 (n, code_size) there.

        Raises:
            ValueError: a row has a value that is not finite.
        """
        codes = np.empty((len(x), self._codec.code_size), np.uint8)
        self._prepare(x.dtype)
        pieces = [slice(at, min(at + self._rows, len(x))) for at in range(0, len(x), self._rows)]
        for number, piece in enumerate(pieces):
            slot = self._slots[number % 2]
            slot.finish()
            with numbered("DeviceEncoder.encode", piece.start):
                slot.start(self._codec, x[piece], codes[piece])
        for slot in self._slots:
            slot.finish()
        synchronize()
        return codes

    def _prepare(self, dtype: np.dtype[Any]) -> None:
        if self._slots and self._slots[0].rows.dtype == dtype:
            return
        shapes = (self._rows, self._codec.d), (self._rows, self._codec.code_size)
        self._slots = [
            _Slot(
                self._pinned(shapes[0], dtype),
                self._pinned(shapes[1], np.uint8),
                self._cupy.empty(shapes[0], dtype),
                self._cupy.cuda.Stream(non_blocking=True),
            )
            for _ in range(2)
        ]


class _Slot:
    """Buffers of one piece, on the host and on the device, and its stream."""

    def __init__(self, rows: Any, codes: Any, device_rows: Any, stream: Any) -> None:
        self.rows, self.codes, self.device_rows, self.stream = rows, codes, device_rows, stream
        self.target: Any = None  # where the codes that are under way belong

    def start(self, codec: Codec, x: Any, target: Any) -> None:
        """Send rows, encode them, fetch the codes; all on the stream."""
        n = len(x)
        self.rows[:n] = x
        with self.stream:
            part = self.device_rows[:n]
            part.set(self.rows[:n], stream=self.stream)
            codes: Any = codec.encode(part)
            codes.get(out=self.codes[:n], stream=self.stream, blocking=False)
        self.target = target

    def finish(self) -> None:
        """Wait for the codes, if any are under way, and put them where they belong."""
        if self.target is None:
            return
        self.stream.synchronize()
        self.target[...] = self.codes[: len(self.target)]
        self.target = None
