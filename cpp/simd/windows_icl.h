// Windows of trellis codes, cut, looked up and multiplied with a query's bytes in one pass: kernels/trellis_scan.inl.h.
#pragma once
#include "bytes_icl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

#define EMB_WINDOW_PRODUCTS 1

constexpr int kQuarter = 16;  // windows, of four rows to a vector

// Windows of a row's bit string that are looked up together: `sets` times kWindows, or kQuarter.
struct WindowVector {
  int64_t from;        // their first byte
  int shift;           // bits from one to the next
  int sets;            // of eight windows in each lane of 64 bits
  uint64_t there;      // which of the bytes that its lanes get are the string's; zeros follow
  const int8_t* book;  // levels + 128; of pairs the second's follow
};

// The most sets for which a lane has room: the last window must end within 64 bits.
EMB_OP int window_sets(int shift) { return (56 + shift) / (8 * shift); }

// Where the byte of window w lies among those of a query: set by set, of each lane's windows the eight that are its.
EMB_OP int64_t window_place(int64_t w, int sets, int width, int64_t lanes) {
  const int64_t lane = w / (8 * sets), within = w % (8 * sets);
  return within / 8 * width * lanes + lane * 8 + within % 8;
}

// Where each byte of the lanes comes from, which lie `step` bytes apart in the row. Of quarters, counted from the
// row's.
EMB_OP __m512i lane_bytes(int step, bool quarter) {
  const __m512i lane = quarter ? _mm512_setr_epi64(0, 1, 0, 1, 0, 1, 0, 1) : _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i first = _mm512_mullo_epi64(lane, _mm512_set1_epi64(0x0101010101010101 * step));
  return _mm512_add_epi64(first, _mm512_set1_epi64(0x0706050403020100));
}

EMB_OP WindowVector window_vector(int64_t from, int64_t bytes, int shift, int sets, const int8_t* book, bool quarter) {
  const int64_t left = bytes - from;
  const __m512i end = _mm512_set1_epi8(static_cast<char>(left < kWindows ? left : kWindows));
  return {from, shift, sets, _mm512_cmplt_epu8_mask(lane_bytes(shift * sets, quarter), end), book};
}

// Adds, for a tile of rows, the levels of `count` vectors of windows times the query's bytes; where these go on.
template <bool PAIRS>
EMB_OP const int8_t* add_windows(const uint8_t* const* rows, const WindowVector* vectors, int64_t count,
                                 const int8_t* query, CodeSums& sums) {
  constexpr int kRows = 8;
  if (!count) return query;
  const int8_t* at = query;
  for (int tile = 0; tile < kCodeTile; tile += kRows, rows += kRows) {
    __m512i sum[kRows], bytes[kRows];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sum[r] = sums.row[tile + r];
    at = query;
    for (const WindowVector* v = vectors; v < vectors + count; ++v) {
      const __m512i lanes = lane_bytes(v->shift * v->sets, false);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        prefetch_ahead(rows[r] + v->from);
        bytes[r] = _mm512_maskz_permutexvar_epi8(v->there, lanes, _mm512_loadu_si512(rows[r] + v->from));
      }
      const __m512i next_set = _mm512_set1_epi8(static_cast<char>(8 * v->shift));
      __m512i from = _mm512_set1_epi64(0x0706050403020100 * v->shift);
      const LevelBook book = load_book(v->book);
      for (int set = 0; set < v->sets; ++set, at += PAIRS ? 2 * kWindows : kWindows) {
        const __m512i y = _mm512_loadu_si512(at);
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const windows w = _mm512_multishift_epi64_epi8(from, bytes[r]);
          add_dot4(sum[r], look_up(book, w), y);
          if constexpr (PAIRS)
            add_dot4(sum[r], look_up(load_book(v->book + 128), w), _mm512_loadu_si512(at + kWindows));
        }
        from = _mm512_add_epi8(from, next_set);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums.row[tile + r] = sum[r];
  }
  return at;
}

// Of quarters of 16 rows: vector i has row 4q + i in quarter q.
struct QuarterSums {
  __m512i of[4];
};
EMB_OP QuarterSums no_quarter_sums() {
  const __m512i zero = _mm512_setzero_si512();
  return {{zero, zero, zero, zero}};
}

EMB_OP void store_sums(const CodeSums& whole, const QuarterSums& quarters, int32_t* out) {
  _mm512_storeu_si512(out, _mm512_add_epi32(sums_of(whole), quarter_sums(quarters.of)));
}

EMB_OP __m512i four_times(const int8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// ... and for quarters of 16 rows.
template <bool PAIRS>
EMB_OP const int8_t* add_quarters(const uint8_t* const* rows, const WindowVector* vectors, int64_t count,
                                  const int8_t* query, QuarterSums& sums) {
  for (const WindowVector* v = vectors; v < vectors + count; ++v, query += PAIRS ? 2 * kQuarter : kQuarter) {
    const __m512i quarters = _mm512_setr_epi64(0, 0, 0x1010101010101010, 0x1010101010101010, 0x2020202020202020,
                                               0x2020202020202020, 0x3030303030303030, 0x3030303030303030);
    const __m512i at = _mm512_add_epi64(lane_bytes(v->shift, true), quarters);
    const __m512i from = _mm512_set1_epi64(0x0706050403020100 * v->shift);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const auto part = [&](int q) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[4 * q + i] + v->from));
      };
      __m512i bytes = _mm512_inserti32x4(_mm512_castsi128_si512(part(0)), part(1), 1);
      bytes = _mm512_inserti32x4(_mm512_inserti32x4(bytes, part(2), 2), part(3), 3);
      const windows w = _mm512_multishift_epi64_epi8(from, _mm512_maskz_permutexvar_epi8(v->there, at, bytes));
      add_dot4(sums.of[i], look_up(load_book(v->book), w), four_times(query));
      if constexpr (PAIRS) add_dot4(sums.of[i], look_up(load_book(v->book + 128), w), four_times(query + kQuarter));
    }
  }
  return query;
}

// All sums times 2 ** bits.
EMB_OP void shift_sums(CodeSums& whole, QuarterSums& quarters, int bits) {
  const __m512i by = _mm512_set1_epi32(bits);
#pragma GCC unroll 16
  for (int r = 0; r < kCodeTile; ++r) whole.row[r] = _mm512_sllv_epi32(whole.row[r], by);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) quarters.of[i] = _mm512_sllv_epi32(quarters.of[i], by);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
