// AVX-512 F, BW, DQ, VL: 16 lanes in one register, masks in mask registers. With EMB_VNNI (the avx512_icl level) the
// operations that Ice Lake added are used too. EMB_EMULATED compiles the same text over the SIMDe headers, so that
// its results can be tested on a machine without AVX-512.
#pragma once
#if defined(EMB_EMULATED)
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#else
#include <immintrin.h>
#endif

#include "../row/bits.h"

#define EMB_OP inline __attribute__((always_inline))

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTileRows = 4, kTileQueries = 4;      // 16 sums of the 32 registers
constexpr int kColumnRows = 8, kColumnVectors = 2;  // as many
constexpr int kPanelRows = 6, kPanelVectors = 4;    // 24
constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
constexpr int kGroup = 16, kShortGroup = 16;  // codewords compared at a time with 16 rows; of few dimensions

typedef __m512 f32x16;
typedef __m512i i32x16;
typedef __mmask16 mask16;

EMB_OP f32x16 load(const float* p) { return _mm512_loadu_ps(p); }
EMB_OP void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a); }
#if defined(EMB_EMULATED)
EMB_OP void stream(float* p, f32x16 a) { _mm512_store_ps(p, a); }
#else
EMB_OP void stream(float* p, f32x16 a) { _mm512_stream_ps(p, a); }  // aligned, past the cache
#endif
EMB_OP void stream_fence() { _mm_sfence(); }
#define EMB_STREAMS 1
EMB_OP f32x16 splat(float x) { return _mm512_set1_ps(x); }
EMB_OP i32x16 splat_i32(int32_t x) { return _mm512_set1_epi32(x); }

EMB_OP f32x16 add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
EMB_OP f32x16 sub(f32x16 a, f32x16 b) { return _mm512_sub_ps(a, b); }
EMB_OP f32x16 mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
EMB_OP f32x16 div(f32x16 a, f32x16 b) { return _mm512_div_ps(a, b); }
EMB_OP f32x16 sqrt(f32x16 a) { return _mm512_sqrt_ps(a); }
EMB_OP f32x16 muladd(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
EMB_OP f32x16 fused(f32x16 a, f32x16 b, f32x16 c) { return muladd(a, b, c); }
#if defined(EMB_EMULATED)  // SIMDe's own min and max treat NaN otherwise than the instructions do
EMB_OP f32x16 min(f32x16 a, f32x16 b) { return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), a); }
EMB_OP f32x16 max(f32x16 a, f32x16 b) { return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(b, a, _CMP_LT_OQ), a); }
#else
EMB_OP f32x16 min(f32x16 a, f32x16 b) { return _mm512_min_ps(a, b); }
EMB_OP f32x16 max(f32x16 a, f32x16 b) { return _mm512_max_ps(a, b); }
#endif
EMB_OP f32x16 abs(f32x16 a) {
  return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)));
}

EMB_OP f32x16 negate(f32x16 a) {
  return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), _mm512_set1_epi32(INT32_MIN)));
}

