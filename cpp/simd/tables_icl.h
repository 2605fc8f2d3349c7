// Look-ups in tables of bytes for 64 rows at a time, with VBMI and VNNI: kernels/adc_bytes.inl.h says what for.
#pragma once
#include "bytes_icl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

#define EMB_BYTE_TABLES 1
constexpr int kPlaneRows = 64;
constexpr int kLongTableQueries = 1 << 30;  // as many as there are share codes of 8 bits
constexpr bool kFours = true;               // codes of 4 bits are transposed by fours
constexpr bool kLongStrips = true;          // codes of 8 bits in columns are summed by strips
constexpr int64_t kFewColumns = 64;         // can be read side by side

// Where the 16 entries of subspace s lie: those of four bytes' lower halves beside each other, then of the upper ones.
EMB_OP int64_t short_place(int64_t s) { return s / 8 * 128 + s % 2 * 64 + s % 8 / 2 * 16; }

// 16 bytes of each row, `stride` bytes apart, transposed by fours: bytes 4j .. 4j + 3 of row r go to
// planes + (j * kPlaneRows + r) * 4. A permute of bytes has room for the tables of four.
EMB_OP void transpose_fours(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  const auto quarter = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  const int64_t four = 4 * stride, twelve = 12 * stride;
  for (int group = 0; group < kPlaneRows; group += 16, planes += 64, codes += twelve) {
    __m512i a[4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {  // rows r, r + 4, r + 8, r + 12, so that the quarters are 4 x 4 transposes
      a[r] = _mm512_inserti32x4(_mm512_castsi128_si512(quarter(codes)), quarter(codes + four), 1);
      a[r] = _mm512_inserti32x4(_mm512_inserti32x4(a[r], quarter(codes + 2 * four), 2), quarter(codes + twelve), 3);
      codes += stride;
      prefetch_ahead(ahead);
      ahead += step;
    }
    const __m512i low = _mm512_unpacklo_epi32(a[0], a[1]), high = _mm512_unpackhi_epi32(a[0], a[1]);
    const __m512i other_low = _mm512_unpacklo_epi32(a[2], a[3]), other_high = _mm512_unpackhi_epi32(a[2], a[3]);
    _mm512_storeu_si512(planes, _mm512_unpacklo_epi64(low, other_low));
    _mm512_storeu_si512(planes + 4 * kPlaneRows, _mm512_unpackhi_epi64(low, other_low));
    _mm512_storeu_si512(planes + 8 * kPlaneRows, _mm512_unpacklo_epi64(high, other_high));
    _mm512_storeu_si512(planes + 12 * kPlaneRows, _mm512_unpackhi_epi64(high, other_high));
  }
}

// 16 bytes of each row, `stride` bytes apart, transposed: byte b of all rows goes to planes + b * kPlaneRows. A vector
// takes rows r, r + 16, r + 32 and r + 48, so that its quarters are 16 x 16 transposes.
EMB_OP void transpose_bytes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  const auto quarter = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  const uint8_t *second = codes + 16 * stride, *third = second + 16 * stride, *fourth = third + 16 * stride;
  __m512i a[16], b[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    const int64_t at = r * stride;
    a[r] = _mm512_inserti32x4(_mm512_castsi128_si512(quarter(codes + at)), quarter(second + at), 1);
    a[r] = _mm512_inserti32x4(_mm512_inserti32x4(a[r], quarter(third + at), 2), quarter(fourth + at), 3);
    prefetch_ahead(ahead + r * step);
  }
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {  // each stage doubles the run of rows that lie together
    b[2 * r] = _mm512_unpacklo_epi8(a[r], a[r + 8]);
    b[2 * r + 1] = _mm512_unpackhi_epi8(a[r], a[r + 8]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {
    a[2 * r] = _mm512_unpacklo_epi8(b[r], b[r + 8]);
    a[2 * r + 1] = _mm512_unpackhi_epi8(b[r], b[r + 8]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {
    b[2 * r] = _mm512_unpacklo_epi8(a[r], a[r + 8]);
    b[2 * r + 1] = _mm512_unpackhi_epi8(a[r], a[r + 8]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < 8; ++r) {
    _mm512_storeu_si512(planes + 2 * r * kPlaneRows, _mm512_unpacklo_epi8(b[r], b[r + 8]));
    _mm512_storeu_si512(planes + (2 * r + 1) * kPlaneRows, _mm512_unpackhi_epi8(b[r], b[r + 8]));
  }
}

// The lower 16 bits of each 32.
EMB_OP __m512i lower_words(__m512i a, __m512i b) {
  alignas(64) static constexpr uint16_t kEven[32] = {0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
                                                     32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62};
  return _mm512_permutex2var_epi16(a, _mm512_load_si512(kEven), b);
}
EMB_OP __m512i long_entries(const uint8_t* table, __m512i codes) {
  const __m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(table), codes, _mm512_loadu_si512(table + 64));
  const __m512i high =
      _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), codes, _mm512_loadu_si512(table + 192));
  return _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(codes), high);
}

template <bool FOURS>
EMB_OP void transpose_codes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  if (FOURS)
    transpose_fours(codes, stride, planes, ahead, step);
  else
    transpose_bytes(codes, stride, planes, ahead, step);
}

