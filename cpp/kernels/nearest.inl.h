// The nearest codeword of 16 rows at a time, one row a lane: float32 with fused multiply-add nominates, and where the
// runner-up is closer than the rounding errors could be, float64 decides. So the result is the nearest codeword, ties
// to the lower id, whatever the data and the level.
#pragma once
#include "../simd/transpose.h"
#include "rows.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr float kUnitRoundoff = 5.9604645e-8f;  // 2^-24

// Rows of few dimensions: fewer codewords are packed, and compared, together, and their values are not kept.
EMB_OP bool is_short(int64_t d) { return d < 8; }

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

// Packed: [0] the greatest squared norm of a codeword, 15 unused; the origin, padded to a multiple of 16; half the
// squared norm of each codeword, infinite for those that fill the last group and for later equals of the origin (many,
// where data are constant); then the negated codewords in groups, dimension by dimension.
// All is relative to the origin, which is the shortest codeword: data far from zero cost no accuracy, and one huge
// codeword neither.
struct Packed {
  float *greatest, *origin, *half, *groups;
};
EMB_OP Packed packed_parts(float* packed, int64_t k, int64_t d) {
  float* half = packed + 16 + padded16(d);
  return {packed, packed + 16, half, half + packed_words(k)};
}

void codebook_pack(const float* codebook, int64_t k, int64_t d, float* packed) {
  const Packed to = packed_parts(packed, k, d);
  for (int64_t i = 0; i < d; ++i) to.origin[i] = 0.0f;
  double least = __builtin_inf(), greatest = 0.0;
  const float* shortest = codebook;
  for (int64_t j = 0; j < k; ++j) {
    const double square = squared_distance(codebook + j * d, to.origin, d);
    if (square >= least) continue;
    least = square;
    shortest = codebook + j * d;
  }
  __builtin_memcpy(to.origin, shortest, static_cast<size_t>(d) * 4);
  const int64_t size = is_short(d) ? kShortGroup : kGroup;
  for (int64_t j = 0; j < k || j % size; ++j) {
    const float* codeword = j < k ? codebook + j * d : shortest;
    const double square = squared_distance(codeword, to.origin, d);
    const bool counts = j < k && (square > 0.0 || codeword == shortest);
    to.half[j] = counts ? static_cast<float>(square / 2) : __builtin_inff();
    greatest = square > greatest ? square : greatest;
    float* lane = to.groups + j / size * size * d + j % size;
    for (int64_t i = 0; i < d; ++i) lane[i * size] = to.origin[i] - codeword[i];
  }
  *to.greatest = static_cast<float>(greatest);
}

// Four rows to lanes of (d, 16): `columns` is at the first of the lanes.
EMB_OP void put_columns(const float* const* rows, int64_t d, float* columns) {
  int64_t j = 0;
  for (; j + 4 <= d; j += 4) transpose4(rows, j, columns + 16 * j, 16);
  for (; j < d; ++j)
    for (int r = 0; r < 4; ++r) columns[16 * j + r] = rows[r][j];
}

// Rows i .. i+count-1, transposed to (d, 16), the last one repeated in the lanes beyond `count`; or the first row that
// is not finite. `scratch`: four rows.
inline int64_t load_columns(const Rows& x, int64_t i, int64_t count, float* columns, float* scratch) {
  for (int64_t lane = 0; lane < 16; lane += 4) {
    const float* rows[4];
    for (int64_t r = 0; r < 4; ++r) {
      const int64_t row = i + (lane + r < count ? lane + r : count - 1);
      rows[r] = load_row(x, row, scratch + r * padded16(x.d));
      if (!rows[r]) return row;
    }
    put_columns(rows, x.d, columns + lane);
  }
  return kAllFinite;
}

struct Nearest {
  i32x16 ids;
  mask16 certain;
  f32x16 limit;  // a codeword of a greater value is not the nearest
};

