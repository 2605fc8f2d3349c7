// The operations of bytes_scalar.h with VBMI and VNNI: 64 bytes at a time.
#pragma once
#include "prefetch.h"
#if EMB_TILES
#include "tiles_amx.h"
#endif

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kWindows = 64;

typedef __m512i windows;
typedef __m512i levels;
struct LevelBook {
  __m512i low, high;  // levels 0..63, 64..127
};

// The first `left` of 64 bytes, zeros behind; what lies there is not read.
#if defined(EMB_EMULATED)
EMB_OP __m512i load_there(const uint8_t* p, int64_t left) {
  uint8_t bytes[64] = {};
  __builtin_memcpy(bytes, p, static_cast<size_t>(left < 64 ? left : 64));
  return _mm512_loadu_si512(bytes);
}
#else
EMB_OP __m512i load_there(const uint8_t* p, int64_t left) {
  return _mm512_maskz_loadu_epi8(left < 64 ? (__mmask64{1} << left) - 1 : ~__mmask64{0}, p);
}
#endif

// Eight windows lie within SHIFT + 1 bytes, which go to a 64-bit lane each; multishift cuts them there.
template <int SHIFT>
EMB_OP windows cut_windows(const uint8_t* p, int64_t left) {
#define EMB_LANE(I) 0x0706050403020100 + 0x0101010101010101 * ((I) * SHIFT)
  const __m512i at = _mm512_setr_epi64(EMB_LANE(0), EMB_LANE(1), EMB_LANE(2), EMB_LANE(3), EMB_LANE(4), EMB_LANE(5),
                                       EMB_LANE(6), EMB_LANE(7));
#undef EMB_LANE
  const __m512i from = _mm512_set1_epi64(0x0706050403020100 * SHIFT);
  const __m512i bytes = load_there(p, left);
  return _mm512_multishift_epi64_epi8(from, _mm512_permutexvar_epi8(at, bytes));
}

EMB_OP LevelBook load_book(const int8_t* book) { return {_mm512_loadu_si512(book), _mm512_loadu_si512(book + 64)}; }

// w, or 255 - w where that is less.
#if defined(EMB_EMULATED)
EMB_OP __m512i mirrored(windows w) { return _mm512_mask_sub_epi8(w, _mm512_movepi8_mask(w), _mm512_set1_epi8(-1), w); }
#else
// As a matrix of bits: the highest is added to each. By a mask it takes as long as all the rest of the look-up.
EMB_OP __m512i mirrored(windows w) {
  return _mm512_gf2p8affine_epi64_epi8(w, _mm512_set1_epi64(static_cast<int64_t>(0x8182848890a0c000)), 0);
}
#endif

EMB_OP levels look_up(const LevelBook& book, windows w) {
  const __m512i r = _mm512_permutex2var_epi8(book.low, mirrored(w), book.high);
  return _mm512_mask_sub_epi8(r, _mm512_movepi8_mask(w), _mm512_setzero_si512(), r);
}

EMB_OP void store_levels(int8_t* p, levels a) { _mm512_storeu_si512(p, a); }
// unpack works within quarters: low = [0-7, 16-23, 32-39, 48-55] of each, high = the rest.
EMB_OP void store_pairs(int8_t* p, levels a, levels b) {
  const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  store_levels(p, _mm512_permutex2var_epi64(low, first, high));
  store_levels(p + 64, _mm512_permutex2var_epi64(low, second, high));
}

