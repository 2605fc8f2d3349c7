// AVX2 with FMA, F16C and POPCNT: 16 lanes as two 256-bit registers.
#pragma once
#include <immintrin.h>

#include "../row/bits.h"

#define EMB_OP inline __attribute__((always_inline))

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTileRows = 2, kTileQueries = 2;      // 4 sums of two registers each leave room for the operands
constexpr int kColumnRows = 6, kColumnVectors = 1;  // 12 of the 16 registers
constexpr int kPanelRows = 6, kPanelVectors = 1;
constexpr int kGroup = 6;       // codewords compared at a time with 16 rows: enough sums to hide their latency
constexpr int kShortGroup = 4;  // of few dimensions: what is best so far stays in registers too

struct f32x16 {
  __m256 lo, hi;
};
struct i32x16 {
  __m256i lo, hi;
};
struct mask16 {
  __m256 lo, hi;
};

EMB_OP f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
EMB_OP void store(float* p, f32x16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
EMB_OP void stream(float* p, f32x16 a) {  // aligned, past the cache
  _mm256_stream_ps(p, a.lo);
  _mm256_stream_ps(p + 8, a.hi);
}
EMB_OP void stream_fence() { _mm_sfence(); }
#define EMB_STREAMS 1
EMB_OP f32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
EMB_OP i32x16 splat_i32(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }

EMB_OP f32x16 add(f32x16 a, f32x16 b) { return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
EMB_OP f32x16 sub(f32x16 a, f32x16 b) { return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
EMB_OP f32x16 mul(f32x16 a, f32x16 b) { return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
EMB_OP f32x16 div(f32x16 a, f32x16 b) { return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
EMB_OP f32x16 muladd(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
EMB_OP f32x16 fused(f32x16 a, f32x16 b, f32x16 c) { return muladd(a, b, c); }
EMB_OP f32x16 min(f32x16 a, f32x16 b) { return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
EMB_OP f32x16 max(f32x16 a, f32x16 b) { return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
EMB_OP f32x16 abs(f32x16 a) {
  const __m256 m = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  return {_mm256_and_ps(a.lo, m), _mm256_and_ps(a.hi, m)};
}

EMB_OP f32x16 negate(f32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}

EMB_OP mask16 less(f32x16 a, f32x16 b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
EMB_OP mask16 less_i32(i32x16 a, i32x16 b) {
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.lo, a.lo)), _mm256_castsi256_ps(_mm256_cmpgt_epi32(b.hi, a.hi))};
}
EMB_OP mask16 equal(f32x16 a, f32x16 b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}
EMB_OP mask16 both(mask16 a, mask16 b) { return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)}; }
EMB_OP mask16 either(mask16 a, mask16 b) { return {_mm256_or_ps(a.lo, b.lo), _mm256_or_ps(a.hi, b.hi)}; }
EMB_OP f32x16 select(mask16 m, f32x16 a, f32x16 b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
EMB_OP i32x16 select_i32(mask16 m, i32x16 a, i32x16 b) {
  return {_mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(b.lo), _mm256_castsi256_ps(a.lo), m.lo)),
          _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(b.hi), _mm256_castsi256_ps(a.hi), m.hi))};
}
EMB_OP i32x16 add_i32(i32x16 a, i32x16 b) { return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)}; }

EMB_OP uint32_t mask_bits(mask16 m) {
  return static_cast<uint32_t>(_mm256_movemask_ps(m.lo)) | static_cast<uint32_t>(_mm256_movemask_ps(m.hi)) << 8;
}
EMB_OP mask16 mask_of(uint32_t bits) {
  const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i b = _mm256_set1_epi32(static_cast<int32_t>(bits)), high = _mm256_slli_epi32(each, 8);
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(b, each), each)),
          _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(b, high), high))};
}

