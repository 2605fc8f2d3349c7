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

// 16 windows in each half, from the bytes of a unit: [byte, next byte] of the even windows as words, then of the odd.
// A word times 2^(8 - shift) has the window in its upper byte.
template <int SHIFT>
EMB_OP windows cut_windows(const uint8_t* p, int64_t left) {
  __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 2 * SHIFT));
  if (left <= 4 * SHIFT) {  // the last windows look beyond
    low = first_bytes(low, left);
    high = first_bytes(high, left - 2 * SHIFT);
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
// unpack works within halves: low = [0-7, 16-23] of each, high = [8-15, 24-31].
EMB_OP void store_pairs(int8_t* p, levels a, levels b) {
  const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
  store_levels(p, _mm256_permute2x128_si256(low, high, 0x20));
  store_levels(p + 32, _mm256_permute2x128_si256(low, high, 0x31));
}

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

// sums[r]: the values of row r's codes times the query's bytes, over `loads` times kBytes bytes of codes.
template <int BITS, bool TABLE>
EMB_OP void code_products(const uint8_t* const* rows, int64_t loads, const int8_t* query, const CodeTable& table,
                          int32_t* sums) {
  constexpr int kParts = 8 / BITS;
  const __m256i low = _mm256_set1_epi8(static_cast<char>((1 << BITS) - 1)), ones = _mm256_set1_epi16(1);
  __m256i sum[kCodeTile];
  for (int r = 0; r < kCodeTile; ++r) sum[r] = _mm256_setzero_si256();
  for (int64_t i = 0; i < loads; ++i)
    for (int part = 0; part < kParts; ++part) {
      const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(query + (i * kParts + part) * kBytes));
      for (int r = 0; r < kCodeTile; ++r) {
        __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r] + i * kBytes));
        if (part)
          value = _mm256_srli_epi16(value, BITS * part);
        else
          prefetch_ahead(rows[r] + i * kBytes);
        if (BITS < 8) value = _mm256_and_si256(value, low);
        if (TABLE) value = _mm256_shuffle_epi8(table.values, value);
        sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(_mm256_maddubs_epi16(value, y), ones));
      }
    }
  store_sums(sum, sums);
}

#define EMB_BYTE_TABLES 1
constexpr int kPlaneRows = 64;        // by halves of 32
constexpr int kLongTableQueries = 3;  // at most these share codes of 8 bits: more are faster with tables of floats
constexpr bool kFours = false;        // codes of 4 bits are transposed by fours

// 16 bytes of 32 rows, `stride` bytes apart, transposed: byte b of all rows goes to planes + b * kPlaneRows. A vector
// takes rows r and r + 16, so that its halves are 16 x 16 transposes.
inline void transpose_bytes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  const auto half = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  const int64_t sixteen = 16 * stride;
  __m256i a[16], b[16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r, codes += stride, ahead += step) {
    a[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(half(codes)), half(codes + sixteen), 1);
    prefetch_ahead(ahead);
  }
#pragma GCC unroll 16
  for (int stage = 0; stage < 4; ++stage) {  // each doubles the run of rows that lie together
#pragma GCC unroll 16
    for (int r = 0; r < 8; ++r) {
      b[2 * r] = _mm256_unpacklo_epi8(a[r], a[r + 8]);
      b[2 * r + 1] = _mm256_unpackhi_epi8(a[r], a[r + 8]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) a[r] = b[r];
  }
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) _mm256_storeu_si256(reinterpret_cast<__m256i*>(planes + r * kPlaneRows), a[r]);
}

template <bool>
EMB_OP void transpose_codes(const uint8_t* codes, int64_t stride, uint8_t* planes, const uint8_t* ahead, int64_t step) {
  transpose_bytes(codes, stride, planes, ahead, step / 2);
  transpose_bytes(codes + 32 * stride, stride, planes + 32, ahead + step / 2 * 16, step / 2);
}

// Four columns of kPlaneRows rows.
template <bool>
EMB_OP void put_columns(const uint8_t* const* columns, uint8_t* planes) {
  for (int i = 0; i < 4; ++i) __builtin_memcpy(planes + i * kPlaneRows, columns[i], kPlaneRows);
}

