// Rows of the caller's matrix, eight dimensions a thread: eight codes of b bits are b whole bytes.
#pragma once
#include "../cpp/row/bits.h"
#include "../cpp/row/halves.h"
#include "../cpp/row/pack.h"
#include "launch.h"
#include "port.cuh"

namespace embcodec {
namespace cuda {
namespace {

__device__ inline float element(const Rows& x, int64_t row, int64_t j) {
  const char* p = x.data + row * x.row_stride + j * x.col_stride;
  switch (x.dtype) {
    case Dtype::f32:
      return *reinterpret_cast<const float*>(p);
    case Dtype::f64:
      return static_cast<float>(*reinterpret_cast<const double*>(p));
    case Dtype::f16:
      return f32_from_f16(*reinterpret_cast<const uint16_t*>(p));
    default:
      return f32_from_bf16(*reinterpret_cast<const uint16_t*>(p));
  }
}

template <class T>
__device__ inline bool aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % sizeof(T) == 0;
}

__device__ inline void load_halves(const uint4& packed, bool bf16, float* values) {
  const uint32_t words[4] = {packed.x, packed.y, packed.z, packed.w};
  for (int i = 0; i < 8; ++i) {
    const uint16_t half = static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16));
    values[i] = bf16 ? f32_from_bf16(half) : f32_from_f16(half);
  }
}

// Dimensions j .. j+count-1 of a row, zeros behind them; whether all are finite.
__device__ inline bool load8(const Rows& x, int64_t row, int64_t j, int count, float* values) {
  const char* p = x.data + row * x.row_stride + j * x.col_stride;
  if (count == 8 && x.dtype == Dtype::f32 && x.col_stride == 4 && aligned<float4>(p)) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    const float lanes[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    for (int i = 0; i < 8; ++i) values[i] = lanes[i];
  } else if (count == 8 && x.dtype != Dtype::f64 && x.col_stride == 2 && aligned<uint4>(p)) {
    load_halves(*reinterpret_cast<const uint4*>(p), x.dtype == Dtype::bf16, values);
  } else {
    EMB_UNROLL for (int i = 0; i < 8; ++i) values[i] = i < count ? element(x, row, j + i) : 0.0f;
  }
  float poison = 0.0f;  // x - x is NaN for a NaN or an infinity, and NaN stays
  for (int i = 0; i < 8; ++i) poison += values[i] - values[i];
  return poison == 0.0f;
}

__device__ inline void refuse(const Call& call, int64_t row) {
  atomicMin(call.bad, static_cast<unsigned long long>(call.first + row));
}

// The lowest `bytes` of a word, in one store where they are aligned.
__device__ inline void store_word(uint8_t* p, uint64_t word, int bytes) {
  if (bytes == 8 && aligned<uint64_t>(p)) {
    *reinterpret_cast<uint64_t*>(p) = word;
  } else if (bytes == 4 && aligned<uint32_t>(p)) {
    *reinterpret_cast<uint32_t*>(p) = static_cast<uint32_t>(word);
  } else {
    for (int i = 0; i < bytes; ++i) p[i] = static_cast<uint8_t>(word >> (8 * i));
  }
}

// Thread number `at` as the row and the first of the eight dimensions that it works on.
struct Place {
  int64_t row, j;
  int count;
};
__device__ inline Place place_of(int64_t at, int64_t d) {
  const int64_t units = (d + 7) / 8;
  const bool narrow = at <= 0xffffffff && units <= 0xffffffff;  // a division of 64 bits takes a hundred instructions
  const int64_t row = narrow ? static_cast<uint32_t>(at) / static_cast<uint32_t>(units) : at / units;
  const int64_t j = 8 * (at - row * units);
  return {row, j, static_cast<int>(d - j < 8 ? d - j : 8)};
}
__device__ inline int64_t thread_number() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

// code(value, row, j) is one of b bits.
template <class Code>
__device__ inline uint64_t pack8(const float* values, const Place& at, int bits, const Code& code) {
  uint64_t word = 0;
  EMB_UNROLL for (int i = 0; i < 8; ++i) if (i < at.count) word |=
      static_cast<uint64_t>(code(values[i], at.row, at.j + i)) << (i * bits);
  return word;
}

template <class Coder>
__global__ void encode_rows(Rows x, Coder coder, CodesOut out, Call call) {
  const int64_t thread = thread_number();
  if (thread >= x.n * ((x.d + 7) / 8)) return;
  const Place at = place_of(thread, x.d);
  float values[8];
  if (!load8(x, at.row, at.j, at.count, values)) refuse(call, at.row);
  const uint64_t word = pack8(values, at, coder.bits, coder);
  store_word(out.data + at.row * out.stride + at.j / 8 * coder.bits, coder.finish(word),
             (at.count * coder.bits + 7) / 8);
}

template <class Coder>
int64_t launch_encode(const Rows& x, const Coder& coder, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  EMB_LAUNCH((encode_rows<Coder>), blocks_for(x.n * ((x.d + 7) / 8), kBlock), kBlock, 0, call.stream, x, coder, out,
             call);
  check(cudaGetLastError());
  return 0;
}

// source.value(row, j): one decoded value.
template <class Source>
__global__ void decode_rows(Source source, int64_t n, int64_t d, float* out) {
  const int64_t thread = thread_number();
  if (thread >= n * ((d + 7) / 8)) return;
  const Place at = place_of(thread, d);
  float values[8];
  EMB_UNROLL for (int i = 0; i < 8; ++i) values[i] = i < at.count ? source.value(at.row, at.j + i) : 0.0f;
  float* to = out + at.row * d + at.j;
  if (at.count == 8 && aligned<float4>(to)) {
    reinterpret_cast<float4*>(to)[0] = {values[0], values[1], values[2], values[3]};
    reinterpret_cast<float4*>(to)[1] = {values[4], values[5], values[6], values[7]};
  } else {
    EMB_UNROLL for (int i = 0; i < 8; ++i) if (i < at.count) to[i] = values[i];
  }
}

template <class Source>
int64_t launch_decode(const Source& source, int64_t n, int64_t d, float* out, const Call& call) {
  if (n == 0) return 0;
  EMB_LAUNCH((decode_rows<Source>), blocks_for(n * ((d + 7) / 8), kBlock), kBlock, 0, call.stream, source, n, d, out);
  check(cudaGetLastError());
  return 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
