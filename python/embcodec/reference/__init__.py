"""Every kernel in NumPy: the definition of what is right, and the registry that the tests and benchmarks
walk.

A reference function has the public kernel's name and arguments, without `out`, `threads` and `isa`, and `xp`:
the module of its arrays, NumPy or CuPy. Its arguments are taken as checked by `embcodec.kernels`.
"""

from embcodec.reference import binary, cluster, levels, pq, projection, rotation, rq, scalar, sparse, trellis
from embcodec.reference._common import DISORDER, NON_FINITE, NON_FINITE_CODES
from embcodec.reference._registry import REGISTRY, Kernel, bytes_touched, outputs

__all__ = [
    "DISORDER",
    "NON_FINITE",
    "NON_FINITE_CODES",
    "REGISTRY",
    "Kernel",
    "binary",
    "bytes_touched",
    "cluster",
    "levels",
    "outputs",
    "pq",
    "projection",
    "rotation",
    "rq",
    "scalar",
    "sparse",
    "trellis",
]
