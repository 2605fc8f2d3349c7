// Randomised Hadamard rotation: a warp a row, which stays in its registers; or, for rows too long or too short for
// that, a block a row, three stages of butterflies for each pass over it. What is rotated goes to memory as floats, or
// at once as codes.
#include "../cpp/row/pack.h"
#include "../cpp/row/rotation.h"
#include "../cpp/row/scalar.h"
#include "warp_rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int64_t kSharedFloats = 8192;  // a longer row is worked on where it goes to
constexpr int kRegisterFloats = 3072;    // the longest row that a warp holds

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
  static constexpr bool kMayOverflow = true;  // to an infinity, which is what then goes out
  static constexpr int kTables = 0, kCodes = 0;
  float* out;

  __device__ void fill(float*, int) const {}
  template <int V, int COUNT>
  __device__ void store(const float (&v)[COUNT], int64_t row, const float*, uint8_t*) const {
    const int lane = static_cast<int>(threadIdx.x % 32);
    float* to = out + row * (32 * COUNT) + lane * V;
    if (aligned<Vector<float, V>>(to)) {
      EMB_UNROLL for (int u = 0; u < COUNT / V; ++u) {
        Vector<float, V> some;
        EMB_UNROLL for (int c = 0; c < V; ++c) some.at[c] = v[u * V + c];
        *reinterpret_cast<Vector<float, V>*>(to + u * 32 * V) = some;
      }
    } else {
      EMB_UNROLL for (int i = 0; i < COUNT; ++i) to[i / V * 32 * V + i % V] = v[i];
    }
  }

  __device__ bool operator()(const float* y, const Rotation& p, int64_t row) const {
    for (int64_t j = threadIdx.x; j < p.size; j += blockDim.x) out[row * p.size + j] = rotated(y, p, j);
    return true;
  }
};

struct SqCodesOut {
  static constexpr bool kMayOverflow = false;
  static constexpr int kTables = 2, kCodes = 1;  // for each dimension: floats of a block, bytes of each warp
  SqParams sq;
  CodesOut out;

  __device__ float top() const { return static_cast<float>((1 << sq.bits) - 1); }
  __device__ void fill(float* tables, int size) const {
    for (int j = static_cast<int>(threadIdx.x); j < size; j += static_cast<int>(blockDim.x)) {
      tables[j] = sq.lo[j];
      tables[size + j] = inverse_step(sq.step[j]);
    }
  }
  // A code for each byte of `codes`, from which a lane then takes eight to pack them.
  template <int V, int COUNT>
  __device__ void store(const float (&v)[COUNT], int64_t row, const float* tables, uint8_t* codes) const {
    using Floats = Vector<float, V>;
    const int lane = static_cast<int>(threadIdx.x % 32);
    const Floats* lo = reinterpret_cast<const Floats*>(tables) + lane;
    const Floats* inverse = lo + 32 * COUNT / V;
    Vector<uint8_t, V> some[COUNT / V];  // all, before the first store: what is read behind it would have to wait
    EMB_UNROLL for (int u = 0; u < COUNT / V; ++u) {
      const Floats low = lo[u * 32], factor = inverse[u * 32];
      EMB_UNROLL for (int c = 0; c < V; ++c) some[u].at[c] = code(v[u * V + c], low.at[c], factor.at[c]);
    }
    EMB_UNROLL for (int u = 0; u < COUNT / V; ++u) reinterpret_cast<Vector<uint8_t, V>*>(codes)[u * 32 + lane] =
        some[u];
    __syncwarp(kAllLanes);
    EMB_UNROLL for (int i = 0; i < COUNT; i += 8) {
      const int unit = i * 4 + lane;
      if (unit >= 4 * COUNT) break;
      uint64_t word = reinterpret_cast<const uint64_t*>(codes)[unit];
      word = sq.bits == 8 ? word : sq.bits == 6 ? gather8<6>(word) : gather8<4>(word);
      store_word(out.data + row * out.stride + unit * sq.bits, word, sq.bits);
    }
    __syncwarp(kAllLanes);
  }
  // sq_code, with a sum that rounds to a whole number as rintf does, in a fraction of the time.
  __device__ uint8_t code(float x, float lo, float inverse) const {
    const float scaled = (x - lo) * inverse;
    return static_cast<uint8_t>(bits_of_f32(__builtin_fminf(__builtin_fmaxf(scaled, 0.0f), top()) + 8388608.0f));
  }

