"""What a stage is: a transform (vector to vector) or a coder (vector to code)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import numpy.typing as npt

from .rows import F32, I64, U8, Bools, Floats, finish
from .scan import Hits, topk_decoded

T = TypeVar("T")


class NotFittedError(ValueError, AttributeError):
    """The codec was asked for something that only a fitted codec has."""


@dataclass(frozen=True)
class Tensor:
    """What a fitted stage holds under a name, and what a file must hold there: shape, dtype and range."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = -np.inf
    high: float = np.inf

    def check(self, name: str, value: npt.NDArray[Any]) -> None:
        """Raise a ValueError if `value` is anything else."""
        if value.dtype != np.dtype(self.dtype) or value.shape != self.shape:
            expected = f"{self.dtype} {self.shape}"
            raise ValueError(f"tensor {name} must be {expected}, got {value.dtype} {value.shape}")
        if not (np.isfinite(value).all() and (value >= self.low).all() and (value <= self.high).all()):
            raise ValueError(f"tensor {name} must be finite and in [{self.low}, {self.high}]")


class Stage(ABC):
    """One step of a spec. A subclass sets `pattern` and `forms`; its constructor takes the pattern's groups.

    On a CUDA device the same methods run on CuPy's arrays, among them the fitted ones (`device.py`). NumPy's
    functions find CuPy's for arrays that they are given; those that make arrays of shapes make them on the
    host, so `rows.empty` or `np.zeros_like` stand in their places.

    Attributes:
        pattern: a regular expression of the whole stage, one spelling for each meaning.
        forms: how it is written, for messages.
        text: the stage as the spec has it.
        d: the number of dimensions it takes, once fitted.
    """

    pattern: ClassVar[str]
    forms: ClassVar[tuple[str, ...]]
    d: int

    def __init__(self, text: str) -> None:
        self.text = text
        self._kept: dict[str, tuple[tuple[object, ...], Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_kept": {}}

    def kept(self, name: str, sources: tuple[object, ...], make: Callable[[], T]) -> T:
        """What `make` makes of the fitted arrays `sources`: made once, not at each call."""
        kept = self._kept.get(name)
        if kept is None or any(was is not now for was, now in zip(kept[0], sources, strict=True)):
            made = make()
            finish(sources[0])  # calls on other streams will use it
            kept = self._kept[name] = (sources, made)
        return cast(T, kept[1])

    def transposed(self, name: str) -> F32:
        """The transpose of the fitted matrix of that name, in C order, for `rows.project`."""
        matrix: F32 = getattr(self, name)
        return self.kept(name, (matrix,), lambda: matrix.T.copy())

    def fit(self, x: F32, queries: F32 | None, seed: int) -> None:
        """Fit on the sample x (n, d), n >= 1, and on queries (nq, d) if there are any."""
        self.layout(x.shape[1])  # refuses a d that this stage cannot take, before any work
        self.d = x.shape[1]
        self.learn(x, queries, seed)

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:  # noqa: B027 (most stages learn nothing)
        """Set the tensors of `layout` as attributes."""

    def layout(self, d: int) -> dict[str, Tensor]:
        """The tensors it holds once fitted on d dimensions; ValueError if it cannot take d dimensions."""
        return {}

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What was fitted."""
        return {name: getattr(self, name) for name in self.layout(self.d)}

    def from_tensors(self, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what `tensors` returned; ValueError if it is not that."""
        layout = self.layout(d)
        if tensors.keys() != layout.keys():
            raise ValueError(f"{self.text} must hold tensors {sorted(layout)}, got {sorted(tensors)}")
        for name, tensor in layout.items():
            tensor.check(f"{self.text}.{name}", tensors[name])
            setattr(self, name, tensors[name])
        self.d = d


class Transform(Stage):
    """A vector to a vector z, and back by an affine map x = A z + offset.

    The map back is what a scan needs: q.x = (A'q).z + q.offset, and where A keeps distances
    |q - x|^2 = |A'(q - offset) - z|^2 + a term of q alone. See `scan.fold`.
    """

    @property
    def isometric(self) -> bool:
        """Whether A keeps distances: A'A is the identity."""
        return True

    @property
    def offset(self) -> F32 | None:
        """What the way back adds, (d,); None for nothing."""
        return None

    @abstractmethod
    def out_dim(self, d: int) -> int:
        """The dimensions of z."""

    @abstractmethod
    def forward(self, x: F32) -> F32:
        """X (n, d) to z (n, out_dim), row by row."""

    @abstractmethod
    def inverse(self, z: F32) -> F32:
        """A z + offset, (n, d)."""

    @abstractmethod
    def adjoint(self, q: F32) -> F32:
        """A'q, (nq, out_dim)."""


@dataclass(frozen=True)
class Coarse:
    """What a coarse stage took off the rows: centroids (c, d), and the one of each row.

    Or, to search with coders that have `adds_codewords`, codebooks (m, 256, d), of each of which a row adds a
    codeword, and the bytes (n, m) that say which.

    Rows that a coder is fitted on are `stretch` (n, 1) times what it left of them, where that is given.
    """

    centroids: F32
    ids: npt.NDArray[Any] | None  # int32 (n,), None if there is one centroid; or uint8 (n, m)
    stretch: F32 | None = None

    @classmethod
    def none(cls, like: F32) -> Coarse:
        """Nothing: one centroid at the origin, beside the vector `like`."""
        return cls(np.zeros_like(like)[None], None)

    def of(self, rows: I64) -> Coarse:
        """The same of some of the rows, with no more centroids than they have."""
        stretch = None if self.stretch is None else self.stretch[rows]
        if self.ids is None or len(self.centroids) <= len(rows):
            return Coarse(self.centroids, None if self.ids is None else self.ids[rows], stretch)
        return Coarse(self.centroids[self.ids[rows]], np.arange(len(rows), dtype=np.int32), stretch)

    def left(self, x: F32) -> F32:
        """What it left of the rows for which x, to be fitted on, stands."""
        return x if self.stretch is None else x / self.stretch

    def taken_from(self, x: F32, rows: slice) -> F32:
        """What a coder is fitted on, of some of the rows x (n, d)."""
        rest: F32 = x[rows] - self.centroids[0 if self.ids is None else self.ids[rows]]
        return rest if self.stretch is None else rest * self.stretch[rows]

    def add_to(self, x: F32) -> F32:
        """The rows of which it left x."""
        whole: F32 = x + self.centroids[0 if self.ids is None else self.ids]
        return whole


class Coder(Stage):
    """A vector to a code of `code_size` bytes.

    Attributes:
        k_factor: see `Codec.k_factor`; of no account to coders whose codes have no first part.
        goes_beyond, adds_codewords: see `search_residual`.
    """

    k_factor: int | None = None
    goes_beyond: ClassVar[bool] = False
    adds_codewords: ClassVar[bool] = False

    @property
    def has_first_part(self) -> bool:
        """Whether a code's first part alone stands for the row, coarsely."""
        return False

    def fit_residual(self, x: F32, coarse: Coarse, queries: F32, seed: int) -> None:
        """`fit` on what a coarse stage leaves of rows; queries (nq, d) are like the whole rows."""
        self.layout(x.shape[1])
        self.d = x.shape[1]
        self.learn_residual(x, coarse, queries, seed)

    def learn_residual(self, x: F32, coarse: Coarse, queries: F32, seed: int) -> None:
        """`learn` likewise."""
        self.learn(x, queries, seed)

    @abstractmethod
    def code_size(self, d: int) -> int:
        """Bytes of a row of d dimensions."""

    @abstractmethod
    def encode(self, x: Floats, out: U8) -> None:
        """Write the codes of x (n, d), of any of the four dtypes, to `out` (n, code_size), C-contiguous.

        Raises:
            ValueError: a value of x is not finite.
        """

    @abstractmethod
    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        """Codes (n, code_size) to the rows they stand for: `out` (n, d), C-contiguous, or a new array."""

    def turn(self, x: F32) -> F32:
        """Vectors x (n, d) rotated, if the coder rotates rows itself."""
        return x

    def encode_turned(self, z: F32, out: U8) -> None:
        """`encode` of vectors that `turn` gave."""
        self.encode(z, out)

    def decode_turned(self, codes: U8, out: F32 | None = None) -> F32:
        """`decode` without the way back: (n, d), as `turn` gives vectors."""
        return self.decode(codes, out)

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        """The k best rows for each query: scores float32 (nq, k) of the decoded rows, and ids int64 (nq, k).

        This one decodes block by block; a coder with a scan of its own overrides it.
        """
        return topk_decoded(self.decode, codes, 4 * self.d, queries, k, metric, mask, threads)

    def search_residual(
        self,
        codes: U8,
        coarse: Coarse,
        queries: F32,
        k: int,
        metric: str,
        mask: Bools | None,
        threads: int | None,
    ) -> Hits | None:
        """`search` over decoded rows plus their centroids; None if the coder has no scan for that.

        Where `goes_beyond`, centroids and queries may have more dimensions: beyond d a row is its centroid.
        Where `adds_codewords`, it takes codebooks for centroids.
        """
        return None


class CoarseStage(Stage):
    """A stage in front of a coder, to which it leaves a part of the row; its own bytes come first."""

    @abstractmethod
    def part_size(self, d: int) -> int:
        """Its bytes of a row of d dimensions."""

    @abstractmethod
    def learn_part(self, x: F32, seed: int) -> Coarse:
        """`learn` from rows x (n, d); what it takes off them."""

    @abstractmethod
    def ways(self, x: F32) -> U8:
        """Its bytes of x (n, d), (n, ways, part_size): one way, or several, that which leaves least first.

        After what the coder makes of the rest another may leave less.
        """

    @abstractmethod
    def taken(self, part: U8) -> F32:
        """What its bytes (n, part_size) stand for, (n, d)."""

    def turned(self, turn: Callable[[F32], F32]) -> CoarseStage:
        """The same stage, of which `taken` gives rows that `turn` rotated: vectors (n, d) to (n, d)."""
        turned = copy.copy(self)
        for name, tensor in self.tensors().items():
            setattr(turned, name, turn(tensor.reshape(-1, self.d)).reshape(tensor.shape))
        return turned

    @abstractmethod
    def coarse(self, part: U8) -> Coarse:
        """What its bytes (n, part_size) stand for, for scans that add it to rows."""
