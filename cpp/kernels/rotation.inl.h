// Randomised Hadamard rotation: signs, butterflies of strides 1, 2, 4 .., a row of the Paley matrix from left to right,
// the scale. Several butterflies are done for each load, which changes no sum: every level gives the same bits.
#pragma once
#include "../row/rotation.h"
#include "rows.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Over whole vectors: stride 1 (R = 2), or 1 and 2 (R = 4).
template <int R>
EMB_OP void butterfly(f32x16* v) {
  for (int stride = 1; stride < R; stride *= 2)
    for (int i = 0; i < R; ++i) {
      if (i & stride) continue;
      const f32x16 a = v[i], b = v[i + stride];
      v[i] = add(a, b);
      v[i + stride] = sub(a, b);
    }
}

// Butterflies of `stride` (R = 2), or of `stride` and twice that (R = 4), over the whole row; put(j, lanes) takes them.
template <int R, class Put>
EMB_OP void butterflies(const float* y, int64_t size, int64_t stride, Put put) {
  for (int64_t base = 0; base < size; base += R * stride)
    for (int64_t j = base; j < base + stride; j += 16) {
      f32x16 v[R];
      for (int i = 0; i < R; ++i) v[i] = load(y + j + i * stride);
      butterfly<R>(v);
      for (int i = 0; i < R; ++i) put(j + i * stride, v[i]);
    }
}

// The first stages: 16 * R values are loaded and need no other; `get(j)` gives 16 of them.
template <int R, class Get>
EMB_OP void first_butterflies(float* y, int64_t size, Get get) {
  for (int64_t j = 0; j < size; j += 16 * R) {
    f32x16 v[R];
    for (int i = 0; i < R; ++i) v[i] = hadamard16(get(j + 16 * i));
    butterfly<R>(v);
    for (int i = 0; i < R; ++i) store(y + j + 16 * i, v[i]);
  }
}

template <int M, uint32_t ROW>
EMB_OP f32x16 signed_sum(const f32x16* x) {
  f32x16 sum = ROW & 1 ? x[0] : negate(x[0]);
#pragma GCC unroll 20
  for (int i = 1; i < M; ++i) sum = ROW >> i & 1 ? add(sum, x[i]) : sub(sum, x[i]);
  return sum;
}

template <int M, int J, class Put>
EMB_OP void paley_rows(const f32x16* x, Put put) {
  put(J, signed_sum<M, Paley<M>::rows[J]>(x));
  if constexpr (J + 1 < M) paley_rows<M, J + 1>(x, put);
}

// put(block, column, lanes): 16 columns of a block, whose values lie `stride` floats apart in y.
template <int M, class Put>
EMB_OP void paley_step(const float* y, int64_t stride, Put put) {
  for (int64_t column = 0; column < stride; column += 16) {
    f32x16 x[M];
    for (int i = 0; i < M; ++i) x[i] = load(y + i * stride + column);
    paley_rows<M, 0>(x, [&](int block, f32x16 sum) { put(block, column, sum); });
  }
}

// One row of the task: where its values are (d of them, then zeros up to size) and where they go.
struct RotatedRow {
  const float* x;
  int64_t d;
  const Rotation& p;
  float* out;

  EMB_OP f32x16 get(int64_t j) const {
    const f32x16 v = j + 16 <= d ? load(x + j) : j < d ? load_tail(x + j, d - j) : splat(0.0f);
    return p.inverse ? v : mul(v, load(p.signs + j));
  }
  EMB_OP void put(int64_t j, f32x16 v) const {
    v = mul(v, splat(p.scale));
    store(out + j, p.inverse ? mul(v, load(p.signs + j)) : v);
  }
};

// The stages up to `until`, in y; returns the stride of the next.
EMB_OP int64_t butterflies_in_place(const RotatedRow& row, int64_t block, int64_t until, float* y) {
  const auto get = [&](int64_t j) { return row.get(j); };
  int64_t stride = block < 64 ? block : 64;
  if (stride == 64)
    first_butterflies<4>(y, row.p.size, get);
  else if (stride == 32)
    first_butterflies<2>(y, row.p.size, get);
  else
    first_butterflies<1>(y, row.p.size, get);
  for (; 4 * stride <= until; stride *= 4)
    butterflies<4>(y, row.p.size, stride, [&](int64_t j, f32x16 v) { store(y + j, v); });
  return stride;
}

inline void rotate_power_of_two(const RotatedRow& row, float* y) {
  const int64_t size = row.p.size, stride = butterflies_in_place(row, size, size / 2, y);
  const auto put = [&](int64_t j, f32x16 v) { row.put(j, v); };
  if (4 * stride == size)
    butterflies<4>(y, size, stride, put);
  else if (2 * stride == size)
    butterflies<2>(y, size, stride, put);
  else
    for (int64_t j = 0; j < size; j += 16) put(j, load(y + j));
}

template <int M>
inline void rotate_paley(const RotatedRow& row, float* y) {
  const int64_t block = row.p.size / M, stride = butterflies_in_place(row, block, block, y);
  if (2 * stride == block) butterflies<2>(y, row.p.size, stride, [&](int64_t j, f32x16 v) { store(y + j, v); });
  paley_step<M>(y, block, [&](int i, int64_t column, f32x16 v) { row.put(i * block + column, v); });
}

inline void small_butterflies(float* y, int64_t block) {
  for (int64_t stride = 1; stride < block; stride *= 2)
    for (int64_t i = 0; i < block; ++i) {
      if (i & stride) continue;
      const float a = y[i], b = y[i + stride];
      y[i] = a + b;
      y[i + stride] = a - b;
    }
}

// Blocks of fewer than 16 values lie 16 apart in y.
template <int M>
inline void rotate_small(const RotatedRow& row, float* y) {
  const Rotation& p = row.p;
  const int64_t block = p.size / M;
  for (int64_t j = 0; j < p.size; ++j) {
    const float v = j < row.d ? row.x[j] : 0.0f;
    y[j / block * 16 + j % block] = p.inverse ? v : v * p.signs[j];
  }
  for (int i = 0; i < M; ++i) small_butterflies(y + 16 * i, block);
  paley_step<M>(y, 16, [&](int i, int64_t, f32x16 v) {
    v = mul(v, splat(p.scale));
    store_tail(row.out + i * block, p.inverse ? mul(v, load_tail(p.signs + i * block, block)) : v, block);
  });
}

template <int M>
inline void rotate_row(const RotatedRow& row, float* y) {
  if (row.p.size / M < 16)
    rotate_small<M>(row, y);
  else if constexpr (M == 1)
    rotate_power_of_two(row, y);
  else
    rotate_paley<M>(row, y);
}

int64_t hadamard_rotate(const Rows& x, const Rotation& p, RowsOut out, Range r, float* scratch) {
  float* y = scratch + row_scratch(x.d);
  const int m = paley_order(p.size);
  int64_t bad = kAllFinite;
  put_rows(out, p.size, r, [&](int64_t i, float* to) {
    prefetch_ahead(x, i);
    const RotatedRow row = {row_values(x, i, scratch), x.d, p, to};
    if (m == 1) rotate_row<1>(row, y);
    if (m == 12) rotate_row<12>(row, y);
    if (m == 20) rotate_row<20>(row, y);
    // Every result is a sum over the whole row: a NaN or an infinity in it is in all of them.
    if (bad == kAllFinite && !(to[0] - to[0] == 0.0f) && !row_is_finite(row.x, x.d)) bad = i;
  });
  return bad;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
