// Uniform scalar quantization with a range per dimension (sq) or per row (rowsq), and the exact scan.
#include "../cpp/row/scalar.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

__device__ inline float top_of(int bits) { return static_cast<float>((1 << bits) - 1); }

struct SqCoder {
  SqParams p;
  int bits;
  __device__ uint32_t operator()(float x, int64_t, int64_t j) const {
    return sq_code(x, p.lo[j], inverse_step(p.step[j]), top_of(bits));
  }
  __device__ uint64_t finish(uint64_t word) const { return word; }
};

struct SqSource : CodeSource {
  SqParams p;
  SqSource(const Codes& codes, const SqParams& p) : CodeSource{codes, p.d, p.bits}, p(p) {}
  struct Row {};
  __device__ bool aligned() const { return cuda::aligned<float4>(p.lo) && cuda::aligned<float4>(p.step); }
  __device__ Row at(int64_t) const { return {}; }
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(from.data + row * from.stride, j, p.bits), p.lo[j], p.step[j]);
  }
  template <bool ALL>
  __device__ void decode(Raw raw, const Row&, const float*, int64_t j, int count, float* x) const {
    uint32_t codes[8];
    float lo[8], step[8];
    codes_of(raw, bits, codes);
    load_floats<ALL>(p.lo + j, count, lo);
    load_floats<ALL>(p.step + j, count, step);
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = sq_value(codes[i], lo[i], step[i]);
  }
};

struct RowSqSource : CodeSource {
  RowSqParams p;
  RowSqSource(const Codes& codes, const RowSqParams& p) : CodeSource{codes, p.d, p.bits}, p(p) {}
  struct Row {
    float offset, scale;
  };
  __device__ bool aligned() const { return true; }
  __device__ Row at(int64_t row) const { return {p.offset[row], p.scale[row]}; }
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(from.data + row * from.stride, j, p.bits), p.offset[row], p.scale[row]);
  }
  template <bool ALL>
  __device__ void decode(Raw raw, const Row& at, const float*, int64_t, int, float* x) const {
    uint32_t codes[8];
    codes_of(raw, bits, codes);
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = sq_value(codes[i], at.offset, at.scale);
  }
};

// Rows of floats that lie side by side.
struct FlatSource {
  static constexpr bool kMayBeBad = true, kStaged = true;
  static constexpr int kBeyond = 0, kTable = 0, kBlocks = 1;
  struct Raw {
    uint64_t two[4];
  };
  struct Row {};
  Rows x;
  __device__ Codes codes() const { return {reinterpret_cast<const uint8_t*>(x.data), x.n, x.row_stride}; }
  __device__ int64_t d() const { return x.d; }
  __device__ int64_t place(int64_t j) const { return 4 * (j < x.d ? j : x.d); }
  __device__ bool aligned() const { return true; }
  __device__ void fill(float*) const {}
  __device__ Row at(int64_t) const { return {}; }
  __device__ float value(int64_t row, int64_t j) const { return element(x, row, j); }
  template <class Read>
  __device__ Raw raw(const Read& read, int64_t, int64_t j, int count) const {
    Raw raw;
    EMB_UNROLL for (int i = 0; i < 4; ++i) {
      const int there = count - 2 * i;
      raw.two[i] = there > 0 ? read(4 * j + 8 * i, there > 1 ? 8 : 4) : 0;
    }
    return raw;
  }
  template <bool ALL>
  __device__ void decode(const Raw& raw, const Row&, const float*, int64_t, int, float* x) const {
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = f32_from_bits(static_cast<uint32_t>(raw.two[i / 2] >> i % 2 * 32));
  }
};

