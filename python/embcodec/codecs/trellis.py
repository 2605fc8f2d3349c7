"""TCQ: trellis-coded transform quantization, the best quality for the bytes (docs/trellis.md)."""

# ruff: noqa: D102 (the methods of Transform and Coder are described there)

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files

import numpy as np

from embcodec.kernels import flat_topk, trellis_decode, trellis_encode, trellis_topk
from embcodec.reference.trellis import LEVELS, RATES, UNIT, are_rates, windows
from embcodec.reference.trellis import code_size as stream_size

from .base import Coarse, Coder, Tensor
from .linear import covariance
from .rows import F32, F64, U8, Bools, Floats, project, refuse_nonfinite, to_float32
from .scan import Hits
from .spec import register

# Mean squared error of a unit Gaussian at each rate, as scripts/make_trellis_books.py prints it.
_DISTORTION = {0: 1.0, 1: 0.54169, 2: 0.28834, 4: 0.0803, 6: 0.02275, 8: 0.00652, 10: 0.00205, 12: 0.00074}
_FIT_ROWS = 6144  # rows that refine the codebooks; more move the levels by less than int8 resolves
_REFINEMENTS = 3
_PRIOR = 32  # samples for which a level of the Gaussian book counts
_SCAN_UNIT = 64  # components that a scan looks up at a time
_TRIAL_ROWS, _TRIAL_QUERIES, _TRIAL_K = 8192, 1024, 10
_FEWEST_TRIAL_ROWS = 512
_GAINS = np.arange(21, 33, dtype=np.float32) / np.float32(20)  # 1.05 to 1.6
_UNIT_LENGTH = 0.01  # how far the square of a length may be from 1: vectors stored as float16 are