// Four columns of kPlaneRows rows: one after the other, or row by row their four bytes.
template <bool FOURS>
EMB_OP void put_columns(const uint8_t* const* columns, uint8_t* planes) {
  __m512i a[4];
  for (int i = 0; i < 4; ++i) a[i] = _mm512_loadu_si512(columns[i]);
  if (FOURS) {
    // Quarter q of vector i is to hold rows 16 i + 4 q and on: unpack takes them from there.
    const __m512i rows = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < 4; ++i) a[i] = _mm512_permutexvar_epi32(rows, a[i]);
    const __m512i low = _mm512_unpacklo_epi8(a[0], a[1]), other_low = _mm512_unpacklo_epi8(a[2], a[3]);
    const __m512i high = _mm512_unpackhi_epi8(a[0], a[1]), other_high = _mm512_unpackhi_epi8(a[2], a[3]);
    a[0] = _mm512_unpacklo_epi16(low, other_low);
    a[1] = _mm512_unpackhi_epi16(low, other_low);
    a[2] = _mm512_unpacklo_epi16(high, other_high);
    a[3] = _mm512_unpackhi_epi16(high, other_high);
  }
  for (int i = 0; i < 4; ++i) _mm512_storeu_si512(planes + i * kPlaneRows, a[i]);
}

// Sums of bytes of 64 rows, entries of two codes added up before, which are at most 127 each.
template <int Q>
struct WordSums {
  __m512i both[Q], odd[Q];  // words: even rows + 256 * odd rows, odd rows
};
template <int Q>
EMB_OP WordSums<Q> no_word_sums() {
  WordSums<Q> s;
  for (int q = 0; q < Q; ++q) s.both[q] = s.odd[q] = _mm512_setzero_si512();
  return s;
}
template <int Q>
EMB_OP void add_bytes(WordSums<Q>& s, int q, __m512i entries) {
  s.both[q] = _mm512_add_epi16(s.both[q], entries);
  s.odd[q] = _mm512_add_epi16(s.odd[q], _mm512_srli_epi16(entries, 8));
}

EMB_OP WordSums<1> load_word_sums(const uint16_t* sums) {
  return {{_mm512_loadu_si512(sums)}, {_mm512_loadu_si512(sums + 32)}};
}
EMB_OP void store_word_sums(const WordSums<1>& s, uint16_t* sums) {
  _mm512_storeu_si512(sums, s.both[0]);
  _mm512_storeu_si512(sums + 32, s.odd[0]);
}

// What becomes of the sums of rows: whether they are at least those in `least`, (Q, kPlaneRows), or the sums
// themselves.
struct AtLeast {
  const uint16_t* least;
  uint64_t* rows;
  template <int Q>
  EMB_OP void operator()(const WordSums<Q>& s) const {
    for (int q = 0; q < Q; ++q) {
      const __m512i limit = _mm512_loadu_si512(least + q * kPlaneRows);
      const __m512i more = _mm512_loadu_si512(least + q * kPlaneRows + 32);
      const __m512i even = _mm512_sub_epi16(s.both[q], _mm512_slli_epi16(s.odd[q], 8));
      const __mmask32 of_even = _mm512_cmpge_epu16_mask(even, lower_words(limit, more));
      const __mmask32 of_odd =
          _mm512_cmpge_epu16_mask(s.odd[q], lower_words(_mm512_srli_epi32(limit, 16), _mm512_srli_epi32(more, 16)));
      const __m512i marks = _mm512_or_si512(_mm512_maskz_set1_epi16(of_even, 0x0080),
                                            _mm512_maskz_set1_epi16(of_odd, static_cast<int16_t>(0x8000)));
      rows[q] = _mm512_movepi8_mask(marks);
    }
  }
  template <int Q>
  EMB_OP void operator()(const __m512i (&sum)[Q][4]) const {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      rows[q] = 0;
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        const __m512i wanted = load_u16(least + q * kPlaneRows + 16 * g);
        rows[q] |= static_cast<uint64_t>(_mm512_cmpge_epi32_mask(sum[q][g], wanted)) << (16 * g);
      }
    }
  }
};
struct ToMemory {
  uint16_t* sums;  // (Q, kPlaneRows)
  template <int Q>
  EMB_OP void operator()(const WordSums<Q>& s) const {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int q = 0; q < Q; ++q) {
      const __m512i even = _mm512_sub_epi16(s.both[q], _mm512_slli_epi16(s.odd[q], 8));
      // Of each quarter's 16 rows eight.
      const __m512i low = _mm512_unpacklo_epi16(even, s.odd[q]), high = _mm512_unpackhi_epi16(even, s.odd[q]);
      _mm512_storeu_si512(sums + q * kPlaneRows, _mm512_permutex2var_epi64(low, first, high));
      _mm512_storeu_si512(sums + q * kPlaneRows + 32, _mm512_permutex2var_epi64(low, second, high));
    }
  }
  template <int Q>
  EMB_OP void operator()(const __m512i (&sum)[Q][4]) const {
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q)
      for (int half = 0; half < 2; ++half)
        _mm512_storeu_si512(sums + q * kPlaneRows + 32 * half, lower_words(sum[q][2 * half], sum[q][2 * half + 1]));
  }
};

