"""Codecs on arrays of a CUDA device: their stages with the fitted arrays there."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from embcodec._backends.arrays import CUPY
from embcodec.kernels._checks import beside

from .base import Stage
from .chain import Chain
from .rows import F32, U8, Bools, Floats
from .scan import Hits

HOST = ("uint8",)  # dtypes of arrays that stay on the host, where they steer what is done


class DeviceChain(Chain):
    """A fitted chain with its arrays on the device of `like`, which is the current one while it works."""

    def __init__(self, chain: Chain, like: Any) -> None:
        self._number = CUPY.device(like)
        with self._device():
            self.transforms = tuple(_beside(stage, like) for stage in chain.transforms)
            self.coder = _beside(chain.coder, like)
            CUPY.xp.cuda.get_current_stream().synchronize()  # this once: calls on other streams will use them

    def _device(self) -> AbstractContextManager[Any]:
        return CUPY.xp.cuda.Device(self._number)  # type: ignore[no-any-return]

    def encode(self, x: Floats, out: U8) -> None:
        """See Chain."""
        with self._device():
            super().encode(x, out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        """See Chain."""
        with self._device():
            return super().decode(codes, out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        """See Chain."""
        with self._device():
            return super().search(codes, queries, k, metric, mask, threads)


def _beside(stage: Stage, like: Any) -> Any:
    moved = copy.copy(stage)
    for name, value in vars(stage).items():
        if isinstance(value, Stage):  # as the rotation in a coder
            setattr(moved, name, _beside(value, like))
        elif isinstance(value, np.ndarray) and value.dtype.name not in HOST:
            setattr(moved, name, beside(value, like))
    return moved