  // Whether all that was rotated is finite.
  __device__ bool operator()(const float* y, const Rotation& p, int64_t row) const {
    bool finite = true;
    for (int64_t j = 8 * static_cast<int64_t>(threadIdx.x); j < p.size; j += 8 * static_cast<int64_t>(blockDim.x)) {
      const Place at = {row, j, static_cast<int>(p.size - j < 8 ? p.size - j : 8)};
      float values[8];
      EMB_UNROLL for (int i = 0; i < 8; ++i) {
        values[i] = i < at.count ? rotated(y, p, j + i) : 0.0f;
        finite &= values[i] - values[i] == 0.0f;
      }
      float lo[8], step[8];
      load_floats(sq.lo + j, at.count, lo);
      load_floats(sq.step + j, at.count, step);
      const uint64_t word =
          pack8(at.count, sq.bits, [&](int i) { return sq_code(values[i], lo[i], inverse_step(step[i]), top()); });
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

// M blocks of BLOCK values as load_row has them: a lane has as many of each.
template <int M, int BLOCK>
struct Held {
  static constexpr int kCount = M * BLOCK / 32, kOfBlock = BLOCK / 32, kVector = kOfBlock < 4 ? kOfBlock : 4;
  float v[kCount];

  // Butterflies of values that a lane has `step` apart.
  __device__ void within_lanes(int step) {
    EMB_UNROLL for (int i = 0; i < kCount / 2; ++i) {
      const int at = i / step * 2 * step + i % step;
      const float a = v[at], b = v[at + step];
      v[at] = a + b;
      v[at + step] = a - b;
    }
  }
  // A product with 1 or -1 is exact, so that this is a sum or a difference.
  __device__ void between_lanes(int flip) {
    const float sign = threadIdx.x & flip ? -1.0f : 1.0f;
    EMB_UNROLL for (int i = 0; i < kCount; ++i) v[i] =
        __builtin_fmaf(v[i], sign, __shfl_xor_sync(kAllLanes, v[i], flip));
  }
  __device__ void rotate() {
    EMB_UNROLL for (int step = 1; step < kVector; step *= 2) within_lanes(step);
    EMB_UNROLL for (int flip = 1; flip < 32; flip *= 2) between_lanes(flip);
    EMB_UNROLL for (int step = kVector; step < kOfBlock; step *= 2) within_lanes(step);
    if constexpr (M > 1) {
      EMB_UNROLL for (int column = 0; column < kOfBlock; ++column) {
        float of_blocks[M];
        EMB_UNROLL for (int i = 0; i < M; ++i) of_blocks[i] = v[i * kOfBlock + column];
        paley_rows<M, 0>(of_blocks, v + column, kOfBlock);
      }
    }
  }
  __device__ void multiply(const float* factors) {
    const auto* some = reinterpret_cast<const Vector<float, kVector>*>(factors) + threadIdx.x % 32;
    EMB_UNROLL for (int i = 0; i < kCount; ++i) v[i] *= some[i / kVector * 32].at[i % kVector];
  }
  __device__ void multiply(float factor) { EMB_UNROLL for (int i = 0; i < kCount; ++i) v[i] *= factor; }
};

// Whether those dimensions of a row are finite that this lane looks at.
__device__ inline bool finite_row(const Rows& x, int64_t row) {
  bool finite = true;
  EMB_ROLLED for (int64_t j = threadIdx.x % 32; j < x.d; j += 32) {
    const float v = element(x, row, j);
    finite &= v - v == 0.0f;
  }
  return finite;
}

template <int M, int BLOCK, class Write>
__global__ void __launch_bounds__(32 * kRowWarps, blocks_at_once(M* BLOCK / 32))
    rotate_in_registers(Rows x, bool vectors, Rotation p, Write write, Call call) {
  constexpr int kSize = M * BLOCK;
  EMB_DYN_SHARED(float, signs);
  float* tables = signs + kSize;
  uint8_t* own = reinterpret_cast<uint8_t*>(tables + Write::kTables * kSize);
  own += threadIdx.x / 32 * (vectors ? Write::kCodes : 4) * kSize;
  for (unsigned j = threadIdx.x; j < kSize; j += blockDim.x) signs[j] = p.signs[j];
  write.fill(tables, kSize);
  __syncthreads();
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x / 32;
  EMB_ROLLED for (int64_t row = thread_number() / 32; row < x.n; row += step) {
    Held<M, BLOCK> held;
    load_row<Held<M, BLOCK>::kVector>(x, vectors, row, 0.0f, reinterpret_cast<float*>(own), held.v);
    if (!p.inverse) held.multiply(signs);
    held.rotate();
    held.multiply(p.scale);
    if (p.inverse) held.multiply(signs);
    // What is not finite in a row becomes so in all that is rotated; an overflow does in some.
    if (!are_finite(held.v) && !(Write::kMayOverflow && finite_row(x, row))) refuse(call, row);
    write.template store<Held<M, BLOCK>::kVector>(held.v, row, tables, own);
  }
}

// Whether there is a kernel for rows of this size.
template <int M, int BLOCK, class Write>
bool launch_in_registers(const Rows& x, const Rotation& p, const Write& write, const Call& call) {
  if (p.size == M * BLOCK) {
    const bool vectors = are_vectors<Held<M, BLOCK>::kVector>(x);
    constexpr size_t kOfBlock = M * BLOCK * 4 * (1 + Write::kTables);
    const size_t each = M * BLOCK * (vectors ? Write::kCodes : 4);
    const unsigned warps = row_warps(kOfBlock, each);
    EMB_LAUNCH((rotate_in_registers<M, BLOCK, Write>), row_blocks(x.n, warps), 32 * warps, kOfBlock + warps * each,
               call.stream, x, vectors, p, write, call);
    check(cudaGetLastError());
    return true;
  }
  if constexpr (2 * M * BLOCK <= kRegisterFloats) return launch_in_registers<M, 2 * BLOCK>(x, p, write, call);
  return false;
}

template <class Write>
int64_t launch_rotation(const Rows& x, const Rotation& p, float* rows, const Write& write, const Call& call) {
  if (launch_in_registers<1, 32>(x, p, write, call) || launch_in_registers<12, 32>(x, p, write, call) ||
      launch_in_registers<20, 32>(x, p, write, call))
    return 0;
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