// What was loaded, in a register: GCC 12 loads again for each use, and a load across two lines is two.
#if defined(EMB_EMULATED)
EMB_OP __m512i held(__m512i a) { return a; }
#else
EMB_OP __m512i held(__m512i a) {
  asm("" : "+v"(a));
  return a;
}
#endif

// Of codes of 4 bits, a permute looks up 64 entries and a product with ones adds them by fours. Not inlined: the
// compiler then keeps the sums in registers.
template <int Q, class Finish>
__attribute__((noinline)) void add_up_short(const uint8_t* planes, int64_t bytes, const uint8_t* table, int64_t size,
                                            Finish finish) {
  const __m512i nibble = _mm512_set1_epi8(15), which = _mm512_set1_epi32(0x30201000), ones = _mm512_set1_epi8(1);
  __m512i sum[Q][4];
#pragma GCC unroll 4
  for (int q = 0; q < Q; ++q)
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) sum[q][g] = _mm512_setzero_si512();
  for (int64_t b = 0; b < bytes; b += 4, planes += 4 * kPlaneRows, table += 128) {
    __m512i low[4], high[4];
#pragma GCC unroll 4
    for (int g = 0; g < 4; ++g) {
      const __m512i codes = _mm512_loadu_si512(planes + 64 * g);
      low[g] = _mm512_or_si512(_mm512_and_si512(codes, nibble), which);
      high[g] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble), which);
    }
#pragma GCC unroll 4
    for (int q = 0; q < Q; ++q) {
      const __m512i first = _mm512_loadu_si512(table + q * size), second = _mm512_loadu_si512(table + q * size + 64);
#pragma GCC unroll 4
      for (int g = 0; g < 4; ++g) {
        add_dot4(sum[q][g], _mm512_permutexvar_epi8(low[g], first), ones);
        add_dot4(sum[q][g], _mm512_permutexvar_epi8(high[g], second), ones);
      }
    }
  }
  finish(sum);
}

// ... of which a vector holds one byte of each row, two permutes look up entries. They take six bits, of which the
// upper two choose among equals here.
EMB_OP __m512i short_entries(const uint8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
EMB_OP __m512i short_sum(__m512i lower, __m512i upper, __m512i codes) {
  return _mm512_add_epi8(_mm512_permutexvar_epi8(codes, lower),
                         _mm512_permutexvar_epi8(_mm512_srli_epi16(codes, 4), upper));
}
template <int Q, class Finish>
__attribute__((noinline)) void add_up_halves(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table,
                                             int64_t size, Finish finish) {
  WordSums<Q> sums = no_word_sums<Q>();
  const auto add_byte = [&](const uint8_t* lower, const uint8_t* upper) {
    __builtin_prefetch(planes + kColumnAhead);
    const __m512i codes = held(_mm512_loadu_si512(planes));
    for (int q = 0; q < Q; ++q)
      add_bytes(sums, q, short_sum(short_entries(lower + q * size), short_entries(upper + q * size), codes));
    planes += stride;
  };
  int64_t b = 0;
  for (; b + 4 <= bytes; b += 4, table += 128)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) add_byte(table + short_place(2 * i), table + short_place(2 * i + 1));
  for (int64_t i = 0; b + i < bytes; ++i) add_byte(table + short_place(2 * i), table + short_place(2 * i + 1));
  finish(sums);
}

