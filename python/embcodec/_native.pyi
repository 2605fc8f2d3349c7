"""The compiled kernels: how `_backends/native.py` calls them.

Every kernel takes its inputs in the order of the public function in `embcodec.kernels`, then its
preallocated outputs (`*_out`, C-contiguous, written in place), then `threads` (0: the default number) and
`isa` (-1: the default level, else an index into `levels()`). All arguments are positional. Shapes, dtypes
and ranges were checked by `embcodec.kernels`; the binding raises only for what it takes a pass over the
data to see:

* `ValueError("sq_encode: x has a non-finite value in row 12345")`, the lowest such row after conversion to
  float32 (a float64 beyond its range is one), in every kernel with an `x`;
* `ValueError("topk_decode: indices must ascend and be below 384, row 12 does not")`, the lowest such row,
  in `topk_decode` and `sparse_topk`.

Arrays:

* `x` (n, d): any strides, also zero and negative; elements aligned. `dtype` says what it holds: 0 float32,
  1 float16, 2 bfloat16 (passed as a uint16 view), 3 float64.
* `codes` (n, code_size) uint8, `indices` and `values` (n, k): any strides; copied where the items of a row
  are not contiguous or not aligned.
* everything else (parameters, `queries`, `mask`) is C-contiguous and of the very dtype, else a TypeError.
  `mask` is bool (n,), True where the row may be returned, or None.

`metric` is 0 ip, 1 l2, 2 cosine. `order` is 0 msb, 1 lsb. A score that is NaN (infinity minus infinity
after an overflow) becomes -inf; a row of score -inf still comes before the filler (id -1, score -inf).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_Any = NDArray[Any]
_F32 = NDArray[np.float32]
_U8 = NDArray[np.uint8]
_I8 = NDArray[np.int8]
_I32 = NDArray[np.int32]
_I64 = NDArray[np.int64]
_Bools = NDArray[np.bool_]

# levels, in ladder order: scalar, avx2, avx512, avx512_icl, avx512_amx, neon, as far as compiled
def levels() -> list[str]: ...
def available_levels() -> list[str]: ...
def default_level() -> str: ...
def set_default_level(level: str, /) -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: int, /) -> None: ...

# arguments, before they are checked: whether one is a numpy.ndarray, no subclass, of the very dtype and of a
# shape in which an integer is that length and a name any but 0; C-contiguous, aligned, finite float32
def is_array(value: object, dtype: np.dtype[Any], shape: tuple[int | str, ...], /) -> bool: ...
def is_finite_array(value: object, shape: tuple[int | str, ...], /) -> bool: ...

# scalar: lo, step float32 (d,); code_size = ceil(d * bits / 8)
def sq_encode(
    x: _Any, dtype: int, lo: _F32, step: _F32, bits: int, codes_out: _U8, threads: int, isa: int, /
) -> None: ...
def sq_decode(
    codes: _U8, lo: _F32, step: _F32, bits: int, x_out: _F32, threads: int, isa: int, /
) -> None: ...
def sq_topk(
    codes: _U8,
    lo: _F32,
    step: _F32,
    queries: _F32,
    k: int,
    bits: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# lo = min(row) + 0.0f and hi = max(row) + 0.0f, so that neither is -0.0; scale, offset float32 (n,)
def rowsq_encode(
    x: _Any,
    dtype: int,
    bits: int,
    codes_out: _U8,
    scale_out: _F32,
    offset_out: _F32,
    threads: int,
    isa: int,
    /,
) -> None: ...
def rowsq_decode(
    codes: _U8, scale: _F32, offset: _F32, d: int, bits: int, x_out: _F32, threads: int, isa: int, /
) -> None: ...
def rowsq_topk(
    codes: _U8,
    scale: _F32,
    offset: _F32,
    queries: _F32,
    k: int,
    bits: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# half: 1 float16, 2 bfloat16; code_size = 2 * d; half_topk refuses a row as flat_topk does
def half_encode(x: _Any, dtype: int, half: int, codes_out: _U8, threads: int, isa: int, /) -> None: ...
def half_decode(codes: _U8, half: int, x_out: _F32, threads: int, isa: int, /) -> None: ...
def half_topk(
    codes: _U8,
    queries: _F32,
    k: int,
    half: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# A scan cannot afford a look at every value: only a row whose score is not finite is looked at for non-
# finite values. Rows that the mask leaves out are not looked at.
def flat_topk(
    x: _Any,
    dtype: int,
    queries: _F32,
    k: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# levels: levels float32 (2**bits,), ascending, bits 1 to 8; step float32 (d,); code_size = ceil(d*bits/8);
# factor, shift float32 (n,), centroids float32 (c, d), centroid int32 (n,), direction float32 (d,), or None
def levels_encode(
    x: _Any, dtype: int, levels: _F32, step: _F32, codes_out: _U8, threads: int, isa: int, /
) -> None: ...
def levels_decode(codes: _U8, levels: _F32, step: _F32, x_out: _F32, threads: int, isa: int, /) -> None: ...
def levels_topk(
    codes: _U8,
    levels: _F32,
    step: _F32,
    queries: _F32,
    k: int,
    metric: int,
    mask: _Bools | None,
    factor: NDArray[Any] | None,
    centroids: _F32 | None,
    centroid: _I32 | None,
    shift: NDArray[Any] | None,
    direction: _F32 | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# direction float32 (d,), scales (s,); code_size = ceil(d * bits / 8) + 3: shift int8, factor float16
def shape_encode(
    x: _Any,
    dtype: int,
    levels: _F32,
    step: _F32,
    direction: _F32,
    scales: _F32,
    codes_out: _U8,
    threads: int,
    isa: int,
    /,
) -> None: ...
def shape_decode(
    codes: _U8, levels: _F32, step: _F32, direction: _F32, x_out: _F32, threads: int, isa: int, /
) -> None: ...

# binary: threshold, low, high float32 (d,); code_size = ceil(d / 8), the bits that pad a row are 0
def bits_encode(
    x: _Any, dtype: int, threshold: _F32, order: int, codes_out: _U8, threads: int, isa: int, /
) -> None: ...
def bits_decode(
    codes: _U8, d: int, low: _F32, high: _F32, order: int, x_out: _F32, threads: int, isa: int, /
) -> None: ...
def hamming_topk(
    codes: _U8,
    queries: _U8,
    k: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...
def bits_topk(
    codes: _U8,
    queries: _F32,
    k: int,
    low: _F32,
    high: _F32,
    order: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# rotation: x (n, d), signs (size,) of +1 and -1, size an allowed one >= d. Either way x is padded with
# +0.0 to size first, and the padding is multiplied by signs like the rest (so it may become -0.0).
# H12 and H20, by row, bit j set where column j is +1 (Paley's second construction, symmetric):
# FFD 554 C37 691 0DF A45 373 919 DC3 469 70F 1A5
# FFFFD 55554 0C3F7 A6951 30CDF 9A645 C307F 69A15 0FD0F A54A5
# 33733 99199 C1FC3 68569 F430F 529A5 DCC33 46699 7F0C3 15A69
def hadamard_rotate(
    x: _Any, dtype: int, signs: _F32, inverse: bool, x_out: _F32, threads: int, isa: int, /
) -> None: ...

# projection: matrix (d, c), mean (d,). x - mean in float32, then from j = 0 on y = fma(x[j], matrix[j], y), y
# being +0.0 at first.
def project(
    x: _Any, dtype: int, matrix: _F32, mean: _F32 | None, y_out: _F32, threads: int, isa: int, /
) -> None: ...

# cluster: codebook float32 (k, d). kmeans_fit returns the inertia, a float64 sum of (x - c)^2 taken
# directly. Initial codewords are `init` (k, d), or rows perm[0:k] of a partial Fisher-Yates shuffle: perm =
# 0..n-1; for i in 0..k-1: j = i + next() % (n - i), swap perm[i] and perm[j]; next() is splitmix64 started at
# `seed` (s += 0x9E3779B97F4A7C15; z = s; z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) *
# 0x94D049BB133111EB; z ^ z >> 31). Then up to `iterations` times: assign; stop if no id changed; replace
# each codeword by the mean of its rows (float64 in row order, then float32); each empty cluster, by
# ascending id, becomes the not yet taken row farthest from the codeword it was assigned to (before this
# update; ties to the lower row). Unless it stopped, rows are assigned once more at the end.
def kmeans_fit(
    x: _Any,
    dtype: int,
    k: int,
    iterations: int,
    seed: int,
    init: _F32 | None,
    codebook_out: _F32,
    ids_out: _I32,
    threads: int,
    isa: int,
    /,
) -> float: ...
def vq_encode(x: _Any, dtype: int, codebook: _F32, ids_out: _I32, threads: int, isa: int, /) -> None: ...

# pq: codebooks float32 (m, ksub, dsub), ksub 16 or 256, code_size = ceil(m * bits / 8). pq_fit is
# kmeans_fit of subspace i with seed + i (modulo 2**64). pq_tables of cosine are those of ip; |q| in
# pq_topk is sqrt(dot16(q, q)). centroids (c, m * dsub), for ip alone; centroid as in levels_topk.
def pq_fit(
    x: _Any,
    dtype: int,
    m: int,
    bits: int,
    iterations: int,
    seed: int,
    codebooks_out: _F32,
    threads: int,
    isa: int,
    /,
) -> None: ...
def pq_encode(x: _Any, dtype: int, codebooks: _F32, codes_out: _U8, threads: int, isa: int, /) -> None: ...
def pq_decode(codes: _U8, codebooks: _F32, x_out: _F32, threads: int, isa: int, /) -> None: ...
def pq_tables(
    queries: _F32, codebooks: _F32, metric: int, tables_out: _F32, threads: int, isa: int, /
) -> None: ...
def pq_topk(
    codes: _U8,
    codebooks: _F32,
    queries: _F32,
    k: int,
    metric: int,
    mask: _Bools | None,
    centroids: _F32 | None,
    centroid: _I32 | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# rq: codebooks float32 (m, 256, d), products (m * (m - 1) / 2, 256, 256). A codeword c of stage s behind a
# path has the value ((dot16(c, c) * 0.5 - project(x, c)) + its products with the path's codewords in order) +
# the path's own value, which is 0 at first. The next paths are those of the least values, NaN as infinity,
# then of the least path * 256 + codeword. rq_decode adds codewords in order of stages.
def rq_encode(
    x: _Any, dtype: int, codebooks: _F32, products: _F32, beam: int, codes_out: _U8, threads: int, isa: int, /
) -> None: ...
def rq_beam(
    x: _Any, dtype: int, codebooks: _F32, products: _F32, beam: int, codes_out: _U8, threads: int, isa: int, /
) -> None: ...
def rq_decode(codes: _U8, codebooks: _F32, x_out: _F32, threads: int, isa: int, /) -> None: ...

# sparse: indices uint16 where d <= 65536, else uint32; in each row strictly ascending and below d. values
# float32. d is that of x_out and of queries. l2 is -((qq - 2*ip) + vv).
def topk_encode(
    x: _Any, dtype: int, k: int, indices_out: _Any, values_out: _F32, threads: int, isa: int, /
) -> None: ...
def topk_decode(indices: _Any, values: _F32, d: int, x_out: _F32, threads: int, isa: int, /) -> None: ...
def sparse_topk(
    indices: _Any,
    values: _F32,
    queries: _F32,
    k: int,
    metric: int,
    mask: _Bools | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...

# trellis: codebooks int8 (8, 128); step, weight float32 (d,); rates uint8 (d,); factors float32 (256,),
# centroids float32 (c, d) and centroid int32 (n,), or None
def trellis_encode(
    x: _Any,
    dtype: int,
    codebooks: _I8,
    step: _F32,
    rates: _U8,
    weight: _F32,
    codes_out: _U8,
    threads: int,
    isa: int,
    /,
) -> None: ...
def trellis_decode(
    codes: _U8,
    codebooks: _I8,
    step: _F32,
    rates: _U8,
    factors: _F32 | None,
    x_out: _F32,
    threads: int,
    isa: int,
    /,
) -> None: ...
def trellis_topk(
    codes: _U8,
    codebooks: _I8,
    step: _F32,
    rates: _U8,
    queries: _F32,
    k: int,
    metric: int,
    mask: _Bools | None,
    factors: _F32 | None,
    centroids: _F32 | None,
    centroid: _I32 | _U8 | None,
    scores_out: _F32,
    ids_out: _I64,
    threads: int,
    isa: int,
    /,
) -> None: ...
