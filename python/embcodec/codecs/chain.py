"""The stages of a spec, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embcodec.kernels import _checks, hadamard_sq_encode

from .base import Coarse, Stage, Transform
from .rotation import HR
from .rows import F32, U8, Bools, Floats, blocks, refuse_nonfinite, to_float32
from .sample import stage_seed
from .scalar import SQ
from .scan import Hits, fold, place, topk_decoded
from .spec import parse_spec


class Chain:
    """Transforms, then a coder. It trusts its arguments: `Codec` checks them."""

    def __init__(self, spec: str) -> None:
        self.transforms, self.coder = parse_spec(spec)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All of them, in order."""
        return (*self.transforms, self.coder)

    @property
    def spec(self) -> str:
        """The spec in its canonical spelling."""
        return ",".join(stage.text for stage in self.stages)

    def dims(self, d: int) -> list[int]:
        """The dimensions before each stage, the coder's last; ValueError if a stage cannot take them."""
        dims = [d]
        for stage in self.transforms:
            dims.append(stage.out_dim(dims[-1]))
        return dims

    def code_size(self, d: int) -> int:
        """Bytes of the code of a row of d dimensions."""
        return self.coder.code_size(self.dims(d)[-1])

    def fit(self, x: F32, queries: F32 | None, seed: int) -> None:
        """Fit each stage on what the stages before it make of the sample and the queries."""
        self.code_size(x.shape[1])  # refuses a d that does not fit before any work
        for index, stage in enumerate(self.transforms):
            stage.fit(x, queries, stage_seed(seed, index))
            x = _forward(stage, x)
            queries = None if queries is None else stage.forward(queries)
        self.coder.fit(x, queries, stage_seed(seed, len(self.transforms)))

    def encode(self, x: Floats, out: U8) -> None:
        """A block of rows to codes; rows that are rotated and quantized are so in one pass.

        Raises:
            ValueError: a value of x is not finite. Kernels see that, but a transform could drop or spread it.
        """
        *before, last = self.transforms or (None,)
        if last is not None and not isinstance(self.transforms[0], HR):
            refuse_nonfinite(self.spec, "x", x)
        if isinstance(last, HR) and isinstance(self.coder, SQ):
            sq = self.coder
            hadamard_sq_encode(_through(before, x), last.signs, sq.lo, sq.step, sq.bits, out=out)
        else:
            self.coder.encode(_through(self.transforms, x), out)

    def decode(self, codes: U8, out: F32 | None = None) -> F32:
        """A block of codes back to rows: `out`, or a new array."""
        if not self.transforms:
            return self.coder.decode(codes, out)
        x = self.coder.decode(codes)
        for stage in reversed(self.transforms):
            x = stage.inverse(x)
        if out is None:
            return x
        out[...] = x
        return out

    def search(
        self, codes: U8, queries: F32, k: int, metric: str, mask: Bools | None, threads: int | None
    ) -> Hits:
        """The k best decoded rows: by the coder's own scan where the transforms fold into the queries."""
        if not self.transforms:
            return self.coder.search(codes, queries, k, metric, mask, threads)
        folded = fold(self.transforms, queries, metric)
        if folded is not None:
            # They may have overflowed.
            pulled = _checks.queries(self.spec, folded.queries, codes, self.coder.d)
            return folded.unfold(self.coder.search(codes, pulled, k, metric, mask, threads))
        row_bytes = 4 * max(self.dims(queries.shape[1]))
        placed = place(self.transforms, queries) if metric == "cosine" else None
        if placed is None:
            return topk_decoded(self.decode, codes, row_bytes, queries, k, metric, mask, threads)
        if placed.centroid.shape[1] == self.coder.d or self.coder.goes_beyond:
            whole = Coarse(placed.centroid, None)
            hits = self.coder.search_residual(codes, whole, placed.queries, k, metric, mask, threads)
            if hits is not None:
                return placed.unfold(hits)

        room: F32 | None = None

        def rows(codes: U8, out: F32 | None) -> F32:
            nonlocal room
            room = self.coder.decode(codes, None if room is None else room[: len(codes)])
            return placed.rows(room, out)

        hits = topk_decoded(rows, codes, row_bytes, placed.queries, k, metric, mask, threads)
        return placed.unfold(hits)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What was fitted, as `<stage index>.<name>`."""
        return {
            f"{index}.{name}": tensor
            for index, stage in enumerate(self.stages)
            for name, tensor in stage.tensors().items()
        }

    def from_tensors(self, d: int, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take what `tensors` returned; ValueError if it is not that."""
        self.code_size(d)
        rest = dict(tensors)
        for index, (stage, stage_d) in enumerate(zip(self.stages, self.dims(d), strict=True)):
            prefix = f"{index}."
            mine = [name for name in rest if name.startswith(prefix)]
            stage.from_tensors(stage_d, {name.removeprefix(prefix): rest.pop(name) for name in mine})
        if rest:
            raise ValueError(f"tensor {min(rest)!r} belongs to no stage")


def _through(transforms: Iterable[Transform], x: Floats) -> Floats:
    """A block of rows through transforms; without any it keeps its dtype, for kernels take all of them."""
    for stage in transforms:
        x = stage.forward(to_float32(x))
    return x


def _forward(stage: Transform, x: F32) -> F32:
    """The whole sample through one transform, block by block."""
    z = np.empty((len(x), stage.out_dim(x.shape[1])), np.float32)
    for rows in blocks(x, 4 * max(x.shape[1], z.shape[1])):
        z[rows] = stage.forward(x[rows])
    return z