@register
class TCQ(Coder):
    """Principal components, bits where they count, a trellis over them (Marcellin and Fischer, 1990).

    The components are ordered by weighted energy and get 0 to 6 bits each, so that the weighted distortion is
    least for the budget (reverse water-filling); a window of 8 bits moving along the row's bit string chooses
    among 256 levels. A component's weight is the square root of what queries put there. Where it raises the
    recall on a sample, one of the bytes chooses a factor that makes a decoded row as long as it was, or all
    rows behind centroids have one factor.
    """

    pattern = r"TCQ(?:([1-9]\d{0,5})B|([0-6](?:\.\d{0,3}[1-9])?))"
    forms = ("TCQ2", "TCQ0.5", "TCQ96B")
    adds_codewords = True
    mean: F32  # (d,)
    components: F32  # (d, d), rows orthonormal, in the order in which they are coded
    step: F32  # (d,)
    weight: F32  # (d,)
    rates: U8  # (d,) half bits
    codebooks: np.typing.NDArray[np.int8]  # (8, 128)
    factored: U8  # (1,) whether the byte of a factor stands behind the bits
    factors: F32  # (256,) ascending; not `factored`: the first is that of all rows

    def __init__(self, text: str, size: str | None, bits: str | None) -> None:
        super().__init__(text)
        self.size = int(size) if size else None
        self.bits = float(bits) if bits else 0.0
        if size is None and not 0.25 <= self.bits <= 6:
            raise ValueError(f"{text} must have 0.25 to 6 bits a dimension")

    @property
    def has_first_part(self) -> bool:
        return True

    def code_size(self, d: int) -> int:
        size = self.size or -int(-d * self.bits // 8)
        most = stream_size(np.full(d, max(RATES))) + 1
        if not 2 <= size <= most:
            raise ValueError(f"{self.text} must be 2B to {most}B for {d} dimensions")
        return size

    def layout(self, d: int) -> dict[str, Tensor]:
        self.code_size(d)
        return {
            "mean": Tensor((d,)),
            "components": Tensor((d, d), low=-1.001, high=1.001),
            "step": Tensor((d,), low=0),
            "weight": Tensor((d,), low=0),
            "rates": Tensor((d,), "uint8", high=max(RATES)),
            "codebooks": Tensor((8, LEVELS), "int8", low=-127),
            "factored": Tensor((1,), "uint8", high=1),
            "factors": Tensor((256,), low=0),
        }

    # -- fit

    def learn(self, x: F32, queries: F32 | None, seed: int) -> None:
        self.learn_residual(x, Coarse.none(x[0]), queries, seed)

    def learn_residual(self, x: F32, coarse: Coarse, queries: F32 | None, seed: int) -> None:
        mean = x.mean(axis=0, dtype=np.float64)
        variance, vectors = np.linalg.eigh(covariance(x, mean) / len(x))
        asked = x if queries is None else queries
        z = project(asked[: 1 << 16], np.ascontiguousarray(vectors, np.float32))
        energy = np.square(z).mean(axis=0, dtype=np.float64)
        weight = np.sqrt(energy / max(energy.mean(), 1e-300))
        order = np.argsort(-weight * np.maximum(variance, 0), kind="stable")
        vectors = vectors[:, order] * np.sign(vectors[np.abs(vectors[:, order]).argmax(axis=0), order])
        self.mean = mean.astype(np.float32)
        self.components = np.ascontiguousarray(vectors.T, dtype=np.float32)
        rng = np.random.default_rng(seed)
        if len(x) > _TRIAL_ROWS:
            sample = np.sort(rng.choice(len(x), _TRIAL_ROWS, replace=False))
            x, coarse = x[sample], coarse.of(sample)
        spread = np.sqrt(np.maximum(variance[order], 0)).astype(np.float32)
        self._choose(x, coarse, queries, weight[order].astype(np.float32), spread, rng)

    def _choose(
        self,
        x: F32,
        coarse: Coarse,
        queries: F32 | None,
        weight: F32,
        spread: F32,
        rng: np.random.Generator,
    ) -> None:
        """With a factor for each row, one for all or none, whichever finds most of the queries' neighbours.

        One for all tells only where there are several centroids.
        """
        z = project(x, self.transposed("components"), self.mean)
        size = self.code_size(x.shape[1])
        plain = self._fitted(z, size, weight, spread, 0)
        self.__dict__.update(plain)
        if len(x) < _FEWEST_TRIAL_ROWS:
            return
        left = coarse.left(x)
        rows = coarse.add_to(left)
        count = min(_TRIAL_QUERIES, len(x) // 2)
        trial = _Trial(
            coarse,
            rows,
            rows[rng.choice(len(x), count, replace=False)] if queries is None else queries[:count],
        )
        codes = self._trial_codes(left)
        most = trial.recall(self, codes)
        for gain in _GAINS if coarse.ids is not None else ():
            self.factors = np.full(256, gain, np.float32)
            found = trial.recall(self, codes)
            if found <= most:
                break
            most, plain["factors"] = found, self.factors
        if size > 4:
            self.__dict__.update(self._fitted(z, size - 1, weight, spread, 1))
            z = project(left, self.transposed("components"), self.mean)
            self.factors = _factor_table(z, trellis_decode(self._strings(z), *self._books()))
            if trial.recall(self, self._trial_codes(left)) > most:
                return
        self.__dict__.update(plain)

    def _trial_codes(self, x: F32) -> U8:
        codes = np.empty((len(x), self.code_size(x.shape[1])), np.uint8)
        self.d = x.shape[1]
        self.encode(x, codes)
        return codes

    def _fitted(self, z: F32, size: int, weight: F32, spread: F32, factored: int) -> dict[str, object]:
        """Rates, then codebooks refined on the components z, for a bit string of `size` bytes."""
        rates = allocate(weight.astype(np.float64) * spread.astype(np.float64) ** 2, size)
        scaled = np.divide(z, spread, out=np.zeros_like(z), where=spread > 0)[:_FIT_ROWS]
        books, scale = _refined(scaled, rates, weight * spread**2)
        step = np.where(rates > 0, spread * scale[_first_book(rates)], 0).astype(np.float32)
        error = (weight * step.astype(np.float64) ** 2).astype(np.float32)
        error /= max(float(error.max()), 1e-30)  # only the ratios count; far from float32's limits
        flag = np.array([factored], np.uint8)
        factors = np.ones(256, np.float32)
        return {
            "rates": rates,
            "codebooks": books,
            "step": step,
            "weight": error,
            "factored": flag,
            "factors": factors,
        }

    # -- encode, decode, search

    def _books(self) -> tuple[np.typing.NDArray[np.int8], F32, U8]:
        """What components are coded by."""
        return self.codebooks, self.step, self.rates

    def _decoding_books(self) -> tuple[np.typing.NDArray[np.int8], F32, U8]:
        """What rows are decoded by, but for a factor of their own."""
        if self.factored[0]:
            return self._books()
        step = self.kept("step", (self.step, self.factors), lambda: self.step * self.factors[0])
        return self.codebooks, step, self.rates

    def _strings(self, z: F32) -> U8:
        return trellis_encode(z, *self._books(), self.weight)

    def encode(self, x: Floats, out: U8) -> None:
        refuse_nonfinite(self.text, "x", x)
        self._encode(project(x, self.transposed("components"), self.mean), out)

    def _encode(self, z: F32, out: U8) -> None:
        codes = self._strings(z)
        out[:, : codes.shape[1]] = codes
        out[:, codes.shape[1] :] = 0
        if self.factored[0]:
            factor = _factor(z, trellis_decode(codes, *self._books()))
            out[:, codes.shape[1]] = np.searchsorted((self.factors[1:] + self.factors[:-1]) / 2, factor)

    def _part(self, codes: U8) -> tuple[U8, F32 | None]:
        """What the kernels read of the codes, and the factors if there are any."""
        size = stream_size(self.rates)
        if self.factored[0]:
            return codes[:, : size + 1], self.factors
        return codes[:, :size], None

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        part, factors = self._part(codes)
        z = trellis_decode(part, *self._decoding_books(), factors)
        return np.add(project(z, self.components), self.mean, out=out)

    def turn(self, x: F32) -> F32:
        return project(x, self.transposed("components"))

    def _turned_mean(self) -> F32:
        return self.kept("turned mean", (self.mean, self.components), lambda: self.turn(self.mean[None]))

    def encode_turned(self, z: F32, out: U8) -> None:
        self._encode(z - self._turned_mean(), out)

    def decode_turned(self, codes: U8, out: F32 | None = None) -> F32:
        part, factors = self._part(codes)
        z = trellis_decode(part, *self._decoding_books(), factors, out=out)
        z += self._turned_mean()
        return z

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
        """Rotations keep every metric, so the scan works on components; mean and centroids join there."""
        centroids = self.kept(
            "centroids",
            (coarse.centroids, self.mean, self.components),
            lambda: self._turned(coarse.centroids),
        )
        queries = self.turn(queries)
        scan = partial(trellis_topk, metric=metric, centroids=centroids, threads=threads)
        first = _first_rates(self.rates)
        kept = len(codes) if self.k_factor is None else k * self.k_factor
        part, factors = self._part(codes)
        books = codebooks, step, _ = self._decoding_books()
        if kept >= len(codes) or not first.any():
            return scan(part, *books, queries, k, mask=mask, factors=factors, centroid=coarse.ids)
        begin = codes[:, : stream_size(first)]
        _, ids = scan(begin, codebooks, step, first, queries, kept, mask=mask, centroid=coarse.ids)
        ids = np.sort(ids, axis=1)  # -1, for none, comes first
        hits = np.empty_like(ids[:, :k], dtype=np.float32), np.empty_like(ids[:, :k])
        for i in range(len(queries)):
            rows = np.maximum(ids[i], 0)
            scores, at = scan(
                part[rows],
                *books,
                queries[i : i + 1],
                k,
                mask=ids[i] >= 0,
                factors=factors,
                centroid=None if coarse.ids is None else coarse.ids[rows],
            )
            hits[0][i], hits[1][i] = scores[0], np.where(at[0] >= 0, rows[at[0]], -1)
        return hits

    def _turned(self, centroids: F32) -> F32:
        """Centroids with the mean, or codebooks of which the first has it, as components."""
        raised = centroids.copy()
        first = raised[0] if raised.ndim == 3 else raised
        first += self.mean
        turned: F32 = self.turn(raised.reshape(-1, self.d)).reshape(raised.shape)
        return turned

    def from_tensors(self, d: int, tensors: object) -> None:
        super().from_tensors(d, tensors)  # type: ignore[arg-type]
        _check_rates(self.rates, self.code_size(d) - int(self.factored[0]))
        if (np.diff(self.factors) < 0).any():
            raise ValueError("tensor factors must not fall")


def _first_rates(rates: U8) -> U8:
    """The rates of a code's first part: half of the components that are coded, in whole units of the scan.

    Zeros if that leaves nothing for a second part.
    """
    coded = int(np.count_nonzero(rates))
    count = max(round(coded / 2 / _SCAN_UNIT), 1) * _SCAN_UNIT
    return np.where(np.arange(len(rates)) < (count if count < coded else 0), rates, 0).astype(np.uint8)


def _check_rates(rates: U8, size: int) -> None:
    if not are_rates(rates) or stream_size(rates) > size:
        raise ValueError(
            f"tensor rates must fall, be equal over each {UNIT} components, pair up at 1 and fit the code"
        )


class _Trial:
    """What codecs of a sample's rows find of the nearest of them."""

    def __init__(self, coarse: Coarse, rows: F32, queries: F32) -> None:
        self.coarse, self.queries = coarse, queries
        self.metrics = ("ip", "cosine") if _have_unit_length(rows) else ("ip",)  # which ask for the same then
        _, self.true = flat_topk(rows, queries, _TRIAL_K)

    def recall(self, coder: TCQ, codes: U8) -> float:
        """The share that is found by the codes of what the coarse stage left of the rows."""
        shares = []
        for metric in self.metrics:
            _, found = coder.search_residual(codes, self.coarse, self.queries, _TRIAL_K, metric, None, None)
            shares.append((found[:, :, None] == self.true[:, None, :]).any(axis=2).mean())
        return float(np.mean(shares))


def _have_unit_length(x: F32) -> bool:
    return bool((np.abs(np.einsum("ij,ij->i", x, x) - 1) < _UNIT_LENGTH).all())


def _factor(z: F32, y: F32) -> F32:
    """|z| / |y|, by which the decoded y must grow to be as long as z; 1 where one of them is zero."""
    zz = np.einsum("ij,ij->i", z, z, dtype=np.float64)
    yy = np.einsum("ij,ij->i", y, y, dtype=np.float64)
    right = (zz > 0) & (yy > 0)
    return to_float32(np.clip(np.sqrt(np.where(right, zz / np.where(right, yy, 1), 1)), 1 / 4, 4))


def _factor_table(z: F32, y: F32) -> F32:
    """256 factors in equal ratios, from the least to the largest of a sample."""
    factor = _factor(z, y)
    return np.geomspace(max(float(factor.min()), 1e-3), max(float(factor.max()), 1e-3), 256).astype(
        np.float32
    )


def allocate(energy: F64, size: int) -> U8:
    """Half bits for each component, so that the sum of energy * distortion is least for `size` bytes.

    Rates fall, as energies do. Dynamic programming over units, from the last to the first: the least that
    those so far lose, by the rate of the first of them and the bytes for them all.
    """
    begins = range(0, len(energy), UNIT)
    behind = np.zeros((len(RATES), size + 1))
    tables = []
    for begin in reversed(begins):
        unit = energy[begin : begin + UNIT]
        lost = np.full_like(behind, np.inf)
        for option, rate in enumerate(RATES):
            taken = -(-len(unit) * rate // UNIT)
            odd = rate == 1 and len(unit) % 2  # the last would have no other to share its bit
            if taken <= size and not odd and (rate or begin):
                lost[option, taken:] = unit.sum() * _DISTORTION[rate] + behind[option, : size + 1 - taken]
        tables.append(lost)
        behind = np.minimum.accumulate(lost)  # at any rate up to this one
    rates, option = np.zeros(len(energy), np.uint8), len(RATES) - 1
    for begin, lost in zip(begins, reversed(tables)):
        option = int(lost[: option + 1, size - stream_size(rates[:begin])].argmin())
        rates[begin : begin + UNIT] = RATES[option]
    return rates


def _first_book(rates: U8) -> np.typing.NDArray[np.int64]:
    """The codebook of each component, of a pair's the first; both have one scale."""
    return np.where(rates <= 1, 0, rates.astype(np.int64) // 2 + 1)


def _refined(scaled: F32, rates: U8, weight: F32) -> tuple[np.typing.NDArray[np.int8], F32]:
    """Lloyd iterations through the trellis, from the Gaussian books: levels and scale of each book."""
    books = _gaussian_books().astype(np.float64)
    book = _first_book(rates)
    coded = int(np.count_nonzero(rates))
    for _ in range(_REFINEMENTS):
        levels, scale = _quantized(books)
        step = np.where(rates > 0, scale[book], 0).astype(np.float32)
        codes = trellis_encode(
            scaled, levels, step, rates, (weight / max(float(weight.max()), 1e-30)) * step**2
        )
        chosen = windows(codes, rates.tolist()).astype(np.int64)
        row = book[:coded] + (rates[:coded] == 1) * (np.arange(coded) % 2)
        count, total = mirrored_sums(chosen + 256 * row, scaled[:, :coded])
        books = (total + _PRIOR * books) / (count + _PRIOR)
    return _quantized(books)


def mirrored_sums(cells: np.typing.NDArray[np.int64], values: F32) -> tuple[F64, F64]:
    """For each book and level, how many values chose it or its mirror image, and their sum; (8, 128) each.

    A cell is 256 * book + window.
    """
    count = np.bincount(cells.ravel(), minlength=2048).reshape(8, 256).astype(np.float64)
    total = np.bincount(cells.ravel(), values.ravel(), minlength=2048).reshape(8, 256).astype(np.float64)
    upper = slice(None, LEVELS - 1, -1)
    return count[:, :LEVELS] + count[:, upper], total[:, :LEVELS] - total[:, upper]


def _quantized(books: F64) -> tuple[np.typing.NDArray[np.int8], F32]:
    scale = np.abs(books).max(axis=1) / 127
    scale[:2] = scale[:2].max()
    return np.rint(books / scale[:, None]).astype(np.int8), scale.astype(np.float32)


@cache
def _gaussian_books() -> F32:
    with (files("embcodec.codecs") / "trellis_books.npy").open("rb") as file:
        books: F32 = np.load(file, allow_pickle=False)
    return books
