// Rows of the caller's matrix. Encoders take eight dimensions a thread: eight codes of b bits are b whole bytes.
#pragma once
#include "../cpp/row/bits.h"
#include "../cpp/row/halves.h"
#include "../cpp/row/pack.h"
#include "launch.h"
#include "port.cuh"

namespace embcodec {
namespace cuda {
namespace {

// What any of the four types is in float32.
template <Dtype D>
__device__ inline float value_at(const char* p) {
  if constexpr (D == Dtype::f32) return *reinterpret_cast<const float*>(p);
  if constexpr (D == Dtype::f64) return static_cast<float>(*reinterpret_cast<const double*>(p));
  if constexpr (D == Dtype::f16) return f32_of_half(*reinterpret_cast<const uint16_t*>(p));
  return f32_from_bf16(*reinterpret_cast<const uint16_t*>(p));
}

__device__ inline float element(const Rows& x, int64_t row, int64_t j) {
  const char* p = x.data + row * x.row_stride + j * x.col_stride;
  switch (x.dtype) {
    case Dtype::f32:
      return value_at<Dtype::f32>(p);
    case Dtype::f64:
      return value_at<Dtype::f64>(p);
    case Dtype::f16:
      return value_at<Dtype::f16>(p);
    default:
      return value_at<Dtype::bf16>(p);
  }
}

template <class T>
__host__ __device__ inline bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % sizeof(T) == 0;
}

// W parameters, zeros from `count` on.
template <int W>
__device__ inline void load_floats(const float* p, int count, float (&to)[W]) {
  if (count == W && aligned<float4>(p)) {
    EMB_UNROLL for (int i = 0; i < W; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(p + i);
      to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
    }
  } else {
    EMB_UNROLL for (int i = 0; i < W; ++i) to[i] = i < count ? p[i] : 0.0f;
  }
}

template <Dtype D, int R>
__device__ inline void load_singly(const char* const (&from)[R], const int (&count)[R], int64_t stride,
                                   float (&values)[R][8]) {
  EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) values[r][i] =
      i < count[r] ? value_at<D>(from[r] + i * stride) : 0.0f;
}

// Eight dimensions of x from each of R places on, of which `count` are there, zeros behind them. Nothing waits for a
// load before all of them are on their way.
template <int R>
__device__ inline void load_eights(const Rows& x, const char* const (&from)[R], const int (&count)[R],
                                   float (&values)[R][8]) {
  uintptr_t places = 0;
  bool whole = true;
  EMB_UNROLL for (int r = 0; r < R; ++r) {
    places |= reinterpret_cast<uintptr_t>(from[r]);
    whole &= count[r] % 8 == 0;
  }
  whole &= places % 16 == 0;
  if (whole && x.dtype == Dtype::f32 && x.col_stride == 4) {
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      float4 low = {}, high = {};
      if (count[r])
        low = reinterpret_cast<const float4*>(from[r])[0], high = reinterpret_cast<const float4*>(from[r])[1];
      const float eight[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      EMB_UNROLL for (int i = 0; i < 8; ++i) values[r][i] = eight[i];
    }
  } else if (whole && x.dtype != Dtype::f64 && x.col_stride == 2) {
    uint4 eights[R] = {};
    EMB_UNROLL for (int r = 0; r < R; ++r) if (count[r]) eights[r] = *reinterpret_cast<const uint4*>(from[r]);
    const bool bf16 = x.dtype == Dtype::bf16;
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      const uint32_t words[4] = {eights[r].x, eights[r].y, eights[r].z, eights[r].w};
      EMB_UNROLL for (int i = 0; i < 8; ++i) {
        const uint16_t half = static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16));
        values[r][i] = bf16 ? f32_from_bf16(half) : f32_of_half(half);
      }
    }
  } else if (x.dtype == Dtype::f32) {
    load_singly<Dtype::f32>(from, count, x.col_stride, values);
  } else if (x.dtype == Dtype::f64) {
    load_singly<Dtype::f64>(from, count, x.col_stride, values);
  } else if (x.dtype == Dtype::f16) {
    load_singly<Dtype::f16>(from, count, x.col_stride, values);
  } else {
    load_singly<Dtype::bf16>(from, count, x.col_stride, values);
  }
}