EMB_OP mask16 less(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
EMB_OP mask16 less_i32(i32x16 a, i32x16 b) { return _mm512_cmpgt_epi32_mask(b, a); }
EMB_OP mask16 equal(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
EMB_OP mask16 both(mask16 a, mask16 b) { return static_cast<mask16>(a & b); }
EMB_OP mask16 either(mask16 a, mask16 b) { return static_cast<mask16>(a | b); }
EMB_OP f32x16 select(mask16 m, f32x16 a, f32x16 b) { return _mm512_mask_mov_ps(b, m, a); }
EMB_OP i32x16 select_i32(mask16 m, i32x16 a, i32x16 b) { return _mm512_mask_mov_epi32(b, m, a); }
EMB_OP i32x16 add_i32(i32x16 a, i32x16 b) { return _mm512_add_epi32(a, b); }

EMB_OP uint32_t mask_bits(mask16 m) { return m; }
#if defined(EMB_EMULATED)
EMB_OP uint32_t mask_bits(mask16 low, mask16 high) { return low | uint32_t{high} << 16; }
#else
EMB_OP uint32_t mask_bits(mask16 low, mask16 high) { return _mm512_kunpackw(high, low); }
#endif
EMB_OP mask16 mask_of(uint32_t bits) { return static_cast<mask16>(bits); }

EMB_OP __m512i join(__m256i lo, __m256i hi) { return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1); }
EMB_OP __m256i upper(__m512i a) { return _mm512_extracti64x4_epi64(a, 1); }
EMB_OP __m256i lower(__m512i a) { return _mm512_castsi512_si256(a); }
EMB_OP f32x16 join_ps(__m256 lo, __m256 hi) {
  return _mm512_castsi512_ps(join(_mm256_castps_si256(lo), _mm256_castps_si256(hi)));
}

EMB_OP void store_i32(int32_t* p, i32x16 a) { _mm512_storeu_si512(p, a); }
EMB_OP i32x16 load_i32(const int32_t* p) { return _mm512_loadu_si512(p); }
EMB_OP int compress_store(float* to, int32_t* indices_to, f32x16 a, i32x16 indices, mask16 m) {
  store(to, _mm512_maskz_compress_ps(m, a));  // straight to memory it takes Zen 4 a hundred cycles
  store_i32(indices_to, _mm512_maskz_compress_epi32(m, indices));
  return __builtin_popcount(m);
}

#if defined(EMB_EMULATED)  // what SIMDe 0.7 lacks, by halves
EMB_OP i32x16 round_to_i32(f32x16 a) {
  const __m512i bits = _mm512_castps_si512(a);
  return join(_mm256_cvtps_epi32(_mm256_castsi256_ps(lower(bits))),
              _mm256_cvtps_epi32(_mm256_castsi256_ps(upper(bits))));
}
EMB_OP f32x16 to_f32(i32x16 a) { return join_ps(_mm256_cvtepi32_ps(lower(a)), _mm256_cvtepi32_ps(upper(a))); }
EMB_OP i32x16 widen_u8(__m128i bytes) {
  return join(_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)));
}
EMB_OP i32x16 widen_i8(__m128i bytes) {
  return join(_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_unpackhi_epi64(bytes, bytes)));
}
EMB_OP __m128i narrow_u8(i32x16 a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lower(a), upper(a)), 0xd8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
EMB_OP __m128i narrow_i8(i32x16 a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lower(a), upper(a)), 0xd8);
  return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
EMB_OP f32x16 load_f16(const uint16_t* p) {
  return join_ps(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
                 _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8))));
}
EMB_OP i32x16 load_u16(const uint16_t* p) {
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8));
  return join(_mm256_cvtepu16_epi32(a), _mm256_cvtepu16_epi32(b));
}
EMB_OP f32x16 load_bf16(const uint16_t* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(load_u16(p), 16)); }
EMB_OP void store_f16(uint16_t* p, f32x16 a) {
  const auto put = [](uint16_t* to, __m256i half) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(_mm256_castsi256_ps(half), kToNearest));
  };
  put(p, lower(_mm512_castps_si512(a)));
  put(p + 8, upper(_mm512_castps_si512(a)));
}
EMB_OP __m256i narrow_u16(i32x16 a) {  // of lanes below 2^16
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(lower(a), upper(a)), 0xd8);
}
EMB_OP __m256 narrow_f64(const double* p) {
  return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_loadu_pd(p + 4)), _mm256_cvtpd_ps(_mm256_loadu_pd(p)));
}
EMB_OP f32x16 load_f64(const double* p) { return join_ps(narrow_f64(p), narrow_f64(p + 8)); }
EMB_OP __m512d widen_f32(__m256 a) {
  double lanes[8];
  _mm256_storeu_pd(lanes, _mm256_cvtps_pd(_mm256_castps256_ps128(a)));
  _mm256_storeu_pd(lanes + 4, _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1)));
  return _mm512_loadu_pd(lanes);
}
EMB_OP f32x16 gather(const float* base, i32x16 index) {
  return join_ps(_mm256_i32gather_ps(base, lower(index), 4), _mm256_i32gather_ps(base, upper(index), 4));
}
EMB_OP f32x16 load_first(const float* p, int count) {  // and zeros beyond
  float lanes[16] = {};
  __builtin_memcpy(lanes, p, static_cast<size_t>(count) * 4);
  return load(lanes);
}
#else
EMB_OP i32x16 round_to_i32(f32x16 a) { return _mm512_cvtps_epi32(a); }
EMB_OP f32x16 to_f32(i32x16 a) { return _mm512_cvtepi32_ps(a); }
EMB_OP i32x16 widen_u8(__m128i bytes) { return _mm512_cvtepu8_epi32(bytes); }
EMB_OP i32x16 widen_i8(__m128i bytes) { return _mm512_cvtepi8_epi32(bytes); }
EMB_OP __m128i narrow_u8(i32x16 a) { return _mm512_cvtepi32_epi8(a); }
EMB_OP __m128i narrow_i8(i32x16 a) { return _mm512_cvtepi32_epi8(a); }
EMB_OP f32x16 load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
EMB_OP i32x16 load_u16(const uint16_t* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
EMB_OP f32x16 load_bf16(const uint16_t* p) { return _mm512_castsi512_ps(_mm512_slli_epi32(load_u16(p), 16)); }
EMB_OP void store_f16(uint16_t* p, f32x16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a, kToNearest));
}
EMB_OP __m256i narrow_u16(i32x16 a) { return _mm512_cvtepi32_epi16(a); }
EMB_OP f32x16 load_f64(const double* p) {
  return join_ps(_mm512_cvtpd_ps(_mm512_loadu_pd(p)), _mm512_cvtpd_ps(_mm512_loadu_pd(p + 8)));
}
EMB_OP __m512d widen_f32(__m256 a) { return _mm512_cvtps_pd(a); }
EMB_OP f32x16 gather(const float* base, i32x16 index) { return _mm512_i32gather_ps(index, base, 4); }
EMB_OP f32x16 load_first(const float* p, int count) {  // and zeros beyond
  return _mm512_maskz_loadu_ps(static_cast<mask16>((1u << count) - 1u), p);
}
#endif