EMB_OP i32x16 round_to_i32(f32x16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
EMB_OP f32x16 to_f32(i32x16 a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }

EMB_OP void store_i32(int32_t* p, i32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), a.hi);
}
EMB_OP i32x16 load_i32(const int32_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
// Byte i of entry m: the place of the i-th set bit of m.
struct Compression {
  uint64_t lanes[256];
};
constexpr Compression compression() {
  Compression c = {};
  for (int m = 0; m < 256; ++m)
    for (uint64_t bit = 0, at = 0; bit < 8; ++bit)
      if (m >> bit & 1) c.lanes[m] |= bit << at, at += 8;
  return c;
}
constexpr Compression kCompression = compression();
EMB_OP int compress_store8(float* to, int32_t* indices_to, __m256 a, __m256i indices, int m) {
  const __m256i from = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kCompression.lanes + m)));
  _mm256_storeu_ps(to, _mm256_permutevar8x32_ps(a, from));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(indices_to), _mm256_permutevar8x32_epi32(indices, from));
  return __builtin_popcount(static_cast<unsigned>(m));
}
EMB_OP int compress_store(float* to, int32_t* indices_to, f32x16 a, i32x16 indices, mask16 m) {
  const int count = compress_store8(to, indices_to, a.lo, indices.lo, _mm256_movemask_ps(m.lo));
  return count + compress_store8(to + count, indices_to + count, a.hi, indices.hi, _mm256_movemask_ps(m.hi));
}
EMB_OP i32x16 widen_u8(__m128i bytes) {
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
}
// Lanes 0..255 to 16 bytes. packs works within 128-bit halves, hence the permutation: lo = [0-3|4-7], hi = [8-11|12-15]
// -> packs_epi32 [0-3, 8-11 | 4-7, 12-15] -> permute [0-3, 4-7 | 8-11, 12-15 as 64-bit units] -> packus 16 bytes.
EMB_OP __m128i narrow_u8(i32x16 a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a.lo, a.hi), 0xd8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
EMB_OP i32x16 load_u8(const uint8_t* p) { return widen_u8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
EMB_OP i32x16 load_i8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes))};
}
EMB_OP void store_u8(uint8_t* p, i32x16 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_u8(a)); }
// Pairs of bytes (e, o) to e + 16*o: maddubs multiplies by (1, 16) and adds, giving 8 words, packed to 8 bytes.
EMB_OP void store_u4(uint8_t* p, i32x16 a) {
  const __m128i words = _mm_maddubs_epi16(narrow_u8(a), _mm_set1_epi16(0x1001));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
EMB_OP i32x16 load_u4(const uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), low = _mm_set1_epi8(15);
  return widen_u8(_mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low)));
}
// Four 6-bit values of a dword move together to its low 24 bits, then the dwords' three bytes each to 12 in a row.
EMB_OP void store_u6(uint8_t* p, i32x16 a) {
  const __m128i v = narrow_u8(a);
  const __m128i low =
      _mm_or_si128(_mm_and_si128(v, _mm_set1_epi32(0x3f)), _mm_srli_epi32(_mm_and_si128(v, _mm_set1_epi32(0x3f00)), 2));
  const __m128i high = _mm_or_si128(_mm_srli_epi32(_mm_and_si128(v, _mm_set1_epi32(0x3f0000)), 4),
                                    _mm_srli_epi32(_mm_and_si128(v, _mm_set1_epi32(0x3f000000)), 6));
  const __m128i packed =
      _mm_shuffle_epi8(_mm_or_si128(low, high), _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), packed);
  const int32_t last = _mm_extract_epi32(packed, 2);
  __builtin_memcpy(p + 8, &last, 4);
}
// 16 codes of BITS bits, eight from the lowest bits of each word on.
template <int BITS>
EMB_OP i32x16 cut_codes(uint32_t first, uint32_t second) {
  const __m256i shifts = _mm256_setr_epi32(0, BITS, 2 * BITS, 3 * BITS, 4 * BITS, 5 * BITS, 6 * BITS, 7 * BITS);
  const auto eight = [&](uint32_t word) {
    return _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(static_cast<int>(word)), shifts),
                            _mm256_set1_epi32((1 << BITS) - 1));
  };
  return {eight(first), eight(second)};
}
EMB_OP i32x16 load_u6(const uint8_t* p) {
  int32_t last;
  __builtin_memcpy(&last, p + 8, 4);
  const __m128i bytes = _mm_insert_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), last, 2);
  const __m128i v = _mm_shuffle_epi8(bytes, _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
  const __m128i low =
      _mm_or_si128(_mm_and_si128(v, _mm_set1_epi32(0x3f)), _mm_and_si128(_mm_slli_epi32(v, 2), _mm_set1_epi32(0x3f00)));
  const __m128i high = _mm_or_si128(_mm_and_si128(_mm_slli_epi32(v, 4), _mm_set1_epi32(0x3f0000)),
                                    _mm_and_si128(_mm_slli_epi32(v, 6), _mm_set1_epi32(0x3f000000)));
  return widen_u8(_mm_or_si128(low, high));
}
EMB_OP f32x16 load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
EMB_OP i32x16 load_u16(const uint16_t* p) {
  return {_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
EMB_OP f32x16 load_bf16(const uint16_t* p) {
  const i32x16 words = load_u16(p);
  return {_mm256_castsi256_ps(_mm256_slli_epi32(words.lo, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(words.hi, 16))};
}
// Halves of what is not beyond the largest finite one: row/halves.h.
EMB_OP void store_f16(uint16_t* p, f32x16 a) {
  constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, kToNearest));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(a.hi, kToNearest));
}
EMB_OP void store_bf16(uint16_t* p, f32x16 a) {
  const auto rounded = [](__m256 values) {
    const __m256i bits = _mm256_castps_si256(values),
                  odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  };
  const __m256i words = _mm256_packus_epi32(rounded(a.lo), rounded(a.hi));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(words, 0xd8));
}
EMB_OP __m256 narrow_f64(const double* p) {
  return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(p + 4)), _mm256_cvtpd_ps(_mm256_loadu_pd(p)));
}
EMB_OP f32x16 load_f64(const double* p) { return {narrow_f64(p), narrow_f64(p + 8)}; }
// The lanes of `table` that indices from 0 to 15 name.
EMB_OP f32x16 pick(f32x16 table, i32x16 index) {
  const auto half = [&](__m256i at) {  // blendv looks at the highest bit
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.lo, at), _mm256_permutevar8x32_ps(table.hi, at),
                            _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)));
  };
  return {half(index.lo), half(index.hi)};
}
EMB_OP f32x16 gather(const float* base, i32x16 index) {
  return {_mm256_i32gather_ps(base, index.lo, 4), _mm256_i32gather_ps(base, index.hi, 4)};
}

