// Uniform scalar quantization of one value: docs/formats.md.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// 1 / step, 0 where there is none.
EMB_HD float inverse_step(float step) { return step > 0.0f ? 1.0f / step : 0.0f; }

// Between 0 and `top`, 0 for a NaN. On a GPU these are two instructions, since which zero they give is open.
EMB_HD float clamped(float x, float top) {
#if defined(__CUDA_ARCH__)
  return fminf(fmaxf(x, 0.0f), top);
#else
  const float low = x > 0.0f ? x : 0.0f;
  return low < top ? low : top;
#endif
}

// `top`: the largest code.
EMB_HD uint32_t sq_code(float x, float lo, float inverse, float top) {
  return static_cast<uint32_t>(__builtin_rintf(clamped((x - lo) * inverse, top)));
}

EMB_HD float sq_value(uint32_t code, float lo, float step) { return lo + static_cast<float>(code) * step; }

// The step of a row's own range; one beyond float32 still has a step.
EMB_HD float range_step(float lo, float hi, float top) {
  const float range = hi - lo;
  return range < __builtin_inff() ? range / top : hi / top - lo / top;
}

}  // namespace
}  // namespace embcodec
