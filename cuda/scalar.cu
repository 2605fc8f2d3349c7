// Uniform scalar quantization with a range per dimension (sq) or per row (rowsq), halves, and the exact scan.
#include "../cpp/row/scalar.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

__device__ inline float top_of(int bits) { return static_cast<float>((1 << bits) - 1); }

struct SqCoder {
  SqParams p;
  int bits;
  struct Eight {
    float lo[8], inverse[8], top;
    int bits;
    __device__ uint64_t word(const float (&values)[8], int count) const {
      return pack8(count, bits, [&](int i) { return sq_code(values[i], lo[i], inverse[i], top); });
    }
  };
  __device__ Eight eight(int64_t j, int count) const {
    Eight e;
    load_floats(p.lo + j, count, e.lo);
    load_floats(p.step + j, count, e.inverse);
    EMB_UNROLL for (int i = 0; i < 8; ++i) e.inverse[i] = inverse_step(e.inverse[i]);
    e.top = top_of(bits);
    e.bits = bits;
    return e;
  }
};

struct SqSource : CodeSource {
  SqParams p;
  SqSource(const Codes& codes, const SqParams& p) : CodeSource{codes, p.d, p.bits}, p(p) {}
  __device__ bool aligned() const { return cuda::aligned<float4>(p.lo) && cuda::aligned<float4>(p.step); }
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(from.data + row * from.stride, j, p.bits), p.lo[j], p.step[j]);
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row*, const float*, int64_t j, int count, float (*x)[8]) const {
    float lo[8], step[8];
    load_eight<ALL>(p.lo + j, count, lo);
    load_eight<ALL>(p.step + j, count, step);
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      float codes[8];
      codes_of(raw[r], bits, codes);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = lo[i] + codes[i] * step[i];
    }
  }
  struct Four {
    Window window;
    int bits;
    float lo[4], step[4];
    __device__ void values(uint32_t word, int64_t, float (&to)[4]) const {
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] = sq_value(window.code(word, i, bits), lo[i], step[i]);
    }
  };
  __device__ Four four(int64_t j, int count) const {
    Four f = {window_of(j, count, p.bits), p.bits, {}, {}};
    load_floats(p.lo + j, count, f.lo);
    load_floats(p.step + j, count, f.step);
    return f;
  }
};

struct RowSqSource : CodeSource {
  RowSqParams p;
  RowSqSource(const Codes& codes, const RowSqParams& p) : CodeSource{codes, p.d, p.bits}, p(p) {}
  struct Row {
    CodeRow code;
    float offset, scale;
  };
  __device__ bool aligned() const { return true; }
  __device__ Row at(int64_t row) const { return {CodeSource::at(row), p.offset[row], p.scale[row]}; }
  __device__ bool readable(const Row& at) const { return at.code.code; }
  __device__ Raw raw(const Row& at, int64_t j, int count) const { return CodeSource::raw(at.code, j, count); }
  __device__ float value(int64_t row, int64_t j) const {
    return sq_value(code_at(from.data + row * from.stride, j, p.bits), p.offset[row], p.scale[row]);
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row* at, const float*, int64_t, int, float (*x)[8]) const {
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      float codes[8];
      codes_of(raw[r], bits, codes);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = at[r].offset + codes[i] * at[r].scale;
    }
  }
  struct Four {
    Window window;
    RowSqParams p;
    __device__ void values(uint32_t word, int64_t row, float (&to)[4]) const {
      const float lo = p.offset[row], step = p.scale[row];
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] = sq_value(window.code(word, i, p.bits), lo, step);
    }
  };
  __device__ Four four(int64_t j, int count) const { return {window_of(j, count, p.bits), p}; }
};

struct HalfCoder {
  static constexpr int bits = 16;
  bool bf16;
  struct Eight {
    bool bf16;
    __device__ uint64_t four(const float* values) const {
      uint64_t word = 0;
      EMB_UNROLL for (int i = 3; i >= 0; --i) word = word << 16 | half(values[i]);
      return word;
    }
    __device__ uint64_t half(float value) const {
      const float most = bf16 ? most_bf16() : most_f16(), within = value > most ? most : value < -most ? -most : value;
      return bf16 ? bf16_from_f32(within) : f16_from_f32(within);
    }
    __device__ Words word(const float (&values)[8], int) const { return {four(values), four(values + 4)}; }
  };
  __device__ Eight eight(int64_t, int) const { return {bf16}; }
};

// Four dimensions a thread, of codes at even addresses.
__global__ void decode_halves(Codes codes, int64_t d, bool bf16, int64_t each, float* out) {
  const Place at = place_of<4>(thread_number(), d);
  int64_t first = first_row(at, each);
  EMB_ROLLED for (int64_t i = 0; i < each && first < codes.n; i += kRowsEach, first += kRowsEach * kApart) {
    uint2 words[kRowsEach] = {};
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      if (row >= codes.n) break;
      const uint8_t* code = codes.data + row * codes.stride + 2 * at.j;
      const uint16_t* halves = reinterpret_cast<const uint16_t*>(code);
      const auto half = [&](int k) { return k < at.count ? static_cast<uint32_t>(halves[k]) : 0u; };
      if (at.count == 4 && aligned<uint2>(code))
        words[r] = *reinterpret_cast<const uint2*>(code);
      else
        words[r] = {half(0) | half(1) << 16, half(2) | half(3) << 16};
    }
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      if (row >= codes.n) break;
      float values[4];
      EMB_UNROLL for (int k = 0; k < 4; ++k) {
        const uint16_t half = static_cast<uint16_t>((k < 2 ? words[r].x : words[r].y) >> (k % 2 * 16));
        values[k] = bf16 ? f32_from_bf16(half) : f32_of_half(half);
      }
      store_four(out + row * d + at.j, values, at.count);
    }
  }
}

