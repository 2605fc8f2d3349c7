// The ADC scan for many queries. Tensor cores nominate rows: a tile of codes, decoded to bfloat16 with each subspace in
// whole eights of columns, is multiplied with a tile of queries. A row whose product the error cannot lift to the
// query's floor is done with; tables score the others. So the results are those of tables alone.
#pragma once
#include "tensor.cuh"
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int64_t kTensorQueries = 64;  // fewer are left to tables
constexpr int kBlockTile = 128;         // rows, and queries, of a block
constexpr int kEights = 4;              // eights of columns at a time
constexpr int kFills = kEights * kBlockTile / kBlock;
constexpr int kWarpTiles = 4;  // of 16 rows of a warp, and of 8 queries
constexpr int kWarpsAcross = kBlockTile / (8 * kWarpTiles);
constexpr int kNominators = 8;  // blocks of a query that score its nominees
static_assert(kBlockTile / (16 * kWarpTiles) * kWarpsAcross * 32 == kBlock && kEights == 4, "a lane has an eight");

__device__ inline int bits_of(const Pq& p) { return p.ksub == 256 ? 8 : 4; }
inline int64_t eights_of(const Pq& p) { return (p.dsub + 7) / 8; }

// Vectors of d dimensions as bfloat16, each in whole eights with zeros at the end. A thread an eight.
__global__ void round_vectors(const float* vectors, int64_t count, int64_t d, uint4* out) {
  const Place at = place_of(thread_number(), d);
  if (at.row >= count) return;
  uint32_t words[4];
  EMB_UNROLL for (int i = 0; i < 4; ++i) {
    float v[2];
    EMB_UNROLL for (int j = 0; j < 2; ++j) v[j] = 2 * i + j < at.count ? vectors[at.row * d + at.j + 2 * i + j] : 0.0f;
    words[i] = take_two(v);
  }
  out[thread_number()] = {words[0], words[1], words[2], words[3]};
}

// What nomination needs beside the codes: eights of the codewords (m, ksub, eights) and of the group's queries
// (count, m, eights), and the codewords' squared lengths.
struct Rounded {
  const uint4 *codewords, *queries;
  const float* norms;
  int eights;
};

// Lengths that neither overflow nor underflow when multiplied.
__device__ inline bool in_range(float square) { return square > 1e-20f && square < 1e36f; }

// A product p of query and row nominates the row unless p + lift |x| < need + half, for lift and need of the query,
// half of the row. NaN, where the error has no bound or the query no floor yet, nominates.
//
// Rounding to bfloat16 changes a component by 2^-8 of it at most, and so, by Cauchy-Schwarz, a product by less than
// (2^-7 + 2^-16) |q| |x|. kRounding is a hundredth more, for the arithmetic here. Summing C columns, each term cut off
// at 2^-23 of the largest, loses less than C 2^-22 |q| |x|; the exact score, with at most 9/8 C sums in float32, half
// of that. `units`, C 2^-21, is more than both, and covers what sums lose of |q|^2 + |x|^2, which l2 takes from twice
// the product.
constexpr float kRounding = 7.9e-3f;

struct QueryBound {
  float lift, need;
};
__device__ inline QueryBound bound_of(const Group& group, int64_t query, float units) {
  if (query >= group.count) return {0.0f, __builtin_inff()};
  const float square = group.squares[query], error = kRounding + units, floor = key_score(group.floor[query]);
  const float length = in_range(square) ? __builtin_sqrtf(square) : __builtin_nanf("");
  if (group.metric == Metric::ip) return {error * length, floor};
  if (group.metric == Metric::cosine) return {(error - floor) * length, 0.0f};
  return {error * length, 0.5f * (floor + (1.0f - units) * square)};
}