// Minimises v = |c|^2/2 - x.c, whose d fused operations, on differences to the origin that were rounded too, are off
// by at most (d+5) u (M^2/2 + |x| M) for |c| <= M; half the sum of M^2 and |x|^2 bounds |x| M. A codeword longer than
// 2 |x| is farther than the origin, which is a codeword itself, so M^2 need not be more than 4 |x|^2. Overflow makes
// the bound infinite. `moved`: 16*d floats; `values`: for each codeword 16, unless rows are SHORT.
template <bool SHORT>
inline Nearest nearest_by_float(const Codebook& c, const float* columns, float* moved, float* values) {
  constexpr int kTogether = SHORT ? kShortGroup : kGroup;
  const Packed from = packed_parts(const_cast<float*>(c.packed), c.k, c.d);
  f32x16 square = splat(0.0f);
  for (int64_t i = 0; i < c.d; ++i) {
    const f32x16 x = sub(load(columns + 16 * i), splat(from.origin[i]));
    store(moved + 16 * i, x);
    square = muladd(x, x, square);
  }
  f32x16 best = splat(__builtin_inff()), second = best;
  i32x16 ids = splat_i32(0);
  const float* group = from.groups;
  for (int64_t j = 0; j < c.k; j += kTogether, group += kTogether * c.d) {
    f32x16 value[kTogether];
    for (int g = 0; g < kTogether; ++g) value[g] = splat(from.half[j + g]);
    for (int64_t i = 0; i < c.d; ++i) {
      const f32x16 x = load(moved + 16 * i);
      for (int g = 0; g < kTogether; ++g) value[g] = muladd(x, splat(group[i * kTogether + g]), value[g]);
    }
    for (int g = 0; g < kTogether; ++g) {
      if (!SHORT) store(values + 16 * (j + g), value[g]);
      second = min(second, max(value[g], best));
      ids = select_i32(less(value[g], best), splat_i32(static_cast<int32_t>(j + g)), ids);
      best = min(value[g], best);
    }
  }
  const f32x16 longest = min(splat(*from.greatest), mul(splat(4.2f), square));
  const float units = 2.4f * static_cast<float>(c.d + 5) * kUnitRoundoff;  // twice the error, a fifth in reserve
  const f32x16 underflow = splat(static_cast<float>(c.d) * 2.4e-38f);
  const f32x16 bound = muladd(splat(units), muladd(splat(0.5f), square, longest), underflow);
  const f32x16 limit = add(best, bound);
  return {ids, less(limit, second), limit};
}

// Among all codewords, or those whose value, values[16*j], does not exceed `most`. A float32 distance, off by less than
// (d/16 + 12) u of it, spares most codewords the float64 one.
inline int32_t nearest_by_double(const Codebook& c, const float* x, const float* values = nullptr, float most = 0.0f) {
  const float slack = 1.0f + static_cast<float>(c.d / 8 + 32) * kUnitRoundoff;
  const float underflow = static_cast<float>(c.d) * 2.4e-38f;
  double best = __builtin_inf();
  float limit = __builtin_inff();
  int32_t id = 0;
  for (int64_t j = 0; j < c.k; ++j) {
    if (values && values[16 * j] > most) continue;
    const float* codeword = c.values + j * c.d;
    if (c.d >= 16) {
      f32x16 sum = splat(0.0f);
      for (int64_t i = 0; i + 16 <= c.d; i += 16) {
        const f32x16 t = sub(load(x + i), load(codeword + i));
        sum = muladd(t, t, sum);
      }
      if (reduce_add(sum) > limit) continue;  // the rest of the dimensions can only add to it
    }
    const double square = squared_distance(x, codeword, c.d);
    if (square >= best) continue;
    best = square;
    id = static_cast<int32_t>(j);
    limit = best < 1e38 ? static_cast<float>(best) * slack + underflow : __builtin_inff();
  }
  return id;
}

// The ids of `count` rows in columns (d, 16); writes 16 ids. `scratch`: 16*d floats and 16 for each packed codeword.
inline void nearest(const Codebook& c, const float* columns, int64_t count, int32_t* ids, float* scratch) {
  uint32_t uncertain = (1u << count) - 1u;
  float *values = nullptr, limits[16];
  if (count >= few_rows(c.d)) {
    if (!is_short(c.d)) values = scratch + 16 * padded16(c.d);
    const Nearest found = values ? nearest_by_float<false>(c, columns, scratch, values)
                                 : nearest_by_float<true>(c, columns, scratch, values);
    store_i32(ids, found.ids);
    uncertain &= ~mask_bits(found.certain);
    if (uncertain) store(limits, found.limit);
  }
  for (; uncertain; uncertain &= uncertain - 1u) {
    const int lane = __builtin_ctz(uncertain);
    for (int64_t j = 0; j < c.d; ++j) scratch[j] = columns[16 * j + lane];
    ids[lane] = values ? nearest_by_double(c, scratch, values + lane, limits[lane]) : nearest_by_double(c, scratch);
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