// Rows of floats that lie side by side, or of any type and strides.
struct FloatSource {
  static constexpr bool kMayBeBad = true;
  static constexpr int kTable = 0, kBlocks = 1;
  struct Raw {
    float x[8];
  };
  using Row = const char*;
  Rows x;
  __device__ bool aligned() const { return true; }
  __device__ void fill(float*) const {}
  __device__ Row at(int64_t row) const { return x.data + row * x.row_stride; }
  __device__ bool readable(Row) const { return true; }
  __device__ float value(int64_t row, int64_t j) const { return element(x, row, j); }
  __device__ Raw raw(Row row, int64_t j, int count) const {
    const char* from[1] = {row + j * x.col_stride};
    const int counts[1] = {count};
    float values[1][8];
    load_eights(x, from, counts, values);
    Raw raw;
    EMB_UNROLL for (int i = 0; i < 8; ++i) raw.x[i] = values[0][i];
    return raw;
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row*, const float*, int64_t, int, float (*x)[8]) const {
    EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = raw[r].x[i];
  }
};

constexpr int kKept = 4;  // eights of a lane that stay in registers

// A warp a row: its range, then its codes, for which what registers have no room for comes from the cache.
__global__ void __launch_bounds__(kBlock, 3)
    encode_rowsq(Rows x, int bits, CodesOut out, float* scale, float* offset, Call call) {
  const int64_t row = thread_number() / 32;
  if (row >= x.n) return;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const char* data = x.data + row * x.row_stride + 8 * lane * x.col_stride;
  const int64_t left = x.d - 8 * lane;
  // This lane's eight number e, 32 eights apart, and how much of it there is.
  const auto count_of = [&](int64_t e) {
    const int64_t count = left - 256 * e;
    return static_cast<int>(count < 0 ? 0 : count < 8 ? count : 8);
  };
  const auto load = [&](int64_t e, auto& values) {
    constexpr int R = sizeof(values) / sizeof(values[0]);
    const char* from[R];
    int count[R];
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      from[r] = data + 256 * (e + r) * x.col_stride;
      count[r] = count_of(e + r);
    }
    load_eights(x, from, count, values);
  };
  float lo = __builtin_inff(), hi = -lo;
  bool finite = true;
  const auto widen = [&](int64_t e, const float (&values)[8]) {
    const int count = count_of(e);
    finite &= all_finite(values);
    EMB_UNROLL for (int i = 0; i < 8; ++i) {
      if (i >= count) continue;
      lo = values[i] < lo ? values[i] : lo;
      hi = values[i] > hi ? values[i] : hi;
    }
  };
  float kept[kKept][8], next[1][8];
  load(0, kept);
  EMB_UNROLL for (int r = 0; r < kKept; ++r) widen(r, kept[r]);
  const int64_t eights = (x.d + 255) / 256;
  EMB_ROLLED for (int64_t e = kKept; e < eights; ++e) {
    load(e, next);
    widen(e, next[0]);
  }
  if (!finite) refuse(call, row);
  for (int width = 16; width > 0; width /= 2) {
    const float low = __shfl_xor_sync(kAllLanes, lo, width), high = __shfl_xor_sync(kAllLanes, hi, width);
    lo = low < lo ? low : lo;
    hi = high > hi ? high : hi;
  }
  lo += 0.0f;  // never -0.0, whichever zero came first; nor is the range then
  hi += 0.0f;
  const float top = top_of(bits), step = range_step(lo, hi, top), inverse = inverse_step(step);
  if (lane == 0) {
    scale[row] = step;
    offset[row] = lo;
  }
  const auto write = [&](int64_t e, const float (&values)[8]) {
    const int count = count_of(e);
    if (count == 0) return;
    const uint64_t word = pack8(count, bits, [&](int i) { return sq_code(values[i], lo, inverse, top); });
    store_word(out.data + row * out.stride + (lane + 32 * e) * bits, word, (count * bits + 7) / 8);
  };
  EMB_UNROLL for (int r = 0; r < kKept; ++r) write(r, kept[r]);
  EMB_ROLLED for (int64_t e = kKept; e < eights; ++e) {
    load(e, next);
    write(e, next[0]);
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
  EMB_LAUNCH((encode_rowsq), blocks_for(32 * x.n, kEncodeBlock), kEncodeBlock, 0, call.stream, x, bits, out, scale,
             offset, call);
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

int64_t half_encode(const Rows& x, Dtype half, CodesOut out, const Call& call) {
  return launch_encode(x, HalfCoder{half == Dtype::bf16}, out, call);
}

int64_t half_decode(const Codes& codes, int64_t d, Dtype half, float* out, const Call& call) {
  if (codes.n == 0) return 0;
  const int64_t units = (d + 3) / 4, each = rows_each(codes.n, units);
  const unsigned blocks = blocks_for(threads_of_rows(codes.n, units, each), kBlock);
  EMB_LAUNCH((decode_halves), blocks, kBlock, 0, call.stream, codes, d, half == Dtype::bf16, each, out);
  check(cudaGetLastError());
  return 0;
}

int64_t flat_topk(const Rows& x, const Search& search, const Call& call) {
  return search_source(FloatSource{x}, x.n, search, call);
}

}  // namespace cuda
}  // namespace embcodec
