// Sums of products of levels with words of 16 bits, which bound lengths: kernels/decoded_scan.inl.h.
#pragma once
#include "bytes_icl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

#define EMB_WORD_PRODUCTS 1

// sum + the products of two words each, both with sign.
#if defined(EMB_EMULATED)
EMB_OP void add_dot2(__m512i& sum, __m512i a, __m512i b) { sum = _mm512_dpwssd_epi32(sum, a, b); }
#else
EMB_OP void add_dot2(__m512i& sum, __m512i a, __m512i b) { asm("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b)); }
#endif

EMB_OP __m512i widened(const int8_t* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

constexpr int kWordRows = 4;  // rows of which products with words are added up together

constexpr int64_t kWords = 32;  // multiplied at a time

// Of kCodeTile rows of n levels, `stride` apart: the sums of products with words, which are 0 up to the next multiple
// of kWords.
EMB_OP void word_products(const int8_t* levels, int64_t stride, int64_t n, const int16_t* words, int32_t* sums) {
  CodeSums sum;
  for (int tile = 0; tile < kCodeTile; tile += kWordRows, levels += kWordRows * stride) {
    __m512i row[kWordRows];
    for (int r = 0; r < kWordRows; ++r) row[r] = _mm512_setzero_si512();
    for (int64_t j = 0; j < n; j += kWords) {
      const __m512i y = _mm512_loadu_si512(words + j);
      for (int r = 0; r < kWordRows; ++r) add_dot2(row[r], widened(levels + r * stride + j), y);
    }
    for (int r = 0; r < kWordRows; ++r) sum.row[tile + r] = row[r];
  }
  _mm512_storeu_si512(sums, sums_of(sum));
}

constexpr float kSquareShift = 16.0f;  // what sums of squares are divided by, and rounded down, in each of 16 lanes

// ... and with words of each row's own, and of the squared levels with `weights`.
EMB_OP void length_products(const int8_t* levels, int64_t stride, int64_t n, const int16_t* const* words,
                            const int16_t* weights, int32_t* crossed, int32_t* squared) {
  CodeSums cross, square;
  for (int tile = 0; tile < kCodeTile; tile += kWordRows, levels += kWordRows * stride, words += kWordRows) {
    __m512i c[kWordRows], s[kWordRows];
    for (int r = 0; r < kWordRows; ++r) c[r] = s[r] = _mm512_setzero_si512();
    for (int64_t j = 0; j < n; j += kWords) {
      const __m512i weight = _mm512_loadu_si512(weights + j);
      for (int r = 0; r < kWordRows; ++r) {
        const __m512i level = widened(levels + r * stride + j);
        add_dot2(c[r], level, _mm512_loadu_si512(words[r] + j));
        add_dot2(s[r], _mm512_mullo_epi16(level, level), weight);
      }
    }
    for (int r = 0; r < kWordRows; ++r) {
      cross.row[tile + r] = c[r];
      square.row[tile + r] = _mm512_srli_epi32(s[r], 4);
    }
  }
  _mm512_storeu_si512(crossed, sums_of(cross));
  _mm512_storeu_si512(squared, sums_of(square));
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