// Halves of what is not beyond the largest finite one: row/halves.h.
EMB_OP void store_bf16(uint16_t* p, f32x16 a) {
  const __m512i bits = _mm512_castps_si512(a),
                odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow_u16(_mm512_srli_epi32(rounded, 16)));
}
EMB_OP i32x16 load_u8(const uint8_t* p) { return widen_u8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
EMB_OP i32x16 load_i8(const int8_t* p) { return widen_i8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
EMB_OP void store_i8(int8_t* p, i32x16 a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_i8(a)); }
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
  const __m512i words = join(_mm256_set1_epi32(static_cast<int>(first)), _mm256_set1_epi32(static_cast<int>(second)));
  const __m512i eight = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i shifted = _mm512_srlv_epi32(words, _mm512_mullo_epi32(eight, _mm512_set1_epi32(BITS)));
  return _mm512_and_si512(shifted, _mm512_set1_epi32((1 << BITS) - 1));
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
// `other` holds each lane's partner; the second of a pair (a set bit of `second`) gets first - second.
EMB_OP f32x16 butterfly_lanes(f32x16 v, f32x16 other, mask16 second) {
  return _mm512_mask_sub_ps(_mm512_add_ps(v, other), second, other, v);
}
// Butterflies (a + b, a - b) of strides 1, 2, 4 and 8, in this order.
EMB_OP f32x16 hadamard16(f32x16 v) {
  v = butterfly_lanes(v, _mm512_shuffle_ps(v, v, 0xb1), 0xaaaa);
  v = butterfly_lanes(v, _mm512_shuffle_ps(v, v, 0x4e), 0xcccc);
  const __m512i over4 = _mm512_setr_epi32(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  const __m512i over8 = _mm512_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  v = butterfly_lanes(v, _mm512_permutexvar_ps(over4, v), 0xf0f0);
  return butterfly_lanes(v, _mm512_permutexvar_ps(over8, v), 0xff00);
}
// Lane l gets p[l >> shift]; shift is 1 to 6, and only 16 >> shift values of p are read (one at least).
EMB_OP f32x16 spread(const float* p, int shift) {
  if (shift >= 4) return splat(*p);
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i from = _mm512_srlv_epi32(lanes, _mm512_set1_epi32(shift));
  return _mm512_permutexvar_ps(from, load_first(p, 16 >> shift));
}
// One step of the fixed tree for sums, and the same shape for the extremes: 16 -> 8 -> 4 -> 2 -> 1.
#define EMB_REDUCE(OP)                                                                                       \
  const __m512i bits = _mm512_castps_si512(a);                                                               \
  const __m256 eight = _mm256_##OP##_ps(_mm256_castsi256_ps(lower(bits)), _mm256_castsi256_ps(upper(bits))); \
  const __m128 four = _mm_##OP##_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));         \
  const __m128 two = _mm_##OP##_ps(four, _mm_movehl_ps(four, four));                                         \
  return _mm_cvtss_f32(_mm_##OP##_ss(two, _mm_movehdup_ps(two)));
EMB_OP float reduce_add(f32x16 a){EMB_REDUCE(add)} EMB_OP float reduce_min(f32x16 a){EMB_REDUCE(min)} EMB_OP
    float reduce_max(f32x16 a) {
  EMB_REDUCE(max)
}
#undef EMB_REDUCE

// Sums in float64 of 16 lanes.
struct f64x16 {
  __m512d lo, hi;
};
EMB_OP f64x16 zero_f64() { return {_mm512_setzero_pd(), _mm512_setzero_pd()}; }
EMB_OP f64x16 add_f64(const f64x16& sum, f32x16 a) {
  const __m512i bits = _mm512_castps_si512(a);
  const __m256 low = _mm256_castsi256_ps(lower(bits)), high = _mm256_castsi256_ps(upper(bits));
  return {_mm512_add_pd(sum.lo, widen_f32(low)), _mm512_add_pd(sum.hi, widen_f32(high))};
}
EMB_OP void store_f64(double* p, const f64x16& a) {
  _mm512_storeu_pd(p, a.lo);
  _mm512_storeu_pd(p + 8, a.hi);
}

EMB_OP bool all_finite(f32x16 a) {
  const __m512i e = _mm512_set1_epi32(0x7f800000);
  return _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(a), e), e) == 0;
}
#if defined(EMB_VNNI) && !defined(EMB_EMULATED)
template <int R>
EMB_OP void popcount_xor(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  __m512i sums[R];
  for (int r = 0; r < R; ++r) sums[r] = _mm512_setzero_si512();
  for (int64_t j = 0; j < bytes; j += 64) {
    const __mmask64 inside = bytes - j < 64 ? (1ull << (bytes - j)) - 1 : ~0ull;
    const __m512i left = _mm512_maskz_loadu_epi8(inside, a + j);
    for (int r = 0; r < R; ++r) {
      const __m512i differ = _mm512_xor_si512(left, _mm512_maskz_loadu_epi8(inside, rows[r] + j));
      sums[r] = _mm512_add_epi64(sums[r], _mm512_popcnt_epi64(differ));
    }
  }
  for (int r = 0; r < R; ++r) counts[r] = _mm512_reduce_add_epi64(sums[r]);
}
#else
template <int R>
EMB_OP void popcount_xor(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  count_different_bits<R>(a, rows, bytes, counts);
}
#endif

// Rows r, r + 4, r + 8 and r + 12, a lane of 128 bits each.
EMB_OP f32x16 load_quads(const float* row, int64_t stride) {
  f32x16 rows = _mm512_castps128_ps512(_mm_loadu_ps(row));
  rows = _mm512_mask_broadcast_f32x4(rows, 0x00f0, _mm_loadu_ps(row + 4 * stride));
  rows = _mm512_mask_broadcast_f32x4(rows, 0x0f00, _mm_loadu_ps(row + 8 * stride));
  return _mm512_mask_broadcast_f32x4(rows, 0xf000, _mm_loadu_ps(row + 12 * stride));
}

// 16 rows of 4 values, `stride` floats apart, to 4 columns side by side: transpose4 in each lane of 128 bits.
EMB_OP void transpose16(const float* row, int64_t stride, float* columns) {
  const f32x16 a = load_quads(row, stride), b = load_quads(row + stride, stride);
  const f32x16 c = load_quads(row + 2 * stride, stride), d = load_quads(row + 3 * stride, stride);
  const __m512d ab01 = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)), ab23 = _mm512_castps_pd(_mm512_unpackhi_ps(a, b));
  const __m512d cd01 = _mm512_castps_pd(_mm512_unpacklo_ps(c, d)), cd23 = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
  store(columns, _mm512_castpd_ps(_mm512_unpacklo_pd(ab01, cd01)));
  store(columns + 16, _mm512_castpd_ps(_mm512_unpackhi_pd(ab01, cd01)));
  store(columns + 32, _mm512_castpd_ps(_mm512_unpacklo_pd(ab23, cd23)));
  store(columns + 48, _mm512_castpd_ps(_mm512_unpackhi_pd(ab23, cd23)));
}

