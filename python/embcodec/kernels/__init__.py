"""Kernels for embeddings: quantize, pack, rotate, encode, look up, scan, select.

Every function takes NumPy arrays, or arrays on a CUDA device, and changes none of them. Rows are
float32, float16, bfloat16 or float64 at any strides, read-only and memory-mapped ones too; they are converted
in registers.

Every function takes `out`, arrays to write to in place of new ones (C-contiguous, of the dtype and shape that
the function returns), `threads` and `isa`, the name of an instruction set out of `embcodec.available_isa()`.
Neither threads nor isa changes a byte of the result, except for the near-optimal assignments of `vq_encode`,
`pq_encode`, `kmeans_fit` and `pq_fit`, which may differ between instruction sets. The GIL is released
meanwhile.

Arrays of CuPy, tensors of torch on a CUDA device and what has `__cuda_array_interface__` or DLPack there
stay where they are, and so do the results (of other libraries than these two, as CuPy's); parameters may
come from the host. The work goes to `stream`. Nothing waits for it: what a kernel refuses there, a NaN or
a sparse index out of order, is raised by `embcodec.synchronize()`. Only `kmeans_fit` and `pq_fit` wait,
and raise at once.

A score that is not a number, after an overflow, counts as -inf.
"""

from embcodec._backends.cuda import device_count
from embcodec.kernels.binary import bits_decode, bits_encode, bits_topk, hamming_topk
from embcodec.kernels.cluster import kmeans_fit, vq_encode
from embcodec.kernels.levels import levels_decode, levels_encode, levels_topk, shape_decode, shape_encode
from embcodec.kernels.pq import pq_decode, pq_encode, pq_fit, pq_tables, pq_topk
from embcodec.kernels.projection import project
from embcodec.kernels.rotation import hadamard_rotate, hadamard_size, hadamard_sq_encode
from embcodec.kernels.rq import rq_beam, rq_decode, rq_encode, rq_products
from embcodec.kernels.scalar import (
    flat_topk,
    half_decode,
    half_encode,
    half_topk,
    rowsq_decode,
    rowsq_encode,
    rowsq_topk,
    sq_decode,
    sq_encode,
    sq_topk,
)
from embcodec.kernels.sparse import sparse_topk, topk_decode, topk_encode
from embcodec.kernels.trellis import trellis_decode, trellis_encode, trellis_topk

__all__ = [
    "bits_decode",
    "bits_encode",
    "bits_topk",
    "device_count",
    "flat_topk",
    "hadamard_rotate",
    "hadamard_size",
    "hadamard_sq_encode",
    "half_decode",
    "half_encode",
    "half_topk",
    "hamming_topk",
    "kmeans_fit",
    "levels_decode",
    "levels_encode",
    "levels_topk",
    "pq_decode",
    "pq_encode",
    "pq_fit",
    "pq_tables",
    "pq_topk",
    "project",
    "rowsq_decode",
    "rowsq_encode",
    "rowsq_topk",
    "rq_beam",
    "rq_decode",
    "rq_encode",
    "rq_products",
    "shape_decode",
    "shape_encode",
    "sparse_topk",
    "sq_decode",
    "sq_encode",
    "sq_topk",
    "topk_decode",
    "topk_encode",
    "trellis_decode",
    "trellis_encode",
    "trellis_topk",
    "vq_encode",
]