// sum + the products of four bytes each: a without sign, b with.
#if defined(EMB_EMULATED)
EMB_OP void add_dot4(__m512i& sum, __m512i a, __m512i b) { sum = _mm512_dpbusd_epi32(sum, a, b); }
#else
// GCC 12 copies the sums to other registers and back around the intrinsic: a tile's scan then takes twice the time.
EMB_OP void add_dot4(__m512i& sum, __m512i a, __m512i b) { asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
#endif

#if defined(EMB_EMULATED)
EMB_OP int32_t sum_i32(__m512i a) {
  int32_t lanes[16], sum = 0;
  _mm512_storeu_si512(lanes, a);
  for (int i = 0; i < 16; ++i) sum += lanes[i];
  return sum;
}
#else
EMB_OP int32_t sum_i32(__m512i a) { return _mm512_reduce_add_epi32(a); }
#endif

constexpr int kIntRows = 4, kIntQueries = 4;

// dpbusd wants one operand without sign: (x + 128) . y - 128 * the sum of y.
template <int R, int Q>
EMB_OP void dot_i8(const int8_t* rows, int64_t row_stride, const int8_t* queries, int64_t query_stride,
                   const int32_t* total, int64_t n, int32_t* sums) {
  __m512i sum[Q][R];
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sum[q][r] = _mm512_setzero_si512();
  for (int64_t j = 0; j < n; j += 64) {
    __m512i x[R];
    for (int r = 0; r < R; ++r)
      x[r] = _mm512_xor_si512(_mm512_loadu_si512(rows + r * row_stride + j), _mm512_set1_epi8(-128));
    for (int q = 0; q < Q; ++q) {
      const __m512i y = _mm512_loadu_si512(queries + q * query_stride + j);
      for (int r = 0; r < R; ++r) add_dot4(sum[q][r], x[r], y);
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sums[q * R + r] = sum_i32(sum[q][r]) - 128 * total[q];
}

#define EMB_BYTE_COLUMNS 1
constexpr int kByteRows = 8, kByteVectors = 2;

// Where the values of a query get another unit, and what its sums need there: so many bits to the left, then `start`
// added. (P, stride) numbers for the queries.
template <int P>
struct ByteParts {
  int64_t end[P];  // multiples of 4
  int64_t at[P];   // how much further in a query's column a part's values lie than in its row
  int64_t stride;
  int32_t *shift, *start;
};

#if EMB_TILES

constexpr int kRaised = 0;  // added to levels, so that they have no sign where products want none

// Sets parts.at and gives the length of a query's column: a tile holds values of one part, beside zeros.
template <int P>
EMB_OP int64_t place_parts(ByteParts<P>& parts) {
  int64_t length = 0, begin = 0;
  for (int p = 0; p < P; ++p) {
    const int64_t first = begin / kTileBytes * kTileBytes, end = parts.end[p];
    parts.at[p] = length - first;
    length += (end + kTileBytes - 1) / kTileBytes * kTileBytes - first;
    begin = end;
  }
  return length;
}

// sums: (P, 32, 32), of 32 rows and 32 queries. `meanwhile` is called now and then: the tiles' unit works beside it.
template <int P, class Meanwhile>
EMB_OP void tile_products(const uint8_t* rows, int64_t row_stride, const int8_t* columns, int64_t column_stride,
                          const ByteParts<P>& parts, int32_t* sums, const Meanwhile& meanwhile) {
  constexpr int64_t kLine = 2 * kTileSide, kSize = kLine * sizeof(int32_t);
  int64_t begin = 0;
  for (int p = 0; p < P; ++p, sums += kLine * kLine) {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
    for (int64_t j = begin / kTileBytes * kTileBytes; j < parts.end[p]; j += kTileBytes) {
      const int8_t* values = columns + (j + parts.at[p]) * 16;
      tile_load<4>(rows + j, row_stride);
      tile_load<6>(values, 64);
      tile_load<7>(values + column_stride, 64);
      tile_load<5>(rows + kTileSide * row_stride + j, row_stride);
      tile_dot<0, 4, 6>();
      tile_dot<1, 4, 7>();
      tile_dot<2, 5, 6>();
      tile_dot<3, 5, 7>();
      meanwhile();
    }
    tile_store<0>(sums, kSize);
    tile_store<1>(sums + kTileSide, kSize);
    tile_store<2>(sums + kTileSide * kLine, kSize);
    tile_store<3>(sums + kTileSide * kLine + kTileSide, kSize);
    begin = parts.end[p];
  }
}

// A row . 16 queries from i on, of the sums that tile_products has made for them.
template <int P>
EMB_OP f32x16 tile_product(const int32_t* sums, const ByteParts<P>& parts, int64_t i) {
  constexpr int64_t kPart = 4 * kTileSide * kTileSide;
  __m512i sum = _mm512_loadu_si512(sums);
  for (int p = 1; p < P; ++p)
    sum = _mm512_add_epi32(_mm512_sllv_epi32(sum, _mm512_loadu_si512(parts.shift + p * parts.stride + i)),
                           _mm512_loadu_si512(sums + p * kPart));
  return to_f32(sum);
}

#else

constexpr int kRaised = 128;  // added to levels, so that they have no sign where products want none

// Sets parts.at and gives the length of a query's column.
template <int P>
EMB_OP int64_t place_parts(ByteParts<P>& parts) {
  for (int p = 0; p < P; ++p) parts.at[p] = 0;
  return parts.end[P - 1];
}

// products[r][c]: row r, of raised levels, . the 16 queries of vector c. Of a query, four values lie side by side,
// beside those of the next. `i`: the first query's number.
template <int R, int C, int P>
EMB_OP void byte_products(const uint8_t* rows, int64_t row_stride, const int8_t* columns, int64_t column_stride,
                          const ByteParts<P>& parts, int64_t i, f32x16 (&products)[R][C]) {
  __m512i sum[R][C];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) sum[r][c] = _mm512_setzero_si512();
  int64_t j = 0;
  for (int p = 0; p < P; ++p, i += parts.stride) {
    for (int c = 0; c < C; ++c) {
      const __m512i shift = _mm512_loadu_si512(parts.shift + i + 16 * c);
      const __m512i start = _mm512_loadu_si512(parts.start + i + 16 * c);
      for (int r = 0; r < R; ++r) sum[r][c] = p ? _mm512_add_epi32(_mm512_sllv_epi32(sum[r][c], shift), start) : start;
    }
    for (; j < parts.end[p]; j += 4, columns += 64) {
      __m512i y[C];
      for (int c = 0; c < C; ++c) y[c] = _mm512_loadu_si512(columns + c * column_stride);
      for (int r = 0; r < R; ++r) {
        int32_t four;
        __builtin_memcpy(&four, rows + r * row_stride + j, 4);
        for (int c = 0; c < C; ++c) add_dot4(sum[r][c], _mm512_set1_epi32(four), y[c]);
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) products[r][c] = to_f32(sum[r][c]);
}

#endif

// Raises the levels of a row and gives at least the sum of the squares of the first n, at most 128 / 127 of it: the
// product has no room for -128 times itself. The row has room for a multiple of 64.
EMB_OP float raise_levels(int8_t* row, int64_t n) {
  __m512i squares = _mm512_setzero_si512();
  for (int64_t j = 0; j < n; j += 64) {
    const __mmask64 inside = n - j < 64 ? (1ull << (n - j)) - 1 : ~0ull;
    const __m512i x = _mm512_loadu_si512(row + j);
    const __m512i size = _mm512_abs_epi8(_mm512_maskz_mov_epi8(inside, x));
    add_dot4(squares, size, _mm512_min_epu8(size, _mm512_set1_epi8(127)));
    if constexpr (kRaised) _mm512_storeu_si512(row + j, _mm512_xor_si512(x, _mm512_set1_epi8(-128)));
  }
  return static_cast<float>(sum_i32(squares)) * (128.0f / 127.0f);
}

// The values of a row's d codes, or what the table has for them, less `centre`. What comes up to the next multiple of
// 64 may be anything.
template <int BITS>
EMB_OP void unpack_levels(const uint8_t* codes, int64_t d, const uint8_t* table, int centre, int8_t* out) {
  const __m512i low = _mm512_set1_epi8(static_cast<char>((1 << BITS) - 1));
  const __m512i values =
      _mm512_broadcast_i32x4(table ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(table)) : _mm_setzero_si128());
  const int64_t bytes = (d * BITS + 7) / 8;
  for (int64_t j = 0, from = 0; j < d; j += kWindows, from += kWindows * BITS / 8) {
    prefetch_ahead(codes + from);
    __m512i value = BITS == 8 ? load_there(codes + from, bytes - from)
                              : _mm512_and_si512(cut_windows<BITS>(codes + from, bytes - from), low);
    if (table) value = _mm512_shuffle_epi8(values, value);
    _mm512_storeu_si512(out + j, _mm512_sub_epi8(value, _mm512_set1_epi8(static_cast<char>(centre))));
  }
}

#define EMB_CODE_PRODUCTS 1
constexpr int kBytes = 64;     // of codes, multiplied at a time
constexpr int kCodeTile = 16;  // rows of which so many sums are made together

// The largest magnitude of a query's bytes beside values of 0..largest.
EMB_OP float byte_limit(int) { return 127.0f; }
constexpr int kLargestValue = 255;  // that a table may have for a code

struct CodeTable {
  __m512i values;  // 16 bytes, four times
};
EMB_OP CodeTable load_code_table(const uint8_t* table) {
  const __m128i values = table ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(table)) : _mm_setzero_si128();
  return {_mm512_broadcast_i32x4(values)};
}

struct CodeSums {  // of a tile of rows, 16 parts each
  __m512i row[kCodeTile];
};
EMB_OP CodeSums no_sums() {
  CodeSums s;
  for (int r = 0; r < kCodeTile; ++r) s.row[r] = _mm512_setzero_si512();
  return s;
}

// Within each quarter, the sums of four vectors: pairs of them are added crosswise, and their lanes with them.
EMB_OP __m512i quarter_sums(const __m512i* v) {
  const __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

EMB_OP __m512i sums_of(const CodeSums& sums) {
  __m512i sum[4];  // each quarter of vector i holds partial sums of rows 4i .. 4i + 3
  for (int i = 0; i < 4; ++i) sum[i] = quarter_sums(sums.row + 4 * i);
  for (int i = 0; i < 2; ++i)
    sum[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(sum[2 * i], sum[2 * i + 1], 0x88),
                              _mm512_shuffle_i32x4(sum[2 * i], sum[2 * i + 1], 0xdd));
  return _mm512_add_epi32(_mm512_shuffle_i32x4(sum[0], sum[1], 0x88), _mm512_shuffle_i32x4(sum[0], sum[1], 0xdd));
}

// sums[r]: the values of row r's codes times the query's bytes, over `loads` times kBytes bytes of codes.
template <int BITS, bool TABLE>
EMB_OP void code_products(const uint8_t* const* rows, int64_t loads, const int8_t* query, const CodeTable& table,
                          int32_t* sums) {
  constexpr int kParts = 8 / BITS;
  const __m512i low = _mm512_set1_epi8(static_cast<char>((1 << BITS) - 1));
  CodeSums sum = no_sums();
  for (int64_t i = 0; i < loads; ++i) {
    __m512i y[kParts];
    for (int part = 0; part < kParts; ++part) y[part] = _mm512_loadu_si512(query + (i * kParts + part) * kBytes);
#pragma GCC unroll 16
    for (int r = 0; r < kCodeTile; ++r) {
      const __m512i codes = _mm512_loadu_si512(rows[r] + i * kBytes);
      prefetch_ahead(rows[r] + i * kBytes);
      for (int part = 0; part < kParts; ++part) {
        __m512i value = part ? _mm512_srli_epi16(codes, static_cast<unsigned>(BITS * part)) : codes;
        if (BITS < 8) value = _mm512_and_si512(value, low);
        if (TABLE) value = _mm512_shuffle_epi8(table.values, value);
        add_dot4(sum.row[r], value, y[part]);
      }
    }
  }
  _mm512_storeu_si512(sums, sums_of(sum));
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
