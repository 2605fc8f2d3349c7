// Gain and shape (Sabin and Gray, 1984): levels for a row that is scaled to their length, and two numbers that make its
// inner products right, an int8 that multiplies a direction and a float16 that multiplies the sum: docs/formats.md.
#pragma once
#include "levels.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// A sum in float64 of float32 values, 16 lanes in order of dimension, then halved.
struct WideSum {
  f64x16 lanes = zero_f64();
  EMB_OP void operator+=(f32x16 values) { lanes = add_f64(lanes, values); }
  EMB_OP double total() const {
    double sums[16];
    store_f64(sums, lanes);
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    return sums[0];
  }
};

EMB_OP double wide_product(const float* a, const float* b, int64_t padded) {
  WideSum sum;
  for (int64_t j = 0; j < padded; j += 16) sum += mul(load(a + j), load(b + j));
  return sum.total();
}

// Levels for a row of a length, and what they decode to.
struct Shape {
  uint8_t* code;
  float* values;
  double along, square;  // their inner products with the row and with themselves
};

// Scales z by `unit` and puts it on levels. All arrays are padded with zeros.
template <int BITS>
EMB_OP void put_on_levels(const float* z, float unit, const ShapeParams& p, Shape& shape) {
  const LevelsParams& l = p.levels;
  const f32x16 few = BITS > 4 ? splat(0.0f) : lanes_of(l.levels, 1 << BITS), scale = splat(unit);
  WideSum along, square;
  for (int64_t j = 0; j < l.d; j += 16) {
    const int64_t count = l.d - j < 16 ? l.d - j : 16;
    const f32x16 row = load(z + j);
    i32x16 code = nearest_level<BITS>(mul(mul(row, scale), load(l.inverse + j)), l.midpoints);
    if (count < 16) code = select_i32(mask_of((1u << count) - 1u), code, splat_i32(0));
    put_codes<BITS>(shape.code, j, code, count);
    const f32x16 level = BITS > 4 ? gather(l.levels, code) : pick(few, code);
    const f32x16 value = mul(level, load(l.step + j));
    store(shape.values + j, value);
    along += mul(row, value);
    square += mul(value, value);
  }
  shape.along = along.total();
  shape.square = square.total();
}

// How much of the direction `values` lack, so that with its factor a row's inner products with the direction and with
// itself are right; as the int8 that is nearest.
EMB_OP int shift_of(const float* z, const Shape& shape, const ShapeParams& p, double direction_square, int64_t padded) {
  WideSum zz, dz, dy;
  for (int64_t j = 0; j < padded; j += 16) {
    const f32x16 row = load(z + j), line = load(p.direction + j);
    zz += mul(row, row);
    dz += mul(row, line);
    dy += mul(load(shape.values + j), line);
  }
  const double square = zz.total(), of_row = dz.total(), of_values = dy.total();
  const double area = square * direction_square - of_row * of_row;
  if (!(area > 1e-6 * square * direction_square)) return 0;
  const double wanted = (of_row * shape.along - square * of_values) / area;
  const double below = wanted < 127.0 ? wanted : 127.0;
  return static_cast<int>(__builtin_rintf(static_cast<float>(below > -127.0 ? below : -127.0)));
}

// By which the sum must grow for its inner product with the row to be the row's with itself; dimensions without a step,
// of which no level can say anything, aside.
EMB_OP uint16_t factor_of(const float* z, const Shape& shape, int shift, const ShapeParams& p, int64_t padded) {
  const f32x16 multiple = splat(static_cast<float>(shift)), zero = splat(0.0f);
  WideSum along, square;
  for (int64_t j = 0; j < padded; j += 16) {
    const f32x16 row = select(less(zero, load(p.levels.step + j)), load(z + j), zero);
    along += mul(row, add(load(shape.values + j), mul(multiple, load(p.direction + j))));
    square += mul(row, row);
  }
  const double length = along.total(), factor = length > 0.0 ? square.total() / length : 0.0;
  return f16_from_f32(factor < most_f16() ? static_cast<float>(factor) : most_f16());
}

