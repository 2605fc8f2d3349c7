// The operations of bytes_scalar.h in AVX2: 32 bytes at a time. For the avx512 level too, which has no byte permute.
#pragma once
#include "prefetch.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kWindows = 32;

typedef __m256i windows;
typedef __m256i levels;
struct LevelBook {
  __m256i part[8];  // 16 levels each, in both halves
};

// The first `count` of 16 bytes, zeros behind.
EMB_OP __m128i first_bytes(__m128i bytes, int64_t count) {
  static const uint8_t ones_then_zeros[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                              255, 255, 255, 255, 255, 255, 255, 255};
  const int64_t kept = count < 0 ? 0 : count < 16 ? count : 16;
  return _mm_and_si128(bytes, _mm_loadu_si128(reinterpret_cast<const __m128i*>(ones_then_zeros + 16 - kept)));
}

#define EMB_HALF_WINDOWS 1

// 16 windows in each half, those from `p` and those from `q`, and how many bytes there are from there on, `q_left` no
// more than `left`. From the bytes of a unit: [byte, next byte] of the even windows as words, then of the odd. A word
// times 2^(8 - shift) has the window in its upper byte.
template <int SHIFT>
EMB_OP windows cut_halves(const uint8_t* p, int64_t left, const uint8_t* q, int64_t q_left) {
  __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
  if (q_left <= 2 * SHIFT) {  // the last windows look beyond
    low = first_bytes(low, left);
    high = first_bytes(high, q_left);
  }
#define EMB_AT(I) (I) * SHIFT / 8, (I) * SHIFT / 8 + 1
#define EMB_SCALE(I) (1 << (8 - (I) * SHIFT % 8))
  const __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
  const __m256i even_at = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(EMB_AT(0), EMB_AT(2), EMB_AT(4), EMB_AT(6), EMB_AT(8), EMB_AT(10), EMB_AT(12), EMB_AT(14)));
  const __m256i odd_at = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(EMB_AT(1), EMB_AT(3), EMB_AT(5), EMB_AT(7), EMB_AT(9), EMB_AT(11), EMB_AT(13), EMB_AT(15)));
  const __m256i even_scale =
      _mm256_broadcastsi128_si256(_mm_setr_epi16(EMB_SCALE(0), EMB_SCALE(2), EMB_SCALE(4), EMB_SCALE(6), EMB_SCALE(8),
                                                 EMB_SCALE(10), EMB_SCALE(12), EMB_SCALE(14)));
  const __m256i odd_scale =
      _mm256_broadcastsi128_si256(_mm_setr_epi16(EMB_SCALE(1), EMB_SCALE(3), EMB_SCALE(5), EMB_SCALE(7), EMB_SCALE(9),
                                                 EMB_SCALE(11), EMB_SCALE(13), EMB_SCALE(15)));
#undef EMB_AT
#undef EMB_SCALE
  const __m256i even = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, even_at), even_scale);
  const __m256i odd = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, odd_at), odd_scale);
  return _mm256_or_si256(_mm256_srli_epi16(even, 8), _mm256_andnot_si256(_mm256_set1_epi16(255), odd));
}

template <int SHIFT>
EMB_OP windows cut_windows(const uint8_t* p, int64_t left) {
  return cut_halves<SHIFT>(p, left, p + 2 * SHIFT, left - 2 * SHIFT);
}

EMB_OP LevelBook load_book(const int8_t* book) {
  LevelBook b;
  for (int i = 0; i < 8; ++i)
    b.part[i] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(book + 16 * i)));
  return b;
}

// The low four bits choose in each part, the next three among the parts: blendv looks at the highest bit of a byte.
EMB_OP levels look_up(const LevelBook& book, windows w) {
  const __m256i sign = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w), at = _mm256_xor_si256(w, sign);
  __m256i r[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_shuffle_epi8(book.part[i], at);
  const __m256i bit4 = _mm256_slli_epi16(at, 3), bit5 = _mm256_slli_epi16(at, 2), bit6 = _mm256_slli_epi16(at, 1);
  for (int i = 0; i < 4; ++i) r[i] = _mm256_blendv_epi8(r[2 * i], r[2 * i + 1], bit4);
  for (int i = 0; i < 2; ++i) r[i] = _mm256_blendv_epi8(r[2 * i], r[2 * i + 1], bit5);
  return _mm256_sub_epi8(_mm256_xor_si256(_mm256_blendv_epi8(r[0], r[1], bit6), sign), sign);
}

