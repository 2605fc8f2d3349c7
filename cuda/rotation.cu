// Randomised Hadamard rotation: a block a row, three stages of butterflies for each pass over it. What is rotated goes
// to memory as floats, or at once as codes.
#include "../cpp/row/rotation.h"
#include "../cpp/row/scalar.h"
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

// The rotated value of dimension j, where y holds what the butterflies left.
__device__ inline float rotated(const float* y, const Rotation& p, int64_t j) {
  const float v = y[j] * p.scale;
  return p.inverse ? v * p.signs[j] : v;
}

struct FloatsOut {
  float* out;
  __device__ bool operator()(const float* y, const Rotation& p, int64_t row) const {
    for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) out[row * p.size + j] = rotated(y, p, j);
    return true;
  }
};

// Whether all that was rotated is finite.
struct SqCodesOut {
  SqParams sq;
  CodesOut out;
  __device__ bool operator()(const float* y, const Rotation& p, int64_t row) const {
    bool finite = true;
    for (int64_t j = 8 * static_cast<int64_t>(threadIdx.x); j < p.size; j += 8 * static_cast<int64_t>(blockDim.x)) {
      const Place at = {row, j, static_cast<int>(p.size - j < 8 ? p.size - j : 8)};
      float values[8];
      EMB_UNROLL for (int i = 0; i < 8; ++i) {
        values[i] = i < at.count ? rotated(y, p, j + i) : 0.0f;
        finite &= values[i] - values[i] == 0.0f;
      }
      const float top = static_cast<float>((1 << sq.bits) - 1);
      const uint64_t word = pack8(values, at, sq.bits, [&](float value, int64_t, int64_t dimension) {
        return sq_code(value, sq.lo[dimension], inverse_step(sq.step[dimension]), top);
      });
      store_word(out.data + row * out.stride + j / 8 * sq.bits, word, (at.count * sq.bits + 7) / 8);
    }
    return finite;
  }
};

// rows: memory for all rotated rows, null where shared memory has room for one.
template <int M, class Write>
__global__ void rotate_rows(Rows x, Rotation p, float* rows, Write write, Call call) {
  EMB_DYN_SHARED(float, memory);
  const int64_t row = blockIdx.x;
  float* y = rows ? rows + row * p.size : memory;
  bool finite = true;
  for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) {
    const float v = j < x.d ? element(x, row, j) : 0.0f;
    finite &= v - v == 0.0f;
    y[j] = p.inverse ? v : v * p.signs[j];
  }
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
  finite &= write(y, p, row);
  if (!finite) refuse(call, row);
}

template <class Write>
int64_t launch_rotation(const Rows& x, const Rotation& p, float* rows, const Write& write, const Call& call) {
  const unsigned blocks = blocks_for(x.n, 1), threads = p.size >= 8 * kBlock ? kBlock : kBlock / 2;
  const size_t bytes = rows ? 0 : static_cast<size_t>(p.size) * 4;
  const int m = paley_order(p.size);
  if (m == 1) EMB_LAUNCH((rotate_rows<1, Write>), blocks, threads, bytes, call.stream, x, p, rows, write, call);
  if (m == 12) EMB_LAUNCH((rotate_rows<12, Write>), blocks, threads, bytes, call.stream, x, p, rows, write, call);
  if (m == 20) EMB_LAUNCH((rotate_rows<20, Write>), blocks, threads, bytes, call.stream, x, p, rows, write, call);
  check(cudaGetLastError());
  return 0;
}

}  // namespace

int64_t hadamard_rotate(const Rows& x, const Rotation& p, float* out, const Call& call) {
  if (x.n == 0) return 0;
  return launch_rotation(x, p, p.size > kSharedFloats ? out : nullptr, FloatsOut{out}, call);
}

int64_t hadamard_sq_encode(const Rows& x, const Rotation& p, const SqParams& sq, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  const bool shared = p.size <= kSharedFloats;
  if (!shared && !call.scratch) return 4 * x.n * p.size;
  return launch_rotation(x, p, shared ? nullptr : reinterpret_cast<float*>(call.scratch), SqCodesOut{sq, out}, call);
}

}  // namespace cuda
}  // namespace embcodec
