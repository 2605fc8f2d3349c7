// Floats as bfloat16, for tensor cores.
#pragma once
#include "../cpp/row/halves.h"
#include "port.cuh"

namespace embcodec {
namespace cuda {
namespace {

// The bfloat16 nearest to v, which becomes what is left.
__device__ inline uint32_t take_bf16(float& v) {
  const uint32_t bits = (bits_of_f32(v) + 0x8000u) >> 16;
  v -= f32_from_bf16(static_cast<uint16_t>(bits));
  return bits;
}
__device__ inline uint32_t take_two(float (&v)[2]) {
  const uint32_t low = take_bf16(v[0]);
  return low | take_bf16(v[1]) << 16;
}

__device__ inline float sum_of_four(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