EMB_OP void store_levels(int8_t* p, levels a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
EMB_OP void store_halves(int8_t* p, int8_t* q, levels a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(a));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(q), _mm256_extracti128_si256(a, 1));
}
// unpack works within halves: low = [0-7, 16-23] of each, high = [8-15, 24-31].
EMB_OP void store_pair_halves(int8_t* p, int8_t* q, levels a, levels b) {
  const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
  store_levels(p, _mm256_permute2x128_si256(low, high, 0x20));
  store_levels(q, _mm256_permute2x128_si256(low, high, 0x31));
}
EMB_OP void store_pairs(int8_t* p, levels a, levels b) { store_pair_halves(p, p + 32, a, b); }

EMB_OP int32_t sum_i32(__m256i a) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

constexpr int kIntRows = 2, kIntQueries = 2;

// maddubs wants one operand without sign: |x| and y with the sign of x. 2 * 127 * 127 fits its words.
template <int R, int Q>
EMB_OP void dot_i8(const int8_t* rows, int64_t row_stride, const int8_t* queries, int64_t query_stride, const int32_t*,
                   int64_t n, int32_t* sums) {
  __m256i sum[Q][R];
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sum[q][r] = _mm256_setzero_si256();
  for (int64_t j = 0; j < n; j += 32) {
    __m256i x[R], size[R];
    for (int r = 0; r < R; ++r) {
      x[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + r * row_stride + j));
      size[r] = _mm256_abs_epi8(x[r]);
    }
    for (int q = 0; q < Q; ++q) {
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(queries + q * query_stride + j));
      for (int r = 0; r < R; ++r) {
        const __m256i pairs = _mm256_maddubs_epi16(size[r], _mm256_sign_epi8(y, x[r]));
        sum[q][r] = _mm256_add_epi32(sum[q][r], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      }
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sums[q * R + r] = sum_i32(sum[q][r]);
}

#define EMB_CODE_PRODUCTS 1
constexpr int kBytes = 32;    // of codes, multiplied at a time
constexpr int kCodeTile = 8;  // rows of which so many sums are made together

// The largest magnitude of a query's bytes beside values of 0..largest: maddubs adds two products in 16 bits.
EMB_OP float byte_limit(int largest) { return largest > 129 ? 64.0f : 127.0f; }
constexpr int kLargestValue = 127;  // that a table may have for a code

struct CodeTable {
  __m256i values;  // 16 bytes, twice
};
EMB_OP CodeTable load_code_table(const uint8_t* table) {
  const __m128i values = table ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(table)) : _mm_setzero_si128();
  return {_mm256_broadcastsi128_si256(values)};
}

// Sums of 8 vectors: hadd adds neighbours, of two vectors at once, within halves.
EMB_OP void store_sums(const __m256i (&sum)[8], int32_t* out) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[4], sum[5]), _mm256_hadd_epi32(sum[6], sum[7]));
  const __m256i all = _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), all);
}

// sums[r]: the values of row r's codes times the query's bytes, over `loads` times kBytes bytes of codes. What lies
// ahead is asked for row after row: side by side, as the tile reads them, rows come from memory at two thirds of the
// rate (Zen 3).
template <int BITS, bool TABLE>
EMB_OP void code_products(const uint8_t* const* rows, int64_t loads, const int8_t* query, const CodeTable& table,
                          int32_t* sums) {
  constexpr int kParts = 8 / BITS;
  const __m256i low = _mm256_set1_epi8(static_cast<char>((1 << BITS) - 1)), ones = _mm256_set1_epi16(1);
  __m256i sum[kCodeTile];
  for (int r = 0; r < kCodeTile; ++r) sum[r] = _mm256_setzero_si256();
  int64_t line = 0;
  const uint8_t* const* row = rows;
  const auto ask_for_line = [&] {
    prefetch_ahead(*row + line);
    line += 64;
    if (line >= loads * kBytes) line = 0, ++row;
  };
  for (int64_t i = 0; i < loads; ++i)
    for (int part = 0; part < kParts; ++part) {
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + (i * kParts + part) * kBytes));
      for (int r = 0; r < kCodeTile; ++r) {
        __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + i * kBytes));
        if (part)
          value = _mm256_srli_epi16(value, BITS * part);
        else if (r % 2 == 0)
          ask_for_line();
        if (BITS < 8) value = _mm256_and_si256(value, low);
        if (TABLE) value = _mm256_shuffle_epi8(table.values, value);
        sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(_mm256_maddubs_epi16(value, y), ones));
      }
    }
  if (loads % 2)
    for (int r = 0; r < kCodeTile; r += 2) ask_for_line();
  store_sums(sum, sums);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
