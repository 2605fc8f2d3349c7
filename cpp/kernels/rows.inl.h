// A row of the caller's matrix as float32: in place where it already is, else converted into scratch.
#pragma once
#include "../row/halves.h"
#include "table.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The last lanes of a row, filled with zeros.
EMB_OP f32x16 load_tail(const float* p, int64_t count) {
  float lanes[16] = {};
  __builtin_memcpy(lanes, p, static_cast<size_t>(count) * 4);
  return load(lanes);
}
EMB_OP f32x16 lanes_of(const float* p, int64_t count) { return count == 16 ? load(p) : load_tail(p, count); }
EMB_OP void store_tail(float* p, f32x16 a, int64_t count) {
  float lanes[16];
  store(lanes, a);
  __builtin_memcpy(p, lanes, static_cast<size_t>(count) * 4);
}

EMB_OP bool row_is_finite(const float* p, int64_t d) {
  int64_t j = 0;
  f32x16 biggest = splat(0.0f);
  // |x| - |x| is NaN for infinities and NaN, and NaN stays NaN in a sum; 0 else.
  for (; j + 16 <= d; j += 16) {
    const f32x16 x = load(p + j);
    biggest = add(biggest, sub(x, x));
  }
  if (j < d) {
    const f32x16 x = load_tail(p + j, d - j);
    biggest = add(biggest, sub(x, x));
  }
  return all_finite(biggest);
}

template <class T>
EMB_OP float element(const char* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof(T));
  return static_cast<float>(value);
}

inline void convert_strided(const Rows& x, const char* row, float* out) {
  for (int64_t j = 0; j < x.d; ++j, row += x.col_stride) {
    uint16_t half;
    __builtin_memcpy(&half, row, 2);
    switch (x.dtype) {
      case Dtype::f32:
        out[j] = element<float>(row);
        break;
      case Dtype::f64:
        out[j] = element<double>(row);
        break;
      case Dtype::f16:
        out[j] = f32_from_f16(half);
        break;
      case Dtype::bf16:
        out[j] = f32_from_bf16(half);
        break;
    }
  }
}

template <class T, class Load>
EMB_OP void convert_contiguous(const char* row, int64_t d, float* out, Load load16) {
  const T* p = reinterpret_cast<const T*>(row);
  int64_t j = 0;
  for (; j + 16 <= d; j += 16) store(out + j, load16(p + j));
  if (j < d) {
    T lanes[16] = {};
    __builtin_memcpy(lanes, p + j, static_cast<size_t>(d - j) * sizeof(T));
    store(out + j, load16(lanes));  // out has room for a multiple of 16
  }
}

EMB_OP int64_t size_of(Dtype dtype) { return dtype == Dtype::f64 ? 8 : dtype == Dtype::f32 ? 4 : 2; }

EMB_OP void prefetch_row(const Rows& x, int64_t i) {
  const char* p = x.data + i * x.row_stride;
  for (int64_t b = 0; b < x.d * size_of(x.dtype); b += 64) __builtin_prefetch(p + b, 0, 2);
}

// Asks for the row 4 KB ahead: the machine itself does not look beyond a page, and a page is three rows of 384 float32.
// 100,000 such rows to bytes: 24 ms without, 18 ms with, 17 ms to only read them; the hint for data used once: 29 ms.
EMB_OP void prefetch_ahead(const Rows& x, int64_t i) {
  const int64_t row = i + 4096 / (x.d * size_of(x.dtype)) + 1;
  if (row < x.n) prefetch_row(x, row);
}

// Row i. `scratch` has room for padded16(d).
inline const float* row_values(const Rows& x, int64_t i, float* scratch) {
  const char* row = x.data + i * x.row_stride;
  const float* result = scratch;
  const int64_t size = size_of(x.dtype);
  if (x.col_stride != size && x.d > 1) {
    convert_strided(x, row, scratch);
  } else if (x.dtype == Dtype::f32) {
    result = reinterpret_cast<const float*>(row);
  } else if (x.dtype == Dtype::f64) {
    convert_contiguous<double>(row, x.d, scratch, [](const double* p) { return load_f64(p); });
  } else if (x.dtype == Dtype::f16) {
    convert_contiguous<uint16_t>(row, x.d, scratch, [](const uint16_t* p) { return load_f16(p); });
  } else {
    convert_contiguous<uint16_t>(row, x.d, scratch, [](const uint16_t* p) { return load_bf16(p); });
  }
  return result;
}

// Row i, or null if it holds a NaN or an infinity (after conversion to float32).
inline const float* load_row(const Rows& x, int64_t i, float* scratch) {
  prefetch_ahead(x, i);
  const float* values = row_values(x, i, scratch);
  return row_is_finite(values, x.d) ? values : nullptr;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