// The lanes of `table` that indices from 0 to 15 name.
EMB_OP f32x16 pick(f32x16 table, i32x16 index) { return _mm512_permutexvar_ps(index, table); }

#if !defined(EMB_EMULATED)
#define EMB_LOADS_APART 1
// 16 elements `stride` bytes apart, by words of four bytes that end with them.
EMB_OP __m512i words_apart(const char* p, int64_t stride) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_i32gather_epi32(_mm512_mullo_epi32(lanes, _mm512_set1_epi32(static_cast<int>(stride))), p, 1);
}
EMB_OP void load_apart(const char* p, int64_t stride, uint16_t* out) {
  const __m512i words = _mm512_srli_epi32(words_apart(p - 2, stride), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(words));
}
EMB_OP void load_apart(const char* p, int64_t stride, int8_t* out) {
  const __m512i words = _mm512_srli_epi32(words_apart(p - 3, stride), 24);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(words));
}
EMB_OP void load_apart(const char* p, int64_t stride, float* out) { _mm512_storeu_si512(out, words_apart(p, stride)); }
#endif

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#define EMB_WIDE_TRANSPOSE 1
#if defined(EMB_VNNI)
#include "tables_icl.h"
#include "windows_icl.h"
#include "words_icl.h"
#else
#include "tables_avx2.h"
#endif
