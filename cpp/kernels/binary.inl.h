// One bit a dimension: thresholding, decoding to two values, search by Hamming distance and by float queries.
#pragma once
#include "../row/bits.h"
#include "code_scan.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Bit i: x[i] > threshold[i], for `count` <= 16 dimensions. 0 * x is NaN for a NaN or an infinity, and stays NaN in
// `poison`.
EMB_OP uint64_t bits_above(const float* x, const float* threshold, int64_t count, f32x16& poison) {
  const f32x16 value = lanes_of(x, count);
  poison = muladd(value, splat(0.0f), poison);
  return mask_bits(less(lanes_of(threshold, count), value));
}

template <bool MSB>
EMB_OP bool bits_encode_row(const float* x, const float* threshold, int64_t d, uint8_t* out) {
  f32x16 poison = splat(0.0f);
  int64_t j = 0;
  for (; j + 64 <= d; j += 64) {
    uint64_t word = 0;
    for (int i = 0; i < 64; i += 16) word |= bits_above(x + j + i, threshold + j + i, 16, poison) << i;
    if (MSB) word = reverse_bits_in_bytes(word);
    __builtin_memcpy(out + j / 8, &word, 8);
  }
  if (j < d) {
    uint64_t word = 0;
    for (int64_t i = j; i < d; i += 16)
      word |= bits_above(x + i, threshold + i, d - i < 16 ? d - i : 16, poison) << (i - j);
    if (MSB) word = reverse_bits_in_bytes(word);
    __builtin_memcpy(out + j / 8, &word, static_cast<size_t>(d - j + 7) / 8);
  }
  return all_finite(poison);
}

int64_t bits_encode(const Rows& x, const float* threshold, bool msb, CodesOut out, Range r, float* scratch) {
  for (int64_t i = r.begin; i < r.end; ++i) {
    prefetch_ahead(x, i);
    const float* row = row_values(x, i, scratch);
    uint8_t* to = out.data + i * out.stride;
    const bool finite =
        msb ? bits_encode_row<true>(row, threshold, x.d, to) : bits_encode_row<false>(row, threshold, x.d, to);
    if (!finite) return i;
  }
  return kAllFinite;
}

// `low` or `high` of `count` <= 16 dimensions, by their bits; 0 in the lanes beyond.
EMB_OP f32x16 low_or_high(const BitsParams& p, int64_t j, int64_t count, uint64_t bits) {
  return select(mask_of(static_cast<uint32_t>(bits & 0xffff)), lanes_of(p.high + j, count), lanes_of(p.low + j, count));
}

// Into `out`, which has room for a multiple of 16 when `pad` is set: the lanes beyond d then are zeros.
EMB_OP void bits_decode_row(const uint8_t* codes, const BitsParams& p, float* out, bool pad) {
  for (int64_t j = 0; j < p.d; j += 64) {
    const int64_t count = p.d - j < 64 ? p.d - j : 64;
    uint64_t word = 0;
    __builtin_memcpy(&word, codes + j / 8, static_cast<size_t>(count + 7) / 8);
    if (p.msb) word = reverse_bits_in_bytes(word);
    int64_t i = j;
    for (; i + 16 <= j + count; i += 16, word >>= 16) store(out + i, low_or_high(p, i, 16, word));
    if (i == j + count) continue;
    const f32x16 last = low_or_high(p, i, p.d - i, word);
    if (pad)
      store(out + i, last);
    else
      store_tail(out + i, last, p.d - i);
  }
}

void bits_decode(const Codes& codes, const BitsParams& p, RowsOut out, Range r, float*) {
  put_rows(out, p.d, r, [&](int64_t i, float* to) { bits_decode_row(codes.data + i * codes.stride, p, to, false); });
}

void bits_topk(const Codes& codes, const BitsParams& p, const Scan& scan, Range rows, Range queries, float* scratch) {
  uint8_t* copy = reinterpret_cast<uint8_t*>(scratch);
  const auto form_of = [&](const float* x, float* folded) {
    CodeForm form = {};
    for (int64_t j = 0; j < p.d; ++j) {
      const float low = x[j] * p.low[j], high = x[j] * p.high[j];
      folded[j] = high - low;
      form.constant += low;
      form.sizes += 2.0f * (__builtin_fabsf(low) + __builtin_fabsf(high));
    }
    return form;
  };
  scan_codes(codes, {p.d, 1, p.msb, nullptr, 1}, {}, scan, rows, queries, scratch + padded16(p.d), form_of, plain_terms,
             [&](int64_t row, float* buffer) {
               bits_decode_row(code_of(codes, row, (p.d + 7) / 8, copy), p, buffer, true);
               return static_cast<const float*>(buffer);
             });
}

// Rows that stay in L1 while every query passes over them: where they are and their numbers.
struct HammingBlock {
  static constexpr int kTile = 4, kMost = 256;
  const uint8_t* rows[kMost];
  int64_t ids[kMost];
  int count;
};

// Distances from here on cannot enter the heap.
EMB_OP int64_t hamming_limit(const TopK& best) {
  return best.count == best.k ? static_cast<int64_t>(-best.floor) : INT64_MAX;
}

inline void hamming_block(const uint8_t* query, int64_t bytes, const HammingBlock& block, TopK& best) {
  constexpr int R = HammingBlock::kTile;
  int64_t limit = hamming_limit(best);
  for (int i = 0; i < block.count; i += R) {
    int64_t counts[R];
    popcount_xor<R>(query, block.rows + i, bytes, counts);
    for (int r = 0; r < R && i + r < block.count; ++r) {
      if (counts[r] >= limit) continue;
      keep(best, -static_cast<float>(counts[r]), block.ids[i + r]);
      limit = hamming_limit(best);
    }
  }
}

void hamming_topk(const Codes& codes, const Codes& queries, int64_t bytes, const uint8_t* mask, TopK* best, Range rows,
                  Range part) {
  const int64_t fit = 16384 / bytes / HammingBlock::kTile * HammingBlock::kTile;
  const int block_rows = static_cast<int>(fit < HammingBlock::kTile   ? HammingBlock::kTile
                                          : fit > HammingBlock::kMost ? HammingBlock::kMost
                                                                      : fit);
  HammingBlock block;
  for (int64_t row = rows.begin; row < rows.end;) {
    block.count = 0;
    for (; row < rows.end && block.count < block_rows; ++row) {
      if (mask && !mask[row]) continue;
      block.rows[block.count] = codes.data + row * codes.stride;
      block.ids[block.count++] = row;
    }
    // The last tile is filled up with a row that is there.
    for (int i = block.count; i % HammingBlock::kTile != 0; ++i) block.rows[i] = block.rows[block.count - 1];
    for (int64_t q = part.begin; q < part.end; ++q)
      hamming_block(queries.data + q * queries.stride, bytes, block, best[q]);
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
