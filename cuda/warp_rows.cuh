// A row in the registers of a warp, V dimensions side by side in a lane and the next V in the next lane: the lane's
// value number i is that of dimension (i / V * 32 + lane) * V + i % V.
#pragma once
#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kRowWarps = 4;  // at most, of a block; each takes row after row

// What is read or written at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Vector {
  T at[V];
};

// Whether the rows can be read from where they are.
template <int V>
bool are_vectors(const Rows& x) {
  constexpr int64_t kBytes = 4 * V;
  return x.dtype == Dtype::f32 && x.col_stride == 4 && x.d % V == 0 && x.row_stride % kBytes == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % kBytes == 0;
}

template <int V, int COUNT>
__device__ inline void load_vectors(const float* from, int d, float fill, float (&v)[COUNT]) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  EMB_UNROLL for (int u = 0; u < COUNT / V; ++u) {
    const int at = u * 32 + lane;
    Vector<float, V> some;
    EMB_UNROLL for (int c = 0; c < V; ++c) some.at[c] = fill;
    if (at * V < d) some = reinterpret_cast<const Vector<float, V>*>(from)[at];
    EMB_UNROLL for (int c = 0; c < V; ++c) v[u * V + c] = some.at[c];
  }
}

// A row of at most 32 COUNT dimensions, `fill` behind them. `by_way` is memory of the warp for 32 COUNT floats, which
// rows that are no vectors pass through.
template <int V, int COUNT>
__device__ inline void load_row(const Rows& x, bool vectors, int64_t row, float fill, float* by_way,
                                float (&v)[COUNT]) {
  const int d = static_cast<int>(x.d), lane = static_cast<int>(threadIdx.x % 32);
  if (vectors) {
    load_vectors<V>(reinterpret_cast<const float*>(x.data + row * x.row_stride), d, fill, v);
  } else {
    EMB_ROLLED for (int j = lane; j < d; j += 32) by_way[j] = element(x, row, j);
    __syncwarp(kAllLanes);
    load_vectors<V>(by_way, d, fill, v);
    EMB_UNROLL for (int i = 0; i < COUNT; ++i) v[i] = (i / V * 32 + lane) * V + i % V < d ? v[i] : fill;
    __syncwarp(kAllLanes);
  }
}

template <int COUNT>
__device__ inline bool are_finite(const float (&v)[COUNT]) {
  float poison = 0.0f;  // 0 times a NaN or an infinity is a NaN, which stays
  EMB_UNROLL for (int i = 0; i < COUNT; ++i) poison = __builtin_fmaf(v[i], 0.0f, poison);
  return poison == 0.0f;
}

// So that ptxas neither spills nor takes more registers than leave room for the warps that hide latency.
constexpr int blocks_at_once(int count) { return 65536 / (32 * kRowWarps) / (count * 3 / 2 + 64); }

// Warps of a block that have `each` bytes besides what the block has.
inline unsigned row_warps(size_t block, size_t each) {
  const size_t fit = each ? ((48 << 10) - block) / each : kRowWarps;
  return static_cast<unsigned>(fit < kRowWarps ? fit : kRowWarps);
}
// Many times as many blocks as run at once, so that all end at about the same time.
inline unsigned row_blocks(int64_t n, unsigned warps) {
  constexpr unsigned kMost = 8192;
  return n < int64_t{kMost} * warps ? blocks_for(n, warps) : kMost;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
