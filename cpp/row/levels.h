// Quantization to the nearest of 2**bits levels that all dimensions share. docs/formats.md.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// Where two neighbouring levels part: a value on it goes to the lower one. Halved first, so that it cannot overflow.
EMB_HD float level_midpoint(float lower, float upper) { return 0.5f * lower + 0.5f * upper; }

}  // namespace
}  // namespace embcodec
