// Numbers of 16 bits, float16 or bfloat16, rounded half to even; beyond the largest finite one, that.
#pragma once
#include "rows.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

template <bool BF16>
EMB_OP f32x16 load_half(const uint16_t* p) {
  return BF16 ? load_bf16(p) : load_f16(p);
}
// 16 halves of which `count` are there, zeros behind them. The halves of a code may lie anywhere.
template <bool BF16>
EMB_OP f32x16 load_half_tail(const uint16_t* p, int64_t count) {
  uint16_t halves[16] = {};
  __builtin_memcpy(halves, p, static_cast<size_t>(count) * 2);
  return load_half<BF16>(halves);
}
template <bool BF16>
EMB_OP void store_half(uint16_t* p, f32x16 x) {
  const f32x16 most = splat(BF16 ? most_bf16() : most_f16()), within = max(min(x, most), negate(most));
  if (BF16)
    store_bf16(p, within);
  else
    store_f16(p, within);
}

template <bool BF16>
EMB_OP int64_t encode_halves(const Rows& x, CodesOut out, Range r, float* scratch) {
  for (int64_t i = r.begin; i < r.end; ++i) {
    prefetch_ahead(x, i);
    const float* row = row_values(x, i, scratch);
    uint16_t* to = reinterpret_cast<uint16_t*>(out.data + i * out.stride);
    f32x16 poison = splat(0.0f);  // NaN from the first value on that is not finite
    int64_t j = 0;
    for (; j + 16 <= x.d; j += 16) {
      const f32x16 values = load(row + j);
      poison = add(poison, sub(values, values));
      store_half<BF16>(to + j, values);
    }
    if (j < x.d) {
      const f32x16 values = load_tail(row + j, x.d - j);
      poison = add(poison, sub(values, values));
      uint16_t halves[16];
      store_half<BF16>(halves, values);
      __builtin_memcpy(to + j, halves, static_cast<size_t>(x.d - j) * 2);
    }
    if (!all_finite(poison)) return i;
  }
  return kAllFinite;
}

template <bool BF16>
EMB_OP void decode_halves(const Codes& codes, int64_t d, RowsOut out, Range r) {
  put_rows(out, d, r, [&](int64_t i, float* to) {
    const uint8_t* code = codes.data + i * codes.stride;
    prefetch_ahead(code, 2 * d);
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(code);
    int64_t j = 0;
    for (; j + 16 <= d; j += 16) store(to + j, load_half<BF16>(halves + j));
    if (j < d) store_tail(to + j, load_half_tail<BF16>(halves + j, d - j), d - j);
  });
}

int64_t half_encode(const Rows& x, Dtype half, CodesOut out, Range r, float* scratch) {
  return half == Dtype::bf16 ? encode_halves<true>(x, out, r, scratch) : encode_halves<false>(x, out, r, scratch);
}

void half_decode(const Codes& codes, int64_t d, Dtype half, RowsOut out, Range r) {
  if (half == Dtype::bf16)
    decode_halves<true>(codes, d, out, r);
  else
    decode_halves<false>(codes, d, out, r);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
