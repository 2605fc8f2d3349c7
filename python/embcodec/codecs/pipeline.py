"""Codec: the stages of a spec, fitted and applied one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.kernels import _checks

from . import container
from .base import NotFittedError
from .chain import Chain
from .device import as_cupy, as_given, chain_beside
from .device import encode as encode_block
from .estimator import Estimator
from .rows import (
    F32,
    U8,
    Floats,
    as_array,
    as_rows,
    blocks,
    on_device,
    refuse_nonfinite,
    to_float32,
)
from .sample import sample_rows
from .scan import Hits

METRICS = ("ip", "l2", "cosine")
_DEVICE_BLOCKS = 32  # times as much at once on a device as on the host


class Codec(Estimator):
    """Compresses rows of d dimensions to `code_size` bytes each.

        codec = Codec("PCA128,SQ8").fit(X)
        codes = codec.encode(X)                       # uint8 (n, codec.code_size)
        scores, ids = codec.search(codes, Q, k=10)

    Rows come as float32, float16, bfloat16 or float64 and count as float32. A row's code depends on nothing
    but the row. Large arrays are worked on block by block, so that temporaries stay at about 64 MB.

    Rows, codes and queries on a CUDA device stay there, and so do the results, where every stage of the spec
    has code for it. Nothing waits then: a row that is not finite is raised by `embcodec.synchronize()`.

    A Codec is a scikit-learn transformer: `transform` returns what survives of X, so that a classifier behind
    it judges the codec.

    Args:
        spec: the stages, comma-separated: transforms first, one coder last (docs/codecs.md).
        seed: 0 <= seed < 2**64; fixes the sample, rotations and k-means.

    Raises:
        TypeError: spec is not a string or seed not an integer.
        ValueError: spec is not a spec, or seed is out of range.
    """

    _parameters = ("spec", "seed")

    def __init__(self, spec: str, seed: int = 0) -> None:
        try:
            self._chain = Chain(spec)
        except (TypeError, ValueError) as error:
            raise type(error)(f"Codec: {error}") from None
        canonical = self._chain.spec
        self._spec = spec if spec == canonical else canonical  # the very object, as sklearn.clone demands
        _checks.seed("Codec", seed)
        self._seed = seed
        self._d: int | None = None
        self._devices: dict[int, Chain] = {}
        self._code_size = 0
        self._fingerprint = ""

    # -- what it is

    @property
    def spec(self) -> str:
        """The spec in its canonical spelling."""
        return self._spec

    @property
    def seed(self) -> int:
        """The seed."""
        return self._seed

    @property
    def is_fitted(self) -> bool:
        """Whether it can encode and decode."""
        return self._d is not None

    @property
    def d(self) -> int:
        """Dimensions of a row."""
        return self._fitted("d")

    @property
    def n_features_in_(self) -> int:
        """Dimensions of a row, by scikit-learn's name."""
        return self._fitted("n_features_in_")

    @property
    def code_size(self) -> int:
        """Bytes of a code."""
        self._fitted("code_size")
        return self._code_size

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell codes of one fitted codec from those of another."""
        self._fitted("fingerprint")
        return self._fingerprint

    # -- fit

    def fit(
        self,
        X: npt.ArrayLike | Iterable[npt.ArrayLike],
        y: object = None,
        *,
        queries: npt.ArrayLike | None = None,
        max_rows: int = 262144,
    ) -> Codec:
        """Fit all stages on a uniform sample of X.

        X is read once. Which rows are in the sample depends on the seed and on their position alone, not on
        how X is cut into batches.

        Args:
            X: (n, d), or an iterable of such batches, a generator too.
            y: ignored.
            queries: (nq, d), examples of what will be searched for, for stages that can use them.
            max_rows: the size of the sample, at most.

        Raises:
            TypeError: a dtype that is not a float's.
            ValueError: no rows, a shape or d that a stage cannot take, or a non-finite value (with its row).
        """
        x = sample_rows(
            "Codec.fit", X, _checks.at_least("Codec.fit", "max_rows", max_rows, 1), int(self._seed)
        )
        d = x.shape[1]
        q = None if queries is None else _finite("Codec.fit", "queries", queries, d)
        chain = Chain(self._spec)  # a new one, so that a fit that fails leaves the old one as it was
        try:
            chain.fit(x, q, int(self._seed))
        except ValueError as error:
            raise ValueError(f"Codec.fit: {error}") from error
        self._adopt(chain, d)
        return self

    def _adopt(self, chain: Chain, d: int) -> None:
        self._chain, self._d, self._code_size, self._devices = chain, d, chain.code_size(d), {}
        self._fingerprint = container.fingerprint(self._spec, d, chain.tensors())

    def _fitted(self, what: str) -> int:
        if self._d is None:
            raise NotFittedError(f"Codec.{what}: this {self._spec} codec is not fitted yet; call fit first")
        return self._d

    # -- encode, decode, search

    def encode(self, X: npt.ArrayLike) -> U8:
        """Rows (n, d) to codes uint8 (n, code_size).

        Raises:
            NotFittedError: before `fit`.
            TypeError: a dtype that is not a float's.
            ValueError: another shape, or a non-finite value, named by its row.
        """
        where = "Codec.encode"
        if on_device(X):
            return self._encode_on_device(X)  # type: ignore[no-any-return]
        x = as_rows(where, "x", X, self._fitted("encode"))
        codes = np.empty((len(x), self.code_size), np.uint8)
        for rows in blocks(len(x), self._row_bytes):
            try:
                self._chain.coder.encode(self._through(where, x[rows], rows.start), codes[rows])
            except ValueError:
                refuse_nonfinite(where, "x", x[rows], rows.start)  # the row by its number in all of x
                raise
        return codes

    def _through(self, where: str, x: Floats, first: int) -> Floats:
        """Through the transforms. Without any, x stays as it is: kernels take all dtypes and refuse NaN."""
        if not self._chain.transforms:
            return x
        refuse_nonfinite(where, "x", x, first)  # a transform could drop or spread it
        return self._chain.forward(to_float32(x))

    def _beside(self, x: Any) -> Chain:
        """The chain with its tensors on the device of x, moved there once."""
        key = x.device.id
        if key not in self._devices:
            self._devices[key] = chain_beside(self._chain, x)
        return self._devices[key]

    def _encode_on_device(self, X: Any) -> Any:
        x = as_rows("Codec.encode", "x", as_cupy(X), self._fitted("encode"))
        chain = self._beside(x)
        codes = np.empty_like(x, np.uint8, shape=(len(x), self.code_size))
        for rows in blocks(len(x), self._row_bytes // _DEVICE_BLOCKS):
            part = x[rows]
            encode_block(chain, to_float32(part) if chain.transforms else part, codes[rows])
        return as_given(codes, X)

    def _decode_on_device(self, codes: Any) -> Any:
        checked = self._codes("decode", as_cupy(codes))
        chain = self._beside(checked)
        x = np.empty_like(checked, np.float32, shape=(len(checked), self.d))
        for rows in blocks(len(x), self._row_bytes // _DEVICE_BLOCKS):
            chain.decode(checked[rows], out=x[rows])
        return as_given(x, codes)

    def _search_on_device(self, codes: Any, Q: Any, k: int, metric: str, mask: Any) -> Any:
        checked = self._codes("search", as_cupy(codes))
        queries = _checks.queries("Codec.search", Q if on_device(Q) else np.asarray(Q), checked, self.d)
        k = _checks.count("Codec.search", "k", k, len(checked), "the codes")
        _checks.one_of("Codec.search", "metric", metric, METRICS)
        hits = self._beside(checked).search(checked, queries, k, metric, mask, None)
        return tuple(as_given(array, codes) for array in hits)

    def decode(self, codes: npt.ArrayLike) -> F32:
        """Codes uint8 (n, code_size) to rows float32 (n, d).

        Raises:
            NotFittedError: before `fit`.
            TypeError: codes are not uint8.
            ValueError: another shape, or bytes that are no code.
        """
        if on_device(codes):
            return self._decode_on_device(codes)  # type: ignore[no-any-return]
        checked = self._codes("decode", codes)
        x = np.empty((len(checked), self.d), np.float32)
        for rows in blocks(len(x), self._row_bytes):
            self._chain.decode(checked[rows], out=x[rows])
        return x

    def transform(self, X: npt.ArrayLike) -> F32:
        """What survives of X: `decode(encode(X))`, (n, d) float32."""
        return self.decode(self.encode(X))

    def search(
        self,
        codes: npt.ArrayLike,
        Q: npt.ArrayLike,
        k: int = 10,
        metric: str = "ip",
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> Hits:
        """The k best rows for each query, by the score of the decoded row, which is never stored.

        Args:
            codes: uint8 (n, code_size).
            Q: queries (nq, d).
            k: 1 <= k <= n.
            metric: "ip", "l2" (the score is minus the squared distance) or "cosine".
            mask: bool (n,), True for the rows that may be returned.
            threads: the number of threads, by default `get_num_threads()`.

        Returns:
            Scores float32 (nq, k), descending, of equal ones the lower id first; ids int64 (nq, k). Where the
            mask leaves fewer than k rows, the rest has id -1 and score -inf.

        Raises:
            NotFittedError: before `fit`.
            TypeError: a wrong dtype.
            ValueError: a wrong shape, metric or k, or a non-finite value in Q.
        """
        if on_device(codes):
            return self._search_on_device(codes, Q, k, metric, mask)  # type: ignore[no-any-return]
        checked = self._codes("search", codes)
        queries = _finite("Codec.search", "Q", Q, self._fitted("search"))
        k = _checks.count("Codec.search", "k", k, len(checked), "the codes")
        _checks.one_of("Codec.search", "metric", metric, METRICS)
        if mask is not None:
            mask = _checks.typed("Codec.search", "mask", np.asarray(mask), _checks.BOOL, len(checked))
        return self._chain.search(checked, queries, k, metric, mask, threads)

    def _codes(self, what: str, codes: npt.ArrayLike) -> U8:
        self._fitted(what)
        array = as_array(codes)
        _checks.typed(f"Codec.{what}", "codes", array, _checks.UINT8, "n", self._code_size)
        return _checks.contiguous(array)

    @property
    def _row_bytes(self) -> int:
        return 4 * max(self._chain.dims(self.d))

    # -- save and load

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, whole or not at all; `load` reads it."""
        d = self._fitted("save")
        header = container.Header(self._spec, d, int(self._seed), self._fingerprint)
        container.write_codec(path, header, self._chain.tensors())


def load(path: str | os.PathLike[str]) -> Codec:
    """Read a codec that `Codec.save` wrote. Everything in the file is checked before it is used.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a codec file, or damaged.
    """
    header, tensors = container.read_codec(path)
    try:
        codec = Codec(header.spec, header.seed)
        codec._chain.from_tensors(header.d, tensors)
        codec._adopt(codec._chain, header.d)
        if codec.spec != header.spec or codec.fingerprint != header.fingerprint:
            raise ValueError("its fingerprint is wrong")
    except ValueError as error:
        raise container.damaged(path, error) from error
    return codec


def _finite(where: str, name: str, x: npt.ArrayLike, d: int) -> F32:
    rows = np.asarray(x)
    return _checks.finite_rows(where, name, rows, rows, "n", d)
