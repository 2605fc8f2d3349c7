// Quantization to the nearest of 2**bits levels that all dimensions share. docs/formats.md.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// Where two neighbouring levels part: a value on it goes to the lower one. Halved first, so that it cannot overflow.
EMB_HD float level_midpoint(float lower, float upper) { return 0.5f * lower + 0.5f * upper; }

// The code of x / step: how many midpoints are below it.
EMB_HD uint32_t level_code(float x, const float* levels, int bits) {
  uint32_t code = 0;
  for (uint32_t step = 1u << (bits - 1); step > 0; step /= 2)
    if (level_midpoint(levels[code + step - 1], levels[code + step]) < x) code += step;
  return code;
}

}  // namespace
}  // namespace embcodec
