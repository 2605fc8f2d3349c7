// The nearest codeword of 16 rows at a time, one row a lane: float32 with fused multiply-add nominates, and where the
// runner-up is closer than the rounding errors could be, float64 decides. So the result is the nearest codeword, ties
// to the lower id, whatever the data and the level.
#pragma once
#include "rows.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr float kUnitRoundoff = 5.9604645e-8f;  // 2^-24

// Packed: [0] the least and [1] the greatest squared norm of a codeword, 14 unused; half the squared norm of each
// codeword, infinite for those that pad the codebook to a multiple of 16; then the negated codewords in groups of
// kGroup, dimension by dimension.
void codebook_pack(const float* codebook, int64_t k, int64_t d, float* packed) {
  float *half = packed + 16, *groups = half + padded16(k);
  double least = __builtin_inf(), greatest = 0.0;
  for (int64_t j = 0; j < padded16(k); ++j) {
    float* lane = groups + j / kGroup * kGroup * d + j % kGroup;
    double square = 0.0;
    for (int64_t i = 0; i < d; ++i) {
      const float c = j < k ? codebook[j * d + i] : 0.0f;
      lane[i * kGroup] = -c;
      square += static_cast<double>(c) * c;
    }
    half[j] = j < k ? static_cast<float>(square / 2) : __builtin_inff();
    if (j >= k) continue;
    least = square < least ? square : least;
    greatest = square > greatest ? square : greatest;
  }
  packed[0] = static_cast<float>(least);
  packed[1] = static_cast<float>(greatest);
}

// Rows i .. i+count-1, transposed to (d, 16) with zeros in the lanes beyond `count`; or the first row that is not
// finite. `scratch`: row_scratch(d) floats.
inline int64_t load_columns(const Rows& x, int64_t i, int64_t count, float* columns, float* scratch) {
  for (int64_t lane = 0; lane < count; ++lane) {
    const float* row = load_row(x, i + lane, scratch);
    if (!row) return i + lane;
    for (int64_t j = 0; j < x.d; ++j) columns[16 * j + lane] = row[j];
  }
  for (int64_t lane = count; lane < 16; ++lane)
    for (int64_t j = 0; j < x.d; ++j) columns[16 * j + lane] = 0.0f;
  return kAllFinite;
}

struct Nearest {
  i32x16 ids;
  mask16 certain;
};

// Minimises v = |c|^2/2 - x.c, whose d fused operations are off by at most (d+2) u (M^2/2 + |x| M) for |c| <= M; half
// the sum of M^2 and |x|^2 bounds |x| M. A codeword longer than 2|x| + (the shortest one's length) is farther than that
// one, so M need not be more: one huge codeword does not make the others uncertain. Overflow gives an infinite bound.
inline Nearest nearest_by_float(const Codebook& c, const float* columns) {
  const float *half = c.packed + 16, *group = half + padded16(c.k);
  f32x16 best = splat(__builtin_inff()), second = best;
  i32x16 ids = splat_i32(0);
  for (int64_t j = 0; j < c.k; j += kGroup, group += kGroup * c.d) {
    f32x16 value[kGroup];
    for (int g = 0; g < kGroup; ++g) value[g] = splat(half[j + g]);
    for (int64_t i = 0; i < c.d; ++i) {
      const f32x16 x = load(columns + 16 * i);
      for (int g = 0; g < kGroup; ++g) value[g] = muladd(x, splat(group[i * kGroup + g]), value[g]);
    }
    for (int g = 0; g < kGroup; ++g) {
      second = min(second, max(value[g], best));
      ids = select_i32(less(value[g], best), splat_i32(static_cast<int32_t>(j + g)), ids);
      best = min(value[g], best);
    }
  }
  f32x16 square = splat(0.0f);
  for (int64_t i = 0; i < c.d; ++i) square = muladd(load(columns + 16 * i), load(columns + 16 * i), square);
  const f32x16 longest = min(splat(c.packed[1]), muladd(splat(8.3f), square, splat(2.1f * c.packed[0])));
  const float units = 2.4f * static_cast<float>(c.d + 4) * kUnitRoundoff;  // twice the error, a fifth in reserve
  const f32x16 underflow = splat(static_cast<float>(c.d) * 2.4e-38f);
  const f32x16 bound = muladd(splat(units), muladd(splat(0.5f), square, longest), underflow);
  return {ids, less(add(best, bound), second)};
}

// Eight sums, so that the compiler can keep them in vectors; the same order on every level.
inline double squared_distance(const float* a, const float* b, int64_t d) {
  double sum[8] = {};
  int64_t j = 0;
  for (; j + 8 <= d; j += 8) {
    for (int l = 0; l < 8; ++l) {
      const double t = static_cast<double>(a[j + l]) - static_cast<double>(b[j + l]);
      sum[l] += t * t;
    }
  }
  for (int l = 0; j < d; ++j, ++l) {
    const double t = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum[l] += t * t;
  }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

inline int32_t nearest_by_double(const Codebook& c, const float* x) {
  double best = __builtin_inf();
  int32_t id = 0;
  for (int64_t j = 0; j < c.k; ++j) {
    const double square = squared_distance(x, c.values + j * c.d, c.d);
    if (square >= best) continue;
    best = square;
    id = static_cast<int32_t>(j);
  }
  return id;
}

// The ids of `count` rows in columns (d, 16); writes 16 ids. `row` has room for d floats.
inline void nearest(const Codebook& c, const float* columns, int64_t count, int32_t* ids, float* row) {
  uint32_t uncertain = (1u << count) - 1u;
  if (count >= kFewRows) {
    const Nearest found = nearest_by_float(c, columns);
    store_i32(ids, found.ids);
    uncertain &= ~mask_bits(found.certain);
  }
  for (; uncertain; uncertain &= uncertain - 1u) {
    const int lane = __builtin_ctz(uncertain);
    for (int64_t j = 0; j < c.d; ++j) row[j] = columns[16 * j + lane];
    ids[lane] = nearest_by_double(c, row);
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
