// Codes of b bits as one little-endian bit string: value i occupies bits i*b .. i*b+b-1 of the row, the last byte
// is filled with zeros. For 4 bits: the low nibble first.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

EMB_HD int64_t packed_size(int64_t d, int bits) { return (d * bits + 7) / 8; }

EMB_HD void pack_bits(const uint8_t* values, int64_t d, int bits, uint8_t* out) {
  uint32_t held = 0;
  int count = 0;
  for (int64_t i = 0; i < d; ++i) {
    held |= static_cast<uint32_t>(values[i]) << count;
    count += bits;
    while (count >= 8) {
      *out++ = static_cast<uint8_t>(held);
      held >>= 8;
      count -= 8;
    }
  }
  if (count > 0) *out = static_cast<uint8_t>(held);
}

EMB_HD void unpack_bits(const uint8_t* packed, int64_t d, int bits, uint8_t* values) {
  const uint32_t mask = (1u << bits) - 1u;
  uint32_t held = 0;
  int count = 0;
  for (int64_t i = 0; i < d; ++i) {
    if (count < bits) {
      held |= static_cast<uint32_t>(*packed++) << count;
      count += 8;
    }
    values[i] = static_cast<uint8_t>(held & mask);
    held >>= bits;
    count -= bits;
  }
}

// Value i of the row, which no other is needed for.
EMB_HD uint32_t code_at(const uint8_t* packed, int64_t i, int bits) {
  const int64_t bit = i * bits;
  const int shift = static_cast<int>(bit % 8);
  uint32_t held = packed[bit / 8];
  if (shift + bits > 8) held |= static_cast<uint32_t>(packed[bit / 8 + 1]) << 8;
  return held >> shift & ((1u << bits) - 1u);
}

// The low `bits` of each lane of `lane` bits.
constexpr uint64_t low_bits(int bits, int lane) {
  uint64_t mask = 0;
  for (int at = 0; at < 64; at += lane) mask |= ((uint64_t{1} << bits) - 1u) << at;
  return mask;
}

// Eight values of BITS bits, side by side from the lowest, to a byte each: halves, quarters and eighths move apart.
template <int BITS>
EMB_HD uint64_t spread8(uint64_t word) {
  word = (word & low_bits(4 * BITS, 64)) | (word >> (4 * BITS) & low_bits(4 * BITS, 64)) << 32;
  word = (word & low_bits(2 * BITS, 32)) | (word >> (2 * BITS) & low_bits(2 * BITS, 32)) << 16;
  return (word & low_bits(BITS, 16)) | (word >> BITS & low_bits(BITS, 16)) << 8;
}

// The way back.
template <int BITS>
EMB_HD uint64_t gather8(uint64_t word) {
  word = (word & low_bits(BITS, 16)) | (word >> 8 & low_bits(BITS, 16)) << BITS;
  word = (word & low_bits(2 * BITS, 32)) | (word >> 16 & low_bits(2 * BITS, 32)) << (2 * BITS);
  return (word & low_bits(4 * BITS, 64)) | (word >> 32) << (4 * BITS);
}

}  // namespace
}  // namespace embcodec
