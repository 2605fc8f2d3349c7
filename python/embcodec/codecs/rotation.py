"""HR: the randomised Hadamard rotation."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embcodec.kernels import hadamard_rotate, hadamard_size

from .base import Tensor, Transform
from .rows import F32
from .spec import register


@register
class HR(Transform):
    """Random signs, then a Hadamard matrix (Ailon and Chazelle, 2006): spreads a row over all dimensions.

    d is padded with zeros to the next size that has a matrix: 2**k, 12 * 2**k or 20 * 2**k. 384, 768, 1024
    and 1536 have one themselves, and the rotation keeps distances. Else the way back drops what the coder
    put into the padding.
    """

    pattern = "HR"
    forms = ("HR",)
    flips: npt.NDArray[np.uint8]  # (size,), 1 where the sign is -1

    @property
    def isometric(self) -> bool:
        return self.out_dim(self.d) == self.d

    def out_dim(self, d: int) -> int:
        return hadamard_size(d)

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"flips": Tensor((self.out_dim(d),), "uint8", high=1)}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        size = self.out_dim(x.shape[1])
        self.flips = np.random.default_rng(seed).integers(0, 2, size, np.uint8)

    @property
    def signs(self) -> F32:
        """+1 and -1."""
        signs: F32 = np.where(self.flips, np.float32(-1), np.float32(1))
        return signs

    def forward(self, x: F32) -> F32:
        return hadamard_rotate(x, self.signs)

    def inverse(self, z: F32) -> F32:
        return hadamard_rotate(z, self.signs, inverse=True)[:, : self.d]

    def adjoint(self, q: F32) -> F32:
        return self.forward(q)
