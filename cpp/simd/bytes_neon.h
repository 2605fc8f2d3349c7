// The operations of bytes_scalar.h in NEON: 16 bytes at a time.
#pragma once
#include "prefetch.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kWindows = 16;

typedef uint8x16_t windows;
typedef int8x16_t levels;
struct LevelBook {
  int8x16x4_t low, high;  // levels 0..63, 64..127
};

// [byte, next byte] of the even windows as words, then of the odd; shifted so that the window is the lower byte.
template <int SHIFT>
EMB_OP windows cut_windows(const uint8_t* p, int64_t left) {
#define EMB_AT(I) (I) * SHIFT / 8, (I) * SHIFT / 8 + 1
#define EMB_DOWN(I) -((I) * SHIFT % 8)
  static const uint8_t even_at[16] = {EMB_AT(0), EMB_AT(2),  EMB_AT(4),  EMB_AT(6),
                                      EMB_AT(8), EMB_AT(10), EMB_AT(12), EMB_AT(14)};
  static const uint8_t odd_at[16] = {EMB_AT(1), EMB_AT(3),  EMB_AT(5),  EMB_AT(7),
                                     EMB_AT(9), EMB_AT(11), EMB_AT(13), EMB_AT(15)};
  static const int16_t even_down[8] = {EMB_DOWN(0), EMB_DOWN(2),  EMB_DOWN(4),  EMB_DOWN(6),
                                       EMB_DOWN(8), EMB_DOWN(10), EMB_DOWN(12), EMB_DOWN(14)};
  static const int16_t odd_down[8] = {EMB_DOWN(1), EMB_DOWN(3),  EMB_DOWN(5),  EMB_DOWN(7),
                                      EMB_DOWN(9), EMB_DOWN(11), EMB_DOWN(13), EMB_DOWN(15)};
#undef EMB_AT
#undef EMB_DOWN
  uint8x16_t bytes = vld1q_u8(p);
  if (left < 16) {
    static const uint8_t number[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    bytes = vandq_u8(bytes, vcltq_u8(vld1q_u8(number), vdupq_n_u8(static_cast<uint8_t>(left))));
  }
  const uint16x8_t even = vreinterpretq_u16_u8(vqtbl1q_u8(bytes, vld1q_u8(even_at)));
  const uint16x8_t odd = vreinterpretq_u16_u8(vqtbl1q_u8(bytes, vld1q_u8(odd_at)));
  const uint8x8_t a = vmovn_u16(vshlq_u16(even, vld1q_s16(even_down)));
  const uint8x8_t b = vmovn_u16(vshlq_u16(odd, vld1q_s16(odd_down)));
  const uint8x8x2_t both = vzip_u8(a, b);
  return vcombine_u8(both.val[0], both.val[1]);
}

EMB_OP LevelBook load_book(const int8_t* book) {
  LevelBook b;
  for (int i = 0; i < 4; ++i) {
    b.low.val[i] = vld1q_s8(book + 16 * i);
    b.high.val[i] = vld1q_s8(book + 64 + 16 * i);
  }
  return b;
}

EMB_OP levels look_up(const LevelBook& book, windows w) {
  const int8x16_t sign = vshrq_n_s8(vreinterpretq_s8_u8(w), 7);
  const uint8x16_t at = veorq_u8(w, vreinterpretq_u8_s8(sign));
  const int8x16_t low = vqtbl4q_s8(book.low, at);  // 0 where at >= 64; below, tbx keeps what is there
  const int8x16_t r = vqtbx4q_s8(low, book.high, vsubq_u8(at, vdupq_n_u8(64)));
  return vsubq_s8(veorq_s8(r, sign), sign);
}

EMB_OP void store_levels(int8_t* p, levels a) { vst1q_s8(p, a); }
EMB_OP void store_pairs(int8_t* p, levels a, levels b) { vst2q_s8(p, (int8x16x2_t{{a, b}})); }

constexpr int kIntRows = 2, kIntQueries = 2;

template <int R, int Q>
EMB_OP void dot_i8(const int8_t* rows, int64_t row_stride, const int8_t* queries, int64_t query_stride, const int32_t*,
                   int64_t n, int32_t* sums) {
  int32x4_t sum[Q][R];
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sum[q][r] = vdupq_n_s32(0);
  for (int64_t j = 0; j < n; j += 16) {
    int8x16_t x[R];
    for (int r = 0; r < R; ++r) x[r] = vld1q_s8(rows + r * row_stride + j);
    for (int q = 0; q < Q; ++q) {
      const int8x16_t y = vld1q_s8(queries + q * query_stride + j);
      for (int r = 0; r < R; ++r) {
        const int16x8_t low = vmull_s8(vget_low_s8(x[r]), vget_low_s8(y)), both = vmlal_high_s8(low, x[r], y);
        sum[q][r] = vpadalq_s16(sum[q][r], both);
      }
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sums[q * R + r] = vaddvq_s32(sum[q][r]);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