// Where the 16 entries of subspace s lie.
EMB_OP int64_t short_place(int64_t s) { return 16 * s; }
EMB_OP __m256i short_entries(const uint8_t* table, __m256i codes) {
  const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), codes);
}

// The low four bits choose in each of 16 parts of a table, where a shuffle gives 0 if the highest is set: so that two
// parts make one; the bits between choose among these.
EMB_OP __m256i long_entries(const uint8_t* table, __m256i codes) {
  const __m256i other = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
  const __m256i bit4 = _mm256_slli_epi16(codes, 3), bit5 = _mm256_slli_epi16(codes, 2);
  const auto eighth = [&](int i) {
    return _mm256_or_si256(short_entries(table + 16 * i, codes), short_entries(table + 128 + 16 * i, other));
  };
  const auto half = [&](int i) {
    const __m256i first = _mm256_blendv_epi8(eighth(i), eighth(i + 1), bit4);
    return _mm256_blendv_epi8(first, _mm256_blendv_epi8(eighth(i + 2), eighth(i + 3), bit4), bit5);
  };
  return _mm256_blendv_epi8(half(0), half(4), _mm256_slli_epi16(codes, 1));
}

// Which of 32 rows' sums, as words of even rows + 256 * odd rows and of odd rows, are at least those in `least`.
EMB_OP uint64_t rows_at_least(__m256i both, __m256i odd, const uint16_t* least) {
  // Within halves: rows 0-7 and 16-23, 8-15 and 24-31.
  const __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
  const __m256i sums[2] = {_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)};
  const __m256i* limit = reinterpret_cast<const __m256i*>(least);
  const __m256i low = _mm256_loadu_si256(limit), high = _mm256_loadu_si256(limit + 1);
  const __m256i limits[2] = {_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31)};
  __m256i reached[2];
  for (int i = 0; i < 2; ++i) reached[i] = _mm256_cmpeq_epi16(_mm256_max_epu16(sums[i], limits[i]), sums[i]);
  return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_packs_epi16(reached[0], reached[1])));
}

// Of Q queries, which rows' sums of entries, one for each code of BITS bits, are at least those in `least`, (Q,
// kPlaneRows). Their tables lie `size` bytes apart. Entries are at most 127, so that two fit a byte.
// Not inlined: the compiler then keeps the sums in registers.
template <int BITS, int Q, bool>
__attribute__((noinline)) void rows_reaching(const uint8_t* planes, int64_t stride, int64_t bytes, const uint8_t* table,
                                             int64_t size, const uint16_t* least, uint64_t* rows) {
  constexpr int H = BITS == 4 && Q == 1 ? 2 : 1;  // halves of the rows that share the entries that are loaded
  const __m256i nibble = _mm256_set1_epi8(15);
  for (int q = 0; q < Q; ++q) rows[q] = 0;
  for (int from = 0; from < kPlaneRows; from += 32 * H) {
    __m256i both[H][Q], odd[H][Q];  // words: even rows + 256 * odd rows, odd rows
    for (int h = 0; h < H; ++h)
      for (int q = 0; q < Q; ++q) both[h][q] = odd[h][q] = _mm256_setzero_si256();
    const uint8_t *plane = planes + from, *entry = table;
    for (int64_t b = 0; b < bytes; ++b, plane += stride, entry += BITS == 8 ? 256 : 32) {
      if (from == 0) __builtin_prefetch(plane + kColumnAhead);
      for (int h = 0; h < H; ++h) {
        const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(plane + 32 * h));
        const __m256i low = _mm256_and_si256(codes, nibble);
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(codes, 4), nibble);
        for (int q = 0; q < Q; ++q) {
          const uint8_t* of_query = entry + q * size;
          const __m256i entries =
              BITS == 8 ? long_entries(of_query, codes)
                        : _mm256_add_epi8(short_entries(of_query, low), short_entries(of_query + 16, high));
          both[h][q] = _mm256_add_epi16(both[h][q], entries);
          odd[h][q] = _mm256_add_epi16(odd[h][q], _mm256_srli_epi16(entries, 8));
        }
      }
    }
    for (int h = 0; h < H; ++h)
      for (int q = 0; q < Q; ++q) {
        const int first = from + 32 * h;
        const uint64_t reached = rows_at_least(both[h][q], odd[h][q], least + q * kPlaneRows + first);
        rows[q] |= reached << first;
      }
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
