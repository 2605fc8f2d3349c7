// Randomised Hadamard rotation: a block a row, three stages of butterflies for each pass over it.
#include "../cpp/row/rotation.h"
#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int64_t kSharedFloats = 8192;  // a longer row is worked on where it goes to

// Butterflies of `stride`, 2 `stride` .. on R values that lie `stride` apart.
template <int R>
__device__ inline void butterflies(float* y, int64_t size, int64_t stride) {
  for (int64_t i = threadIdx.x; i < size / R; i += blockDim.x) {
    float* at = y + i / stride * R * stride + i % stride;
    float v[R];
    EMB_UNROLL for (int r = 0; r < R; ++r) v[r] = at[r * stride];
    EMB_UNROLL for (int step = 1; step < R; step *= 2) {
      EMB_UNROLL for (int r = 0; r < R; ++r) {
        if (r & step) continue;
        const float a = v[r], b = v[r + step];
        v[r] = a + b;
        v[r + step] = a - b;
      }
    }
    EMB_UNROLL for (int r = 0; r < R; ++r) at[r * stride] = v[r];
  }
}

// Rows of the Paley matrix, each from left to right.
template <int M, int ROW>
__device__ inline void paley_rows(const float* v, float* y, int64_t stride) {
  constexpr uint32_t bits = Paley<M>::rows[ROW];
  float sum = bits & 1 ? v[0] : -v[0];
  EMB_UNROLL for (int i = 1; i < M; ++i) sum = bits >> i & 1 ? sum + v[i] : sum - v[i];
  y[ROW * stride] = sum;
  if constexpr (ROW + 1 < M) paley_rows<M, ROW + 1>(v, y, stride);
}

template <int M>
__device__ inline void paley_step(float* y, int64_t block) {
  for (int64_t column = threadIdx.x; column < block; column += blockDim.x) {
    float v[M];
    EMB_UNROLL for (int i = 0; i < M; ++i) v[i] = y[i * block + column];
    paley_rows<M, 0>(v, y + column, block);
  }
}

template <int M>
__global__ void rotate_rows(Rows x, Rotation p, float* out, bool shared, Call call) {
  EMB_DYN_SHARED(float, memory);
  const int64_t row = blockIdx.x;
  float* y = shared ? memory : out + row * p.size;
  bool finite = true;
  for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) {
    const float v = j < x.d ? element(x, row, j) : 0.0f;
    finite &= v - v == 0.0f;
    y[j] = p.inverse ? v : v * p.signs[j];
  }
  if (!finite) refuse(call, row);
  const int64_t block = p.size / M;
  int64_t stride = 1;
  for (; 8 * stride <= block; stride *= 8) {
    __syncthreads();
    butterflies<8>(y, p.size, stride);
  }
  __syncthreads();
  if (4 * stride == block) butterflies<4>(y, p.size, stride);
  if (2 * stride == block) butterflies<2>(y, p.size, stride);
  __syncthreads();
  if (M > 1) paley_step<M>(y, block);
  __syncthreads();
  for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) {
    const float v = y[j] * p.scale;
    out[row * p.size + j] = p.inverse ? v * p.signs[j] : v;
  }
}

template <int M>
void launch_rotation(const Rows& x, const Rotation& p, float* out, const Call& call) {
  const bool shared = p.size <= kSharedFloats;
  const size_t bytes = shared ? static_cast<size_t>(p.size) * 4 : 0;
  EMB_LAUNCH((rotate_rows<M>), blocks_for(x.n, 1), p.size >= 8 * kBlock ? kBlock : kBlock / 2, bytes, call.stream, x, p,
             out, shared, call);
  check(cudaGetLastError());
}

}  // namespace

int64_t hadamard_rotate(const Rows& x, const Rotation& p, float* out, const Call& call) {
  if (x.n == 0) return 0;
  const int m = paley_order(p.size);
  if (m == 1) launch_rotation<1>(x, p, out, call);
  if (m == 12) launch_rotation<12>(x, p, out, call);
  if (m == 20) launch_rotation<20>(x, p, out, call);
  return 0;
}

}  // namespace cuda
}  // namespace embcodec