EMB_OP __m256 lower_halves(__m256 a, __m256 b) { return _mm256_insertf128_ps(a, _mm256_castps256_ps128(b), 1); }
EMB_OP __m256 upper_halves(__m256 a, __m256 b) { return _mm256_insertf128_ps(b, _mm256_extractf128_ps(a, 1), 0); }
// Butterflies of strides 1 and 2 in groups of four lanes: a = [a0 a1 a2 a3 | ..], b likewise.
EMB_OP void butterfly4(__m256& a, __m256& b) {
  __m256 even = _mm256_shuffle_ps(a, b, 0x88), odd = _mm256_shuffle_ps(a, b, 0xdd);  // [a0 a2 b0 b2], [a1 a3 b1 b3]
  __m256 sum = _mm256_add_ps(even, odd), difference = _mm256_sub_ps(even, odd);
  even = _mm256_shuffle_ps(sum, difference, 0x88);  // [a0 b0 a1 b1]
  odd = _mm256_shuffle_ps(sum, difference, 0xdd);   // [a2 b2 a3 b3]
  sum = _mm256_add_ps(even, odd);
  difference = _mm256_sub_ps(even, odd);
  a = _mm256_shuffle_ps(sum, difference, 0x88);
  b = _mm256_shuffle_ps(sum, difference, 0xdd);
}
// Butterflies (a + b, a - b) of strides 1, 2, 4 and 8, in this order.
EMB_OP f32x16 hadamard16(f32x16 v) {
  __m256 a = lower_halves(v.lo, v.hi), b = upper_halves(v.lo, v.hi);  // [0-3, 8-11], [4-7, 12-15]
  butterfly4(a, b);
  const __m256 sum = _mm256_add_ps(a, b), difference = _mm256_sub_ps(a, b);
  a = lower_halves(sum, difference);
  b = upper_halves(sum, difference);
  return {_mm256_add_ps(a, b), _mm256_sub_ps(a, b)};
}

