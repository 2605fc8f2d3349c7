"""Codecs on arrays of a CUDA device: CuPy's, and torch's tensors by way of CuPy, without copies."""

from __future__ import annotations

import copy
from typing import Any

from embcodec._backends.arrays import CUPY, TORCH, adopted, library_of
from embcodec.kernels import hadamard_sq_encode
from embcodec.kernels._checks import beside

from .base import Stage
from .chain import Chain
from .rotation import HR
from .scalar import SQ

HOST = ("uint8",)  # dtypes of tensors that stay on the host, where they steer what is done


def as_cupy(x: Any) -> Any:
    """An array of a device as CuPy's, which has NumPy's functions."""
    if library_of(adopted(x)) is not TORCH:
        return adopted(x)
    try:
        import cupy
    except ImportError:
        raise TypeError("codecs take torch's tensors by way of CuPy, which is missing") from None
    return cupy.asarray(x)


def as_given(result: Any, x: Any) -> Any:
    """What was computed from x, in the library of x."""
    if library_of(adopted(x)) is not TORCH:
        return result
    import torch

    return torch.as_tensor(result, device=x.device)


def chain_beside(chain: Chain, like: Any) -> Chain:
    """The fitted chain with its tensors on the device of `like`.

    Raises:
        TypeError: a stage has no code for devices.
    """
    for stage in chain.stages:
        if not stage.on_devices:
            raise TypeError(f"{stage.text} runs on NumPy arrays only, x is on a CUDA device")
    moved = copy.copy(chain)
    moved.transforms = tuple(_beside(stage, like) for stage in chain.transforms)
    moved.coder = _beside(chain.coder, like)
    CUPY.xp.cuda.get_current_stream().synchronize()  # this once: calls on other streams will use them
    return moved


def encode(chain: Chain, x: Any, out: Any) -> None:
    """A block of rows to their codes; a rotation is quantized as it is computed."""
    *before, last = chain.transforms or (None,)
    if isinstance(last, HR) and isinstance(chain.coder, SQ):
        for stage in before:
            x = stage.forward(x)
        sq = chain.coder
        hadamard_sq_encode(x, last.signs, sq.lo, sq.step, sq.bits, out=out)
    else:
        chain.coder.encode(chain.forward(x), out)


def _beside(stage: Stage, like: Any) -> Any:
    moved = copy.copy(stage)
    for name, tensor in stage.tensors().items():
        if tensor.dtype.name not in HOST:
            setattr(moved, name, beside(tensor, like))
    return moved
