// float16 and bfloat16 to float32 and back, one value at a time, round half to even.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

EMB_HD float f32_from_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

EMB_HD uint32_t bits_of_f32(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

EMB_HD float f32_from_bf16(uint16_t half) { return f32_from_bits(static_cast<uint32_t>(half) << 16); }

EMB_HD float f32_from_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return f32_from_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
  if (rest >= 0x0400u) return f32_from_bits(sign | ((rest << 13) + 0x38000000u));
  // A subnormal half is rest * 2^-24, exact in float32.
  return f32_from_bits(sign | bits_of_f32(static_cast<float>(static_cast<int32_t>(rest)) * 5.9604644775390625e-08f));
}

}  // namespace
}  // namespace embcodec
