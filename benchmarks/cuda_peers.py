"""What users of CuPy and torch write in place of a kernel, for the benchmark on a device."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from embcodec.reference import REGISTRY

Call = Callable[[], Any]


def peers(name: str, inputs: dict[str, Any]) -> dict[str, Call]:
    """Calls that do a kernel's job with these arguments, by library; CuPy's is the registry's for NumPy."""
    calls: dict[str, Call] = {}
    by_numpy = REGISTRY[name].peer
    if by_numpy is not None:
        calls["CuPy"] = lambda: by_numpy(**inputs)
    by_torch = TORCH.get(name)
    if by_torch is not None and inputs.get("bits", 8) == 8 and find_spec("torch"):
        import torch

        tensors = {a: torch.from_dlpack(v) if hasattr(v, "__dlpack__") else v for a, v in inputs.items()}
        calls["torch"] = lambda: by_torch(**tensors)
    return calls


def _sq_encode(x: Any, lo: Any, step: Any, bits: int) -> Any:
    import torch

    return ((x - lo) / step).round_().clamp_(0, 255).to(torch.uint8)


def _sq_decode(codes: Any, lo: Any, step: Any, bits: int) -> Any:
    return codes * step + lo


def _project(x: Any, matrix: Any, mean: Any) -> Any:
    return (x if mean is None else x - mean) @ matrix


def _nearest(x: Any, codebooks: Any) -> Any:
    """Codes (n, m): the nearest of each subspace's codewords; in parts, as not all scores fit the memory."""
    import torch

    m, _, dsub = codebooks.shape
    half_squares = (codebooks * codebooks).sum(2)[:, None] / 2
    codes = [
        torch.baddbmm(half_squares, part, codebooks.transpose(1, 2), alpha=-1).argmin(2)
        for part in x.view(len(x), m, dsub).transpose(0, 1).split(1 << 16, 1)
    ]
    return torch.cat(codes, 1).T.to(torch.uint8)


def _look_up(codes: Any, codebooks: Any) -> Any:
    import torch

    subspaces = torch.arange(len(codebooks), device=codes.device)
    return codebooks[subspaces, codes.long()].flatten(1)


def _best(x: Any, queries: Any, k: int) -> Any:
    import torch

    return torch.topk(queries @ x.T, k)


def _largest(x: Any, k: int) -> Any:
    import torch

    at = torch.topk(x.abs(), k).indices.sort(1).values
    return at, x.gather(1, at)


TORCH: dict[str, Callable[..., Any]] = {
    "sq_encode": _sq_encode,
    "sq_decode": _sq_decode,
    "pq_encode": _nearest,
    "pq_decode": _look_up,
    "project": _project,
    "topk_encode": _largest,
    "flat_topk": lambda x, queries, k, metric, mask: _best(x, queries, k),
    "sq_topk": lambda codes, lo, step, bits, queries, k, metric, mask: _best(
        _sq_decode(codes, lo, step, bits), queries, k
    ),
    "pq_topk": lambda codes, codebooks, queries, k, metric, mask: _best(
        _look_up(codes, codebooks), queries, k
    ),
}
"""By kernel; its arguments as tensors."""
