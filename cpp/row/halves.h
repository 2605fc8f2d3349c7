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

// The largest finite half, as float32. What is rounded to one must not be beyond it.
EMB_HD float most_f16() { return 65504.0f; }
EMB_HD float most_bf16() { return f32_from_bits(0x7f7f0000u); }

EMB_HD uint16_t bf16_from_f32(float value) {
  const uint32_t bits = bits_of_f32(value);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

EMB_HD uint16_t f16_from_f32(float value) {
  const uint32_t bits = bits_of_f32(value), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
  // Below 2^-14 a half is a multiple of 2^-24, as a float32 from 0.5 on is.
  const uint32_t half = rest < 0x38800000u ? bits_of_f32(f32_from_bits(rest) + 0.5f) - 0x3f000000u
                                           : (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
  return static_cast<uint16_t>(sign | half);
}

}  // namespace
}  // namespace embcodec
