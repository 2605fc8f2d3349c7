// Operations on bytes, of which a level takes as many at a time as it likes: windows of a trellis code's bit string,
// their levels, and integer scalar products. They are exact, so that every level gives the same results.
#pragma once
#include "prefetch.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kWindows = 16;  // windows cut at a time

struct windows {
  uint8_t v[kWindows];
};
struct levels {
  int8_t v[kWindows];
};
struct LevelBook {
  const int8_t* v;
};

// Window i: the 8 bits at bit i * SHIFT of p, where zeros follow the `left` bytes that there are; left > 0. Up to
// kReadBeyond bytes may be read beyond them, whatever they are.
template <int SHIFT>
EMB_OP windows cut_windows(const uint8_t* p, int64_t left) {
  windows w;
  for (int i = 0; i < kWindows; ++i) {
    const int64_t byte = i * SHIFT / 8;
    const uint32_t here = byte < left ? p[byte] : 0u, next = byte + 1 < left ? p[byte + 1] : 0u;
    w.v[i] = static_cast<uint8_t>((here | next << 8) >> (i * SHIFT % 8));
  }
  return w;
}

EMB_OP LevelBook load_book(const int8_t* book) { return {book}; }

EMB_OP levels look_up(const LevelBook& book, windows w) {
  levels r;
  for (int i = 0; i < kWindows; ++i) {
    const int sign = static_cast<int8_t>(w.v[i]) >> 7;  // a window of the upper half: minus the level of 255 - w
    r.v[i] = static_cast<int8_t>((book.v[(w.v[i] ^ sign) & 127] ^ sign) - sign);
  }
  return r;
}

EMB_OP void store_levels(int8_t* p, levels a) { __builtin_memcpy(p, a.v, sizeof a.v); }
EMB_OP void store_pairs(int8_t* p, levels a, levels b) {  // a0 b0 a1 b1 ...
  for (int i = 0; i < kWindows; ++i) {
    p[2 * i] = a.v[i];
    p[2 * i + 1] = b.v[i];
  }
}

constexpr int kIntRows = 2, kIntQueries = 1;  // of a tile of scalar products

// sums[q * R + r] = row r . query q, over n values of -127..127; n is a multiple of 64. The array without a
// name holds the sum of each query's values, which some levels need.
template <int R, int Q>
EMB_OP void dot_i8(const int8_t* rows, int64_t row_stride, const int8_t* queries, int64_t query_stride, const int32_t*,
                   int64_t n, int32_t* sums) {
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) {
      const int8_t *x = rows + r * row_stride, *y = queries + q * query_stride;
      int32_t sum = 0;
      for (int64_t j = 0; j < n; ++j) sum += x[j] * y[j];
      sums[q * R + r] = sum;
    }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