__global__ void __launch_bounds__(kBlock) nominate_rows(Codes codes, Pq p, Rounded rounded, Group group) {
  EMB_SHARED(uint4, rows, [2][kBlockTile * kEights]);  // one to fill while the other is read
  EMB_SHARED(uint4, queries, [2][kBlockTile * kEights]);
  EMB_SHARED(float, length, [kBlockTile]);
  EMB_SHARED(float, half, [kBlockTile]);
  EMB_SHARED(QueryBound, bound, [kBlockTile]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int all = static_cast<int>(p.m) * rounded.eights;
  const int warp_row = warp / kWarpsAcross * 16 * kWarpTiles, warp_query = warp % kWarpsAcross * 8 * kWarpTiles;
  const int64_t first_row = group.rows.begin + static_cast<int64_t>(blockIdx.x) * kBlockTile;
  const int64_t first_query = static_cast<int64_t>(blockIdx.y) * kBlockTile;
  const float units = static_cast<float>(8 * all) * 4.76837158203125e-7f;
  if (thread < kBlockTile) bound[thread] = bound_of(group, first_query + thread, units);

  float sum[kWarpTiles][kWarpTiles][4] = {}, square[kFills] = {};
  EMB_ROLLED for (int first = 0; first < all; first += kEights) {
    const int buffer = first / kEights % 2, e = first + thread % kEights;
    const int s = e / rounded.eights, part = e % rounded.eights;
    EMB_UNROLL for (int i = 0; i < kFills; ++i) {
      const int at = i * kBlock + thread;
      const int64_t row = first_row + at / kEights, query = first_query + at / kEights;
      uint4 x = {}, q = {};
      if (e < all && row < group.rows.end) {
        const int codeword =
            s * static_cast<int>(p.ksub) + static_cast<int>(code_at(codes.data + row * codes.stride, s, bits_of(p)));
        x = rounded.codewords[codeword * rounded.eights + part];
        if (part == 0) square[i] += rounded.norms[codeword];
      }
      if (e < all && query < group.count) q = rounded.queries[query * all + e];
      rows[buffer][at] = x;
      queries[buffer][at] = q;
    }
    __syncthreads();
    // A lane multiplies eight neighbours of 32 columns: their order is free where both matrices have the same.
    const uint4 *x = rows[buffer] + kEights * warp_row + lane, *q = queries[buffer] + kEights * warp_query + lane;
    EMB_UNROLL for (int i = 0; i < kWarpTiles; ++i) {
      const uint4 upper = x[64 * i], lower = x[64 * i + 32];
      const uint32_t a[2][4] = {{upper.x, lower.x, upper.y, lower.y}, {upper.z, lower.z, upper.w, lower.w}};
      EMB_UNROLL for (int j = 0; j < kWarpTiles; ++j) {
        const uint4 column = q[32 * j];
        const uint32_t b[2][2] = {{column.x, column.y}, {column.z, column.w}};
        EMB_UNROLL for (int k = 0; k < 2; ++k) mma_m16n8k16(sum[i][j], a[k], b[k]);
      }
    }
  }

  EMB_UNROLL for (int i = 0; i < kFills; ++i) {
    const float total = sum_of_four(square[i]);
    if (lane % 4 != 0) continue;
    const int row = (i * kBlock + thread) / kEights;
    length[row] = in_range(total) ? __builtin_sqrtf(total) : __builtin_nanf("");
    half[row] = group.metric == Metric::l2 ? 0.5f * (1.0f - units) * total : 0.0f;
  }
  __syncthreads();
  EMB_UNROLL for (int i = 0; i < kWarpTiles; ++i) {
    const auto row_of = [&](int k) { return warp_row + 16 * i + lane / 4 + k / 2 % 2 * 8; };
    const auto query_of = [&](int k) { return warp_query + k / 4 * 8 + lane % 4 * 2 + k % 2; };
    uint32_t nominated = 0;
    EMB_UNROLL for (int k = 0; k < 4 * kWarpTiles; ++k) {
      const int row = row_of(k);
      const QueryBound b = bound[query_of(k)];
      const bool low = __builtin_fmaf(b.lift, length[row], sum[i][k / 4][k % 4]) < b.need + half[row];
      nominated |= (low ? 0u : 1u) << k;
    }
    EMB_ROLLED for (; nominated; nominated &= nominated - 1) {
      const int k = __ffs(static_cast<int>(nominated)) - 1;
      const int64_t row = first_row + row_of(k), query = first_query + query_of(k);
      if (query >= group.count || !group.allowed(row)) continue;
      group.added[query * group.capacity + atomicAdd(&group.added_count[query], 1u)] = static_cast<uint64_t>(row);
    }
  }
}

// A thread a nominee, whose key takes its place. Keys below the floor do no harm: keep_best_rows has k better ones.
__global__ void score_nominees(Codes codes, Pq p, const float* tables, const float* norms, Group group) {
  const int64_t query = blockIdx.y, count = group.added_count[query];
  uint64_t* added = group.added + query * group.capacity;
  const float* table = tables + query * p.m * p.ksub;
  EMB_ROLLED for (int64_t i = thread_number(); i < count; i += static_cast<int64_t>(gridDim.x) * kBlock) {
    const int64_t row = static_cast<int64_t>(added[i]);
    float sum = 0.0f, square = 0.0f;
    for (int64_t s = 0; s < p.m; ++s) {
      const int64_t entry = s * p.ksub + code_at(codes.data + row * codes.stride, s, bits_of(p));
      sum += table[entry];
      if (group.metric == Metric::cosine) square += norms[entry];
    }
    const float length = __builtin_sqrtf(group.squares[query]);
    added[i] = order_key(comparable(finish_score(sum, group.metric, length, __builtin_sqrtf(square))), row);
  }
}

void launch_round(const float* vectors, int64_t count, int64_t d, uint4* out, const Call& call) {
  EMB_LAUNCH((round_vectors), blocks_for(count * ((d + 7) / 8), kBlock), kBlock, 0, call.stream, vectors, count, d,
             out);
  check(cudaGetLastError());
}

void launch_nominated(const Codes& codes, const Pq& p, const Rounded& rounded, const float* tables, const Group& group,
                      const Call& call) {
  const int64_t rows = group.rows.end - group.rows.begin;
  const dim3 tiles(blocks_for(rows, kBlockTile), blocks_for(group.count, kBlockTile));
  EMB_LAUNCH((nominate_rows), tiles, kBlock, 0, call.stream, codes, p, rounded, group);
  check(cudaGetLastError());
  const dim3 nominees(kNominators, static_cast<unsigned>(group.count));
  EMB_LAUNCH((score_nominees), nominees, kBlock, 0, call.stream, codes, p, tables, rounded.norms, group);
  check(cudaGetLastError());
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