__device__ inline bool all_finite(const float (&values)[8]) {
  float poison = 0.0f;  // 0 x is NaN for a NaN or an infinity, and NaN stays
  EMB_UNROLL for (int i = 0; i < 8; ++i) poison = __builtin_fmaf(values[i], 0.0f, poison);
  return poison == 0.0f;
}

__device__ inline void refuse(const Call& call, int64_t row) {
  atomicMin(call.bad, static_cast<unsigned long long>(call.first + row));
}

// The lowest `bytes` of a word, in as few stores as their alignment allows.
__device__ inline void store_word(uint8_t* p, uint64_t word, int bytes) {
  if (bytes == 8 && aligned<uint64_t>(p)) {
    *reinterpret_cast<uint64_t*>(p) = word;
  } else if (bytes == 4 && aligned<uint32_t>(p)) {
    *reinterpret_cast<uint32_t*>(p) = static_cast<uint32_t>(word);
  } else if (bytes % 2 == 0 && aligned<uint16_t>(p)) {
    for (int i = 0; i < bytes; i += 2) *reinterpret_cast<uint16_t*>(p + i) = static_cast<uint16_t>(word >> (8 * i));
  } else {
    for (int i = 0; i < bytes; ++i) p[i] = static_cast<uint8_t>(word >> (8 * i));
  }
}

// ... of two words.
struct Words {
  uint64_t low, high;
};
__device__ inline void store_word(uint8_t* p, const Words& words, int bytes) {
  if (bytes == 16 && aligned<uint4>(p)) {
    *reinterpret_cast<uint4*>(p) = {static_cast<uint32_t>(words.low), static_cast<uint32_t>(words.low >> 32),
                                    static_cast<uint32_t>(words.high), static_cast<uint32_t>(words.high >> 32)};
  } else {
    store_word(p, words.low, bytes < 8 ? bytes : 8);
    if (bytes > 8) store_word(p + 8, words.high, bytes - 8);
  }
}
__device__ inline void store_four(float* to, const float (&values)[4], int count) {
  if (count == 4 && aligned<float4>(to))
    *reinterpret_cast<float4*>(to) = {values[0], values[1], values[2], values[3]};
  else
    EMB_UNROLL for (int i = 0; i < 4; ++i) if (i < count) to[i] = values[i];
}

// Thread number `at` as the row and the first of the W dimensions that it works on.
struct Place {
  int64_t row, j;
  int count;
};
template <int W = 8>
__device__ inline Place place_of(int64_t at, int64_t d) {
  const int64_t units = (d + W - 1) / W;
  const bool narrow = at <= 0xffffffff && units <= 0xffffffff;  // a division of 64 bits takes a hundred instructions
  const int64_t row = narrow ? static_cast<uint32_t>(at) / static_cast<uint32_t>(units) : at / units;
  const int64_t j = W * (at - row * units);
  return {row, j, static_cast<int>(d - j < W ? d - j : W)};
}
__device__ inline int64_t thread_number() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// Codes of b bits side by side: code(i), which is asked for all eight; zeros from `count` on.
template <class Code>
__device__ inline uint64_t pack8(int count, int bits, const Code& code) {
  uint32_t halves[2];
  EMB_UNROLL for (int h = 0; h < 2; ++h) {
    halves[h] = code(4 * h + 3);
    EMB_UNROLL for (int i = 4 * h + 2; i >= 4 * h; --i) halves[h] = (halves[h] << bits) + code(i);
  }
  const uint64_t word = halves[0] | static_cast<uint64_t>(halves[1]) << (4 * bits);
  return count < 8 ? word & ((uint64_t{1} << (count * bits)) - 1) : word;
}

// A thread keeps what it needs to know of its dimensions and takes `each` rows of a tile of kApart * each,
// kRowsEach at a time. Those are kApart apart, so that lanes side by side work side by side however short rows are.
constexpr int kRowsEach = 4, kApart = 32;
constexpr int kEncodeBlock = 128;   // threads; smaller blocks leave less of the registers unused
constexpr int64_t kBusy = 1 << 18;  // threads that keep any GPU busy
// Threads that share a row: `units`.
inline int64_t rows_each(int64_t n, int64_t units) {
  const int64_t turns = n * units / (kBusy * kRowsEach);
  return kRowsEach * (turns < 1 ? 1 : turns < 4 ? turns : 4);
}
inline int64_t threads_of_rows(int64_t n, int64_t units, int64_t each) {
  return (n + kApart * each - 1) / (kApart * each) * kApart * units;
}
__device__ inline int64_t first_row(const Place& at, int64_t each) {
  return at.row / kApart * kApart * each + at.row % kApart;
}

