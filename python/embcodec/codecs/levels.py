"""LM and RaBitQ: rotate, quantize each coordinate to shared levels, keep a factor for the row."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from math import erf
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.kernels import hadamard_size, levels_decode, levels_topk, shape_decode, shape_encode
from embcodec.kernels._checks import beside

from .base import Coarse, Coder, Tensor, Transform
from .linear import RR, covariance
from .rotation import HR
from .rows import (
    F32,
    F64,
    U8,
    Bools,
    Floats,
    numbers,
    on_first,
    ratios,
    row_sums,
    to_float32,
)
from .scan import Hits
from .spec import register

# The distance of uniform levels that quantizes a unit Gaussian best, at 1 to 8 bits (Max, 1960).
_UNIFORM = (1.5958, 0.9957, 0.586, 0.3352, 0.1881, 0.1041, 0.0569, 0.0308)
_LLOYD_ITERATIONS = 500
_TRIAL_ROWS = 8192  # of the sample, which tell the direction and the range of the shifts
_POWER_ITERATIONS = 30
_SHIFT_RANGE = 5.0  # standard deviations


class Rotated(Coder):
    """What is left of a row after the mean, rotated and scaled to unit variance, on levels.

    The rotation makes coordinates alike and nearly Gaussian: randomised Hadamard where d has such a matrix,
    else dense. Two corrections follow the packed codes. An int8, times `direction`, is added to the decoded
    coordinates y: it makes the inner product with that direction, the strongest of the queries, right (for
    embeddings that is nearly their mean). A float16 multiplies the sum: <z, z> / <z, y>, so that the inner
    product of a row z with its own decoded y is right, and that with any query unbiased over rotations.
    """

    goes_beyond = True
    scales: tuple[float, ...] = (1.0,)  # tried on a row: the one whose levels make the least angle is kept
    mean: F32  # (d,)
    step: F32  # (d,)
    levels: F32  # (2**bits,)
    direction: F32  # (d,), before the rotation; its length is what one step of the int8 is worth

    def __init__(self, text: str, bits: str) -> None:
        super().__init__(text)
        self.bits = int(bits)
        self._turn: Transform

    def _packed(self, d: int) -> int:
        return (d * self.bits + 7) // 8

    def code_size(self, d: int) -> int:
        return self._packed(d) + 3

    def layout(self, d: int) -> dict[str, Tensor]:
        vector = Tensor((d,))
        levels = Tensor((2**self.bits,))
        return {"mean": vector, "step": Tensor((d,), low=0), "levels": levels, "direction": vector}

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        self.mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._turn = _rotation(x.shape[1])
        self._turn.fit(x, None, seed)
        self.levels = self._levels()
        self.step = to_float32(self._steps(self._turn.forward(x - self.mean)))
        self.direction = _strongest(x if queries is None else queries, seed)
        z = self._turn.forward(x[:_TRIAL_ROWS] - self.mean)
        codes = self._put(z)[:, : self._packed(self.d)]
        y = levels_decode(codes, self.levels, self.step)
        self.direction *= np.float32(_SHIFT_RANGE / 127 * self._shift(z, y).std())

    @abstractmethod
    def _levels(self) -> F32:
        """The levels for a unit Gaussian, ascending."""

    @abstractmethod
    def _steps(self, z: F32) -> F64:
        """What a level is worth in each coordinate of the rotated sample."""

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return super().tensors() | self._turn.tensors()

    def from_tensors(self, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self._turn = _rotation(d)
        names = self._turn.layout(d).keys() & tensors.keys()
        super().from_tensors(d, {name: tensor for name, tensor in tensors.items() if name not in names})
        self._turn.from_tensors(d, {name: tensors[name] for name in names})
        if (self.levels[1:] < self.levels[:-1]).any():
            raise ValueError("tensor levels must ascend")

    def encode(self, x: Floats, out: U8) -> None:
        z = self._turn.forward(to_float32(x) - self.mean)
        self._put(z, out)

    def _put(self, z: F32, out: U8 | None = None) -> U8:
        scales = beside(np.array(self.scales, np.float32), z)
        return shape_encode(z, self.levels, self.step, self._turned(self.direction), scales, out=out)

    def _turned(self, vector: F32) -> F32:
        turned: F32 = self._turn.forward(vector[None])[0]
        return turned

    def _shift(self, z: F32, y: F32) -> F64:
        """How much of the direction y lacks, so that with its factor both inner products are right."""
        direction = self._turned(self.direction)
        zz, zy = row_sums(z * z), row_sums(z * y)
        dd = row_sums((direction * direction)[None])
        dz, dy = row_sums(z * direction), row_sums(y * direction)
        area = zz * dd - dz * dz
        return ratios(dz * zy - zz * dy, area, area > 1e-6 * zz * dd)

    def _parts(self, codes: U8) -> tuple[U8, npt.NDArray[np.int8], npt.NDArray[np.float16]]:
        packed = self._packed(self.d)
        factor = numbers(codes[:, packed + 1 :], "<f2")[:, 0]
        return codes[:, :packed], codes[:, packed].view(np.int8), factor

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        z = shape_decode(codes, self.levels, self.step, self._turned(self.direction))
        return np.add(self._turn.inverse(z), self.mean, out=out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        none = self.kept("none", (self.mean,), lambda: Coarse.none(self.mean))
        return self.search_residual(codes, none, queries, k, metric, mask, threads)

    def search_residual(
        self,
        codes: U8,
        coarse: Coarse,
        queries: F32,
        k: int,
        metric: str,
        mask: Bools | None,
        threads: int | None,
    ) -> Hits:
        """Rotations keep every metric, so the scan works on coordinates; mean and centroids join there."""
        packed, shift, factor = self._parts(codes)
        centroids, direction = self.kept(
            "turned",
            (coarse.centroids, self.mean, self.direction, self._turn),
            lambda: (
                on_first(coarse.centroids, self.d, lambda c: self._turn.forward(c + self.mean)),
                self._turned(self.direction),
            ),
        )
        return levels_topk(
            packed,
            self.levels,
            self.step,
            on_first(queries, self.d, self._turn.forward),
            k,
            metric=metric,
            mask=mask,
            factor=factor,
            centroids=centroids,
            centroid=coarse.ids,
            shift=shift,
            direction=direction,
            threads=threads,
        )


def _rotation(d: int) -> Transform:
    return HR("HR") if hadamard_size(d) == d else RR("RR")


def _strongest(queries: F32, seed: int) -> F32:
    """The direction in which queries have most energy, of length 1: power iteration."""
    d = queries.shape[1]
    energy = covariance(queries[:_TRIAL_ROWS], np.zeros(d))
    direction = np.random.default_rng(seed).standard_normal((d,))
    for _ in range(_POWER_ITERATIONS):
        image = energy @ direction
        direction = image / max(float(np.linalg.norm(image)), 1e-30)
    return np.asarray(direction, np.float32)


@register
class LM(Rotated):
    """Lloyd-Max levels of a Gaussian (Lloyd, 1982; Max, 1960) after a rotation, as in TurboQuant (2025).

    Each rotated coordinate is calibrated on the sample: its mean is taken off, its deviation is its step.
    """

    pattern = "LM([1-8])"
    forms = ("LM1", "LM4", "LM8")

    def _levels(self) -> F32:
        return lloyd_max(self.bits)

    def _steps(self, z: F32) -> F64:
        squares = row_sums(z * z)
        unit = z.astype(np.float64) / np.sqrt(np.where(squares > 0, squares, 1))[:, None]
        steps: F64 = np.sqrt((unit * unit).mean(axis=0) * squares.mean())
        return steps


@register
class RaBitQ(Rotated):
    """Uniform levels after a rotation: 1 bit keeps signs (Gao and Long, 2024), more a finer grid (2025).

    Of several scales a row takes the one whose grid point makes the least angle with it.
    """

    pattern = "RaBitQ([1-8])"
    forms = ("RaBitQ1", "RaBitQ4", "RaBitQ8")

    def __init__(self, text: str, bits: str) -> None:
        super().__init__(text, bits)
        if self.bits > 1:
            self.scales = (0.8, 0.9, 1.0, 1.1, 1.2)

    def _levels(self) -> F32:
        grid = np.arange(2**self.bits) - (2**self.bits - 1) / 2
        return to_float32(grid * _UNIFORM[self.bits - 1])

    def _steps(self, z: F32) -> F64:
        return np.full(self.d, np.sqrt(row_sums(z * z).mean() / self.d))


@cache
def lloyd_max(bits: int) -> F32:
    """The 2**bits levels of least mean squared error for a unit Gaussian, ascending and symmetric.

    Lloyd's iteration, from the levels that are best as their number grows (Panter and Dite, 1951).
    """
    count = 2**bits
    gaussian = NormalDist()
    levels = np.array([3**0.5 * gaussian.inv_cdf((i + 0.5) / count) for i in range(count // 2, count)])
    for _ in range(_LLOYD_ITERATIONS):  # on the upper half
        edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [np.inf]])
        mass = np.diff([erf(edge / 2**0.5) / 2 for edge in edges])
        density = np.exp(-(edges**2) / 2) / (2 * np.pi) ** 0.5
        levels = -np.diff(density) / mass
    return to_float32(np.concatenate([-levels[::-1], levels]))
