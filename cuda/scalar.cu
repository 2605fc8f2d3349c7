// Uniform scalar quantization with a range per dimension (sq) or per row (rowsq), and the exact scan.
#include "../cpp/row/scalar.h"
#include "scan.cuh"

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

struct SqSource {
  static constexpr bool kMayBeBad = false;
  Codes codes;
  SqParams p;
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(codes.data + row * codes.stride, j, p.bits), p.lo[j], p.step[j]);
  }
};

struct RowSqSource {
  static constexpr bool kMayBeBad = false;
  Codes codes;
  RowSqParams p;
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(codes.data + row * codes.stride, j, p.bits), p.offset[row], p.scale[row]);
  }
};

struct FlatSource {
  static constexpr bool kMayBeBad = true;
  Rows x;
  __device__ float value(int64_t row, int64_t j) const { return element(x, row, j); }
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
  return search_source(FlatSource{x}, x.n, search, call);
}

}  // namespace cuda
}  // namespace embcodec