// ... of any type and strides.
struct ElementSource {
  static constexpr bool kMayBeBad = true, kStaged = false;
  static constexpr int kTable = 0, kBlocks = 1;
  struct Raw {
    float x[8];
  };
  struct Row {};
  Rows x;
  __device__ bool aligned() const { return true; }
  __device__ void fill(float*) const {}
  __device__ Row at(int64_t) const { return {}; }
  __device__ float value(int64_t row, int64_t j) const { return element(x, row, j); }
  template <class Read>
  __device__ Raw raw(const Read&, int64_t row, int64_t j, int count) const {
    Raw raw;
    load8(x, row, j, count, raw.x);
    return raw;
  }
  template <bool ALL>
  __device__ void decode(const Raw& raw, const Row&, const float*, int64_t, int, float* x) const {
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = raw.x[i];
  }
};

// A warp a row: its range, then its codes, for which the row comes from the cache.
__global__ void encode_rowsq(Rows x, int bits, CodesOut out, float* scale, float* offset, Call call) {
  const int64_t row = thread_number() / 32;
  if (row >= x.n) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  float lo = __builtin_inff(), hi = -lo, values[8];
  bool finite = true;
  for (int64_t j = 8 * lane; j < x.d; j += 256) {
    const int count = static_cast<int>(x.d - j < 8 ? x.d - j : 8);
    finite &= load8(x, row, j, count, values);
    EMB_UNROLL for (int i = 0; i < 8; ++i) {
      if (i >= count) continue;
      lo = values[i] < lo ? values[i] : lo;
      hi = values[i] > hi ? values[i] : hi;
    }
  }
  if (!finite) refuse(call, row);
  for (int width = 16; width > 0; width /= 2) {
    const float low = __shfl_xor_sync(kAllLanes, lo, width), high = __shfl_xor_sync(kAllLanes, hi, width);
    lo = low < lo ? low : lo;
    hi = high > hi ? high : hi;
  }
  lo += 0.0f;  // never -0.0, whichever zero came first; nor is the range then
  hi += 0.0f;
  const float step = range_step(lo, hi, top_of(bits)), inverse = inverse_step(step);
  if (lane == 0) {
    scale[row] = step;
    offset[row] = lo;
  }
  for (int64_t j = 8 * lane; j < x.d; j += 256) {
    const Place at = {row, j, static_cast<int>(x.d - j < 8 ? x.d - j : 8)};
    load8(x, row, j, at.count, values);
    const uint64_t word = pack8(
        values, at, bits, [&](float value, int64_t, int64_t) { return sq_code(value, lo, inverse, top_of(bits)); });
    store_word(out.data + row * out.stride + j / 8 * bits, word, (at.count * bits + 7) / 8);
  }
}

}  // namespace

int64_t sq_encode(const Rows& x, const SqParams& p, CodesOut out, const Call& call) {
  return launch_encode(x, SqCoder{p, p.bits}, out, call);
}

int64_t sq_decode(const Codes& codes, const SqParams& p, float* out, const Call& call) {
  return launch_decode(SqSource{codes, p}, codes.n, p.d, out, call);
}

int64_t rowsq_encode(const Rows& x, int bits, CodesOut out, float* scale, float* offset, const Call& call) {
  if (x.n == 0) return 0;
  EMB_LAUNCH((encode_rowsq), blocks_for(32 * x.n, kBlock), kBlock, 0, call.stream, x, bits, out, scale, offset, call);
  check(cudaGetLastError());
  return 0;
}

int64_t rowsq_decode(const Codes& codes, const RowSqParams& p, float* out, const Call& call) {
  return launch_decode(RowSqSource{codes, p}, codes.n, p.d, out, call);
}

int64_t sq_topk(const Codes& codes, const SqParams& p, const Search& search, const Call& call) {
  return search_source(SqSource{codes, p}, codes.n, search, call);
}

int64_t rowsq_topk(const Codes& codes, const RowSqParams& p, const Search& search, const Call& call) {
  return search_source(RowSqSource{codes, p}, codes.n, search, call);
}

int64_t flat_topk(const Rows& x, const Search& search, const Call& call) {
  const bool floats = x.dtype == Dtype::f32 && x.col_stride == 4;
  return floats ? search_source(FlatSource{x}, x.n, search, call) : search_source(ElementSource{x}, x.n, search, call);
}

}  // namespace cuda
}  // namespace embcodec
