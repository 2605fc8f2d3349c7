// One bit a dimension: dimension i is bit i % 8 of byte i / 8, counted from the lowest bit ("lsb") or the highest
// ("msb", NumPy's packbits). Eight bytes are handled as one little-endian word.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// The bits of each byte in reverse: lsb order to msb order and back.
EMB_HD uint64_t reverse_bits_in_bytes(uint64_t word) {
  word = (word >> 1 & 0x5555555555555555u) | (word & 0x5555555555555555u) << 1;
  word = (word >> 2 & 0x3333333333333333u) | (word & 0x3333333333333333u) << 2;
  return (word >> 4 & 0x0f0f0f0f0f0f0f0fu) | (word & 0x0f0f0f0f0f0f0f0fu) << 4;
}

// The first `bytes` <= 8 bytes as a word, zeros above.
EMB_HD uint64_t load_word(const uint8_t* p, int64_t bytes) {
  uint64_t word = 0;
  __builtin_memcpy(&word, p, static_cast<size_t>(bytes));
  return word;
}

// The number of bits in which `a` differs from each of R rows.
template <int R>
EMB_HD void count_different_bits(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  for (int r = 0; r < R; ++r) counts[r] = 0;
  int64_t j = 0;
  for (; j + 8 <= bytes; j += 8) {
    const uint64_t word = load_word(a + j, 8);
    for (int r = 0; r < R; ++r) counts[r] += __builtin_popcountll(word ^ load_word(rows[r] + j, 8));
  }
  if (j == bytes) return;
  const uint64_t word = load_word(a + j, bytes - j);
  for (int r = 0; r < R; ++r) counts[r] += __builtin_popcountll(word ^ load_word(rows[r] + j, bytes - j));
}

}  // namespace
}  // namespace embcodec
