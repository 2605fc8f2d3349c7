"""Codec: the stages of a spec, fitted and applied one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

from embcodec._backends.cuda import numbered
from embcodec.kernels import _checks

from . import container
from .base import NotFittedError
from .chain import Chain
from .device import DeviceChain
from .estimator import Estimator
from .rows import F32, U8, as_array, as_given, as_rows, blocks, empty, on_device, on_host, refuse_nonfinite
from .sample import sample_rows
from .scan import Hits

METRICS = ("ip", "l2", "cosine")


class Codec(Estimator):
    """Compresses rows of d dimensions to `code_size` bytes each.

        codec = Codec("PCA128,SQ8").fit(X)
        codes = codec.encode(X)                       # uint8 (n, codec.code_size)
        scores, ids = codec.search(codes, Q, k=10)

    Rows come as float32, float16, bfloat16 or float64 and count as float32. A row's code depends on nothing
    but the row. Large arrays are worked on block by block, so that temporaries stay at about 64 MB.

    Rows, codes and queries on a CUDA device stay there, and so do the results. Nothing waits then: a row that
    is refused is raised by `embcodec.synchronize()`.

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

    @property
    def k_factor(self) -> int | None:
        """How many rows for each wanted one a search scores in full; None, the default, for all of them.

        Only trellis codes have it (`TCQ`, behind `IVF` too): a first pass scores the first part of all codes,
        where most of the energy is, and keeps the best `k * k_factor` rows for each query, as FAISS's
        `IndexRefine.k_factor` does. 100 cost nothing in the fourth digit of the recall from 1 bit a dimension
        on (docs/trellis.md). The result is the same on every level and number of threads. Not saved.

        Raises:
            TypeError: it is set to something that is not an integer.
            ValueError: it is set below 1, or for codes without a first part.
        """
        return self._chain.coder.k_factor

    @k_factor.setter
    def k_factor(self, value: int | None) -> None:
        if value is not None:
            value = _checks.at_least("Codec", "k_factor", value, 1)
            if not self._chain.coder.has_first_part:
                raise ValueError(
                    f"Codec: k_factor needs a scan of trellis codes, which {self._spec} does not have"
                )
        self._chain.coder.k_factor = value
        self._devices = {}

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
        how X is cut into batches. Stages are fitted on the host: rows that are on a device are copied.

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
        q = None
        if queries is not None:
            rows = on_host(as_array(queries))
            q = _checks.finite_rows("Codec.fit", "queries", rows, rows, "n", d)
            if len(q) == 0:
                raise ValueError("Codec.fit: queries has no rows")
        chain = Chain(self._spec)  # a new one, so that a fit that fails leaves the old one as it was
        chain.coder.k_factor = self.k_factor
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
        x = as_rows(where, "x", X, self._fitted("encode"))
        chain, codes = self._beside(x), empty(x, (len(x), self.code_size), _checks.UINT8)
        for rows in blocks(x, self._row_bytes):
            try:
                with numbered(where, rows.start):
                    chain.encode(x[rows], codes[rows])
            except ValueError:
                refuse_nonfinite(where, "x", x[rows], rows.start)  # the row by its number in all of x
                raise
        return as_given(codes, X)  # type: ignore[no-any-return]

    def _beside(self, x: Any) -> Chain:
        """The chain with its arrays on the device of x, moved there once."""
        if not on_device(x):
            return self._chain
        key = x.device.id
        if key not in self._devices:
            self._devices[key] = DeviceChain(self._chain, x)
        return self._devices[key]

    def decode(self, codes: npt.ArrayLike) -> F32:
        """Codes uint8 (n, code_size) to rows float32 (n, d).

        Raises:
            NotFittedError: before `fit`.
            TypeError: codes are not uint8.
            ValueError: another shape, or bytes that are no code.
        """
        d = self._fitted("decode")
        checked = self._codes("Codec.decode", codes)
        chain, x = self._beside(checked), empty(checked, (len(checked), d), _checks.FLOAT32)
        for rows in blocks(x, self._row_bytes):
            chain.decode(checked[rows], out=x[rows])
        return as_given(x, codes)  # type: ignore[no-any-return]

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
            codes: uint8 (n, code_size). Those of `PQ`, `RaBitQ1`, `LM1` and `Binary` are searched faster in
                column order (`numpy.asfortranarray(codes)`, once for many searches).
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
        d = self._fitted("search")
        checked = self._codes("Codec.search", codes)
        queries = _checks.finite_rows("Codec.search", "Q", as_array(Q), checked, "n", d)
        k = _checks.count("Codec.search", "k", k, len(checked), "the codes")
        _checks.one_of("Codec.search", "metric", metric, METRICS)
        if mask is not None:
            mask = _checks.typed("Codec.search", "mask", as_array(mask), _checks.BOOL, len(checked))
            mask = _checks.beside(_checks.contiguous(mask), checked)
        scores, ids = self._beside(checked).search(checked, queries, k, metric, mask, threads)
        return as_given(scores, codes), as_given(ids, codes)

    def _codes(self, where: str, codes: npt.ArrayLike) -> U8:
        array = as_array(codes)
        codes = _checks.typed(where, "codes", array, _checks.UINT8, "n", self._code_size)
        # Some rows of an array in column order are so as well.
        in_columns = _checks.is_on_host(codes) and codes.strides[0] == 1
        return codes if in_columns else _checks.contiguous(codes)

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
