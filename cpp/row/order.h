// The total order of every top-k: score descending, then row ascending, as one unsigned comparison.
#pragma once
#include "halves.h"

namespace embcodec {
namespace {

// Larger key = better row. Rows must be below 2^32. Key 0 belongs to no row with a score above -inf.
EMB_HD uint64_t order_key(float score, int64_t row) {
  const uint32_t bits = bits_of_f32(score);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint64_t>(ordered) << 32 | (0xffffffffu - static_cast<uint32_t>(row));
}

EMB_HD float key_score(uint64_t key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  return f32_from_bits(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

EMB_HD int64_t key_row(uint64_t key) { return 0xffffffffu - static_cast<uint32_t>(key); }

}  // namespace
}  // namespace embcodec