// coder.eight(j, count), which all threads of a block call: what it has for these dimensions. Of that, word(values,
// count): their codes, `bits` each.
template <class Coder>
__global__ void __launch_bounds__(kEncodeBlock)
    encode_rows(Rows x, int64_t each, Coder coder, CodesOut out, Call call) {
  const Place at = place_of(thread_number(), x.d);
  const auto eight = coder.eight(at.j, at.count);
  int64_t first = first_row(at, each);
  EMB_ROLLED for (int64_t i = 0; i < each && first < x.n; i += kRowsEach, first += kRowsEach * kApart) {
    const char* from[kRowsEach];
    int count[kRowsEach];
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      from[r] = x.data + row * x.row_stride + at.j * x.col_stride;
      count[r] = row < x.n ? at.count : 0;
    }
    float values[kRowsEach][8];
    load_eights(x, from, count, values);
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      if (row >= x.n) break;
      if (!all_finite(values[r])) refuse(call, row);
      store_word(out.data + row * out.stride + at.j / 8 * coder.bits, eight.word(values[r], at.count),
                 (at.count * coder.bits + 7) / 8);
    }
  }
}

template <class Coder>
int64_t launch_encode(const Rows& x, const Coder& coder, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  const int64_t units = (x.d + 7) / 8, each = rows_each(x.n, units);
  const unsigned blocks = blocks_for(threads_of_rows(x.n, units, each), kEncodeBlock);
  EMB_LAUNCH((encode_rows<Coder>), blocks, kEncodeBlock, 0, call.stream, x, each, coder, out, call);
  check(cudaGetLastError());
  return 0;
}

// The bytes of a row's codes, at most four, that four of its dimensions are decoded from; the first code begins at bit
// `shift`.
struct Window {
  int64_t first;
  int bytes, shift;
  // Code number i of those that begin there.
  __device__ uint32_t code(uint32_t word, int i, int bits) const {
    return word >> (shift + i * bits) & ((1u << bits) - 1u);
  }
};
__device__ inline Window window_of(int64_t j, int count, int bits) {
  const int shift = static_cast<int>(j * bits % 8);
  return {j * bits / 8, (shift + count * bits + 7) / 8, shift};
}
__device__ inline uint32_t load_window(const uint8_t* p, int bytes) {
  if (bytes == 4 && aligned<uint32_t>(p)) return *reinterpret_cast<const uint32_t*>(p);
  if (bytes == 2 && aligned<uint16_t>(p)) return *reinterpret_cast<const uint16_t*>(p);
  uint32_t word = 0;
  EMB_UNROLL for (int i = 0; i < 4; ++i) if (i < bytes) word |= static_cast<uint32_t>(p[i]) << (8 * i);
  return word;
}

// Four dimensions a thread: a warp writes 512 bytes side by side. source.four(j, count), which all threads of a block
// call: what the source has for these dimensions. Of that, `window`, and values(word, row, values) of what lies there
// in its codes().
template <class Source>
__global__ void decode_rows(Source source, int64_t n, int64_t d, int64_t each, float* out) {
  const Place at = place_of<4>(thread_number(), d);
  const auto four = source.four(at.j, at.count);
  const Codes codes = source.codes();
  int64_t first = first_row(at, each);
  EMB_ROLLED for (int64_t i = 0; i < each && first < n; i += kRowsEach, first += kRowsEach * kApart) {
    uint32_t words[kRowsEach];
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      const uint8_t* code = codes.data + row * codes.stride + four.window.first;
      words[r] = row < n ? load_window(code, four.window.bytes) : 0;
    }
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      if (row >= n) break;
      float values[4] = {};
      four.values(words[r], row, values);
      store_four(out + row * d + at.j, values, at.count);
    }
  }
}

template <class Source>
int64_t launch_decode(const Source& source, int64_t n, int64_t d, float* out, const Call& call) {
  if (n == 0) return 0;
  const int64_t units = (d + 3) / 4, each = rows_each(n, units);
  const unsigned blocks = blocks_for(threads_of_rows(n, units, each), kBlock);
  EMB_LAUNCH((decode_rows<Source>), blocks, kBlock, 0, call.stream, source, n, d, each, out);
  check(cudaGetLastError());
  return 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