// Lane l gets p[l >> shift]; shift is 1 to 6, and only 16 >> shift values of p are read (one at least).
EMB_OP f32x16 spread(const float* p, int shift) {
  if (shift >= 4) return splat(*p);
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), count = _mm256_set1_epi32(shift);
  if (shift == 1) {
    const __m256 eight = _mm256_loadu_ps(p);
    return {_mm256_permutevar8x32_ps(eight, _mm256_srli_epi32(lanes, 1)),
            _mm256_permutevar8x32_ps(eight, _mm256_srli_epi32(_mm256_add_epi32(lanes, _mm256_set1_epi32(8)), 1))};
  }
  const __m256 four = _mm256_castps128_ps256(
      shift == 2 ? _mm_loadu_ps(p) : _mm_castpd_ps(_mm_load_sd(reinterpret_cast<const double*>(p))));
  return {_mm256_permutevar8x32_ps(four, _mm256_srlv_epi32(lanes, count)),
          _mm256_permutevar8x32_ps(four, _mm256_srlv_epi32(_mm256_add_epi32(lanes, _mm256_set1_epi32(8)), count))};
}

// Sums in float64 of 16 lanes.
struct f64x16 {
  __m256d v[4];
};
EMB_OP f64x16 zero_f64() {
  const __m256d zero = _mm256_setzero_pd();
  return {{zero, zero, zero, zero}};
}
EMB_OP f64x16 add_f64(const f64x16& sum, f32x16 a) {
  return {{_mm256_add_pd(sum.v[0], _mm256_cvtps_pd(_mm256_castps256_ps128(a.lo))),
           _mm256_add_pd(sum.v[1], _mm256_cvtps_pd(_mm256_extractf128_ps(a.lo, 1))),
           _mm256_add_pd(sum.v[2], _mm256_cvtps_pd(_mm256_castps256_ps128(a.hi))),
           _mm256_add_pd(sum.v[3], _mm256_cvtps_pd(_mm256_extractf128_ps(a.hi, 1)))}};
}
EMB_OP void store_f64(double* p, const f64x16& a) {
  for (int i = 0; i < 4; ++i) _mm256_storeu_pd(p + 4 * i, a.v[i]);
}

EMB_OP float reduce_add(f32x16 a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
EMB_OP float reduce_min(f32x16 a) {
  const __m256 eight = _mm256_min_ps(a.lo, a.hi);
  const __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(two, _mm_movehdup_ps(two)));
}
EMB_OP float reduce_max(f32x16 a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
// A value is finite unless all its exponent bits are set.
EMB_OP bool all_finite(f32x16 a) {
  const __m256i e = _mm256_set1_epi32(0x7f800000);
  const __m256i lo = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(a.lo), e), e);
  const __m256i hi = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(a.hi), e), e);
  const __m256i bad = _mm256_or_si256(lo, hi);
  return _mm256_testz_si256(bad, bad);
}
template <int R>
EMB_OP void popcount_xor(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  count_different_bits<R>(a, rows, bytes, counts);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#include "tables_avx2.h"
