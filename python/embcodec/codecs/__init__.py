"""Codecs: what a spec names, fitted, applied, searched and saved."""

from . import binary, cluster, coarse, levels, linear, pq, rotation, rq, scalar, sparse, trellis  # noqa: F401 (registers their stages)
from .base import Coder, NotFittedError, Tensor, Transform
from .pipeline import Codec, load
from .spec import parse_spec, register

__all__ = ["Codec", "Coder", "NotFittedError", "Tensor", "Transform", "load", "parse_spec", "register"]