// ... of 8 bits, four permutes look up a table.
template <int Q>
__attribute__((noinline)) void add_up_long(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table,
                                           int64_t size, AtLeast finish) {
  WordSums<Q> sums = no_word_sums<Q>();
  int64_t b = 0;
  for (; b + 2 <= bytes; b += 2, planes += 2 * stride, table += 512) {
    __builtin_prefetch(planes + kColumnAhead);
    __builtin_prefetch(planes + stride + kColumnAhead);
    for (int q = 0; q < Q; ++q)
      add_bytes(sums, q,
                _mm512_add_epi8(long_entries(table + q * size, _mm512_loadu_si512(planes)),
                                long_entries(table + q * size + 256, _mm512_loadu_si512(planes + stride))));
  }
  for (int q = 0; q < Q && b < bytes; ++q)
    add_bytes(sums, q, long_entries(table + q * size, _mm512_loadu_si512(planes)));
  finish(sums);
}

// Adds up the entries of G columns, which stay in registers meanwhile.
template <int BITS, int G>
EMB_OP void add_columns(const uint8_t* columns, int64_t stride, int64_t rows, const uint8_t* table, bool first,
                        uint16_t* sums) {
  constexpr int kParts = BITS == 8 ? 4 : 2;  // of 4 bits: entries of lower halves, of upper halves
  __m512i part[G][kParts];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) {
      const uint8_t* from = table + (BITS == 8 ? 256 : 16) * g + 64 * i;
      part[g][i] = BITS == 8 ? _mm512_loadu_si512(from) : short_entries(from);
    }
  const auto entries = [&](int g) {
    const __m512i codes = held(_mm512_loadu_si512(columns + g * stride));
    if (BITS == 8)
      return _mm512_mask_mov_epi8(_mm512_permutex2var_epi8(part[g][0], codes, part[g][1]), _mm512_movepi8_mask(codes),
                                  _mm512_permutex2var_epi8(part[g][kParts - 2], codes, part[g][kParts - 1]));
    return short_sum(part[g][0], part[g][1], codes);
  };
  for (int64_t r = 0; r < rows; r += kPlaneRows, columns += kPlaneRows, sums += kPlaneRows) {
    WordSums<1> s = first ? no_word_sums<1>() : load_word_sums(sums);
    constexpr int kTogether = BITS == 8 && G > 1 ? 2 : 1;
#pragma GCC unroll 4
    for (int g = 0; g < G; g += kTogether)
      add_bytes(s, 0, kTogether == 1 ? entries(g) : _mm512_add_epi8(entries(g), entries(g + 1)));
    store_word_sums(s, sums);
  }
}

// Of codes in columns `stride` apart, the sums of the entries of many rows: of each kPlaneRows, as WordSums has them.
template <int BITS>
__attribute__((noinline)) void sum_columns(const uint8_t* columns, int64_t stride, int64_t rows, int64_t bytes,
                                           const uint8_t* table, uint16_t* sums) {
  int64_t b = 0;
  for (; b + 4 <= bytes; b += 4, columns += 4 * stride, table += BITS == 8 ? 1024 : 128)
    add_columns<BITS, 4>(columns, stride, rows, table, b == 0, sums);
  for (; b < bytes; ++b, columns += stride, table += BITS == 8 ? 256 : 16)
    add_columns<BITS, 1>(columns, stride, rows, table, b == 0, sums);
}

// What becomes of the sums of kPlaneRows rows that sum_columns left.
template <class Finish>
EMB_OP void finish_sums(const uint16_t* sums, Finish finish) {
  finish(load_word_sums(sums));
}

// Of Q queries, which rows' sums of entries, one for each code of BITS bits, are at least those in `least`, (Q,
// kPlaneRows). Their tables lie `size` bytes apart.
template <int BITS, int Q, bool FOURS>
EMB_OP void rows_reaching(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table, int64_t size,
                          const uint16_t* least, uint64_t* rows) {
  if constexpr (BITS == 8)
    add_up_long<Q>(planes, stride, bytes, table, size, AtLeast{least, rows});
  else if constexpr (FOURS)
    add_up_short<Q>(planes, bytes, table, size, AtLeast{least, rows});
  else
    add_up_halves<Q>(planes, stride, bytes, table, size, AtLeast{least, rows});
}

// The sums themselves, for codes of 4 bits: (Q, kPlaneRows).
template <int Q, bool FOURS>
EMB_OP void sum_rows(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table, int64_t size,
                     uint16_t* sums) {
  if constexpr (FOURS)
    add_up_short<Q>(planes, bytes, table, size, ToMemory{sums});
  else
    add_up_halves<Q>(planes, stride, bytes, table, size, ToMemory{sums});
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
