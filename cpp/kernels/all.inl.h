// Every family, compiled for the level whose simd header was included before, and the level's table.
#pragma once
#include "adc.inl.h"
#include "binary.inl.h"
#include "cluster.inl.h"
#include "flat.inl.h"
#include "half.inl.h"
#include "levels.inl.h"
#include "projection.inl.h"
#include "rotation.inl.h"
#include "rq.inl.h"
#include "scalar.inl.h"
#include "shape.inl.h"
#include "sparse.inl.h"
#include "sparse_scan.inl.h"
#include "trellis.inl.h"
#include "trellis_scan.inl.h"

namespace embcodec {
namespace EMB_ISA {

extern const Kernels kernels;
// clang-format off
const Kernels kernels = {
    sq_encode, sq_decode, sq_topk, rowsq_encode, rowsq_decode, rowsq_topk, half_encode, half_decode, flat_topk,
    levels_encode, levels_decode, levels_topk, shape_encode, shape_decode,
    bits_encode, bits_decode, hamming_topk, bits_topk,
    hadamard_rotate, project,
    codebook_pack, vq_encode, cluster_means, squared_errors, convert_rows,
    pq_encode, pq_decode, pq_tables, pq_topk,
    rq_pack, rq_encode, rq_decode,
    topk_encode, topk_decode, sparse_topk,
    trellis_encode, trellis_decode, trellis_topk,
    dot16,
};
// clang-format on

}  // namespace EMB_ISA
}  // namespace embcodec