template <int BITS>
EMB_OP int64_t shape_encode_rows(const Rows& x, const ShapeParams& p, CodesOut out, Range r, float* scratch) {
  const int64_t d = x.d, padded = padded16(d), size = (d * BITS + 7) / 8;
  float *row = scratch, *first = row + 2 * padded, *second = first + padded;
  uint8_t* codes = reinterpret_cast<uint8_t*>(second + padded);
  const double direction_square = wide_product(p.direction, p.direction, padded);
  int64_t steps = 0;
  for (int64_t j = 0; j < d; ++j) steps += p.levels.step[j] > 0.0f;
  const double coordinates = static_cast<double>(steps ? steps : 1);
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* z = load_row(x, i, row);
    if (!z) return i;
    if (z != row && d != padded) {
      __builtin_memcpy(row, z, static_cast<size_t>(d) * 4);
      z = row;
    }
    for (int64_t j = d; j < padded; ++j) row[j] = 0.0f;
    WideSum squares;
    for (int64_t j = 0; j < padded; j += 16) {
      const f32x16 scaled = mul(load(z + j), load(p.levels.inverse + j));
      squares += mul(scaled, scaled);
    }
    const double length = __builtin_sqrt(squares.total() / coordinates);
    Shape best = {codes, first, 0.0, 0.0}, tried = {codes + padded, second, 0.0, 0.0};
    double cosine = -__builtin_inf();
    for (int s = 0; s < p.scale_count; ++s) {
      const double unit = length > 0.0 ? static_cast<double>(p.scales[s]) / length : 0.0;
      put_on_levels<BITS>(z, static_cast<float>(unit), p, tried);
      const double angle = tried.along / __builtin_sqrt(tried.square > 1e-30 ? tried.square : 1e-30);
      if (!(angle > cosine)) continue;
      const Shape other = best;
      best = tried;
      tried = other;
      cosine = angle;
    }
    if (!(cosine > -__builtin_inf())) {  // after an overflow
      __builtin_memset(best.code, 0, static_cast<size_t>(size));
      for (int64_t j = 0; j < padded; ++j) best.values[j] = 0.0f;
    }
    const int shift = shift_of(z, best, p, direction_square, padded);
    const uint16_t factor = factor_of(z, best, shift, p, padded);
    uint8_t* to = out.data + i * out.stride;
    __builtin_memcpy(to, best.code, static_cast<size_t>(size));
    to[size] = static_cast<uint8_t>(shift);
    to[size + 1] = static_cast<uint8_t>(factor);
    to[size + 2] = static_cast<uint8_t>(factor >> 8);
  }
  return kAllFinite;
}

int64_t shape_encode(const Rows& x, const ShapeParams& p, CodesOut out, Range r, float* scratch) {
  int64_t bad = kAllFinite;
  for_bits(p.levels.bits, [&](auto bits) { bad = shape_encode_rows<bits()>(x, p, out, r, scratch); });
  return bad;
}

void shape_decode(const Codes& codes, const ShapeParams& p, RowsOut out, Range r) {
  const LevelsParams& l = p.levels;
  const int64_t size = (l.d * l.bits + 7) / 8;
  const Column shifts = {Column::i8, reinterpret_cast<const char*>(codes.data) + size, codes.stride};
  const Column factors = {Column::f16, shifts.data + 1, codes.stride};
  for_bits(l.bits, [&](auto bits) {
    put_rows(out, l.d, r, [&](int64_t i, float* to) {
      const uint8_t* code = codes.data + i * codes.stride;
      prefetch_ahead(code, size);
      const f32x16 few = bits() > 4 ? splat(0.0f) : lanes_of(l.levels, 1 << bits());
      const f32x16 shift = splat(shifts.at(i)), factor = splat(factors.at(i));
      const auto values = [&](int64_t j, int64_t count) {
        const f32x16 sum = add(levels_at<bits(), false>(code, l, few, j, count), mul(shift, load(p.direction + j)));
        return mul(sum, factor);
      };
      int64_t j = 0;
      for (; j + 16 <= l.d; j += 16) store(to + j, values(j, 16));
      if (j < l.d) store_tail(to + j, values(j, l.d - j), l.d - j);
    });
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
