"""Affine transforms: Center, Norm, MRL, PCA, RR, JL."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

import numpy as np

from .base import Tensor, Transform
from .rows import F32, F64, project
from .spec import register

_SIZE = r"([1-9]\d{0,6})"


@register
class Center(Transform):
    """Subtract the mean of the sample."""

    pattern = "Center"
    forms = ("Center",)
    mean: F32

    def out_dim(self, d: int) -> int:
        return d

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"mean": Tensor((d,))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        self.mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)

    @property
    def offset(self) -> F32:
        return self.mean

    def forward(self, x: F32) -> F32:
        return x - self.mean

    def inverse(self, z: F32) -> F32:
        return z + self.mean

    def adjoint(self, q: F32) -> F32:
        return q


@register
class Norm(Transform):
    """Divide a row by its length, which is not kept: the way back is the identity. A zero row stays zero."""

    pattern = "Norm"
    forms = ("Norm",)

    def out_dim(self, d: int) -> int:
        return d

    def forward(self, x: F32) -> F32:
        length = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64))
        return (x / np.where(length > 0, length, 1)[:, None]).astype(np.float32)

    def inverse(self, z: F32) -> F32:
        return z

    def adjoint(self, q: F32) -> F32:
        return q


class _Sized(Transform):
    """A transform to `size` dimensions, at most as many as there are."""

    def __init__(self, text: str, size: str) -> None:
        super().__init__(text)
        self.size = int(size)

    def out_dim(self, d: int) -> int:
        if self.size > d:
            raise ValueError(f"{self.text} needs at least {self.size} dimensions, got {d}")
        return self.size


@register
class MRL(_Sized):
    """Keep the first dimensions, as Matryoshka models are trained for (Kusupati, 2022); back: zeros."""

    pattern = "MRL" + _SIZE
    forms = ("MRL128",)

    def forward(self, x: F32) -> F32:
        return x[:, : self.size]

    def inverse(self, z: F32) -> F32:
        return np.pad(z, ((0, 0), (0, self.d - self.size)))

    def adjoint(self, q: F32) -> F32:
        return q[:, : self.size]


@register
class PCA(_Sized):
    """Subtract the mean and keep the principal components, the strongest first (Pearson, 1901).

    The covariance is summed in float64; each component's entry of largest magnitude is positive.
    """

    pattern = "PCA" + _SIZE
    forms = ("PCA128",)
    mean: F32
    components: F32  # (size, d), rows orthonormal

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"mean": Tensor((d,)), "components": Tensor((self.out_dim(d), d), low=-1.001, high=1.001)}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        mean = x.mean(axis=0, dtype=np.float64)
        _, vectors = np.linalg.eigh(covariance(x, mean))  # ascending
        strongest = vectors[:, ::-1][:, : self.size].T
        peak = np.take_along_axis(strongest, np.abs(strongest).argmax(axis=1)[:, None], 1)
        self.mean = mean.astype(np.float32)
        self.components = np.ascontiguousarray(strongest * np.sign(peak), dtype=np.float32)

    @property
    def offset(self) -> F32:
        return self.mean

    def forward(self, x: F32) -> F32:
        return project(x, self.transposed("components"), self.mean)

    def inverse(self, z: F32) -> F32:
        return project(z, self.components) + self.mean

    def adjoint(self, q: F32) -> F32:
        return project(q, self.transposed("components"))


def covariance(x: F32, mean: F64) -> F64:
    """The sum of squares and products about the mean, (d, d)."""
    n, d = x.shape
    total: F64 = np.zeros((d, d))
    step = max(1, (16 << 20) // (8 * d))  # by d alone, so that the order of the sums is fixed
    for start in range(0, n, step):
        centred = x[start : start + step] - mean
        total += centred.T @ centred
    return total


@register
class RR(Transform):
    """A dense random rotation, uniform over all of them (Stewart, 1980): the Q of a Gaussian matrix."""

    pattern = "RR"
    forms = ("RR",)
    rotation: F32  # (d, d), orthonormal

    def out_dim(self, d: int) -> int:
        return d

    def layout(self, d: int) -> dict[str, Tensor]:
        return {"rotation": Tensor((d, d), low=-1.001, high=1.001)}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        d = x.shape[1]
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
        signs = np.sign(np.diagonal(r))  # without them Q would not be uniform
        self.rotation = np.ascontiguousarray(q * signs, np.float32)

    def forward(self, x: F32) -> F32:
        return project(x, self.rotation)

    def inverse(self, z: F32) -> F32:
        return project(z, self.transposed("rotation"))

    def adjoint(self, q: F32) -> F32:
        return project(q, self.rotation)


@register
class JL(_Sized):
    """A Gaussian random projection (Johnson and Lindenstrauss, 1984), which keeps distances on average.

    Back: the least-squares solution, by the pseudo-inverse.
    """

    pattern = "JL" + _SIZE
    forms = ("JL128",)
    projection: F32  # (d, size)
    pseudo_inverse: F32  # (size, d)

    @property
    def isometric(self) -> bool:
        return False

    def layout(self, d: int) -> dict[str, Tensor]:
        size = self.out_dim(d)
        return {"projection": Tensor((d, size)), "pseudo_inverse": Tensor((size, d))}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        gaussian = np.random.default_rng(seed).standard_normal((x.shape[1], self.size)) / np.sqrt(self.size)
        self.projection = gaussian.astype(np.float32)
        inverse = np.linalg.pinv(self.projection.astype(np.float64))
        self.pseudo_inverse = np.ascontiguousarray(inverse, np.float32)

    def forward(self, x: F32) -> F32:
        return project(x, self.projection)

    def inverse(self, z: F32) -> F32:
        return project(z, self.pseudo_inverse)

    def adjoint(self, q: F32) -> F32:
        return project(q, self.transposed("pseudo_inverse"))
