// The exact scan, over rows of any type.
#pragma once
#include "half.inl.h"
#include "many.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// One query: every row is read where it lies, with what lies ahead asked for meanwhile. Converted to float32 first, in
// blocks, rows came at two thirds of the rate (Zen 3), since memory waits while scores are computed.
template <bool BF16, Metric METRIC>
EMB_OP int64_t scan_halves(const Rows& x, const Scan& s, Range rows, int64_t q, float* scratch) {
  const float* query = s.queries.data + q * s.queries.stride;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (s.mask && !s.mask[row]) continue;
    const char* from = x.data + row * x.row_stride;
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(from);
    f32x16 sum = splat(0.0f), square = sum;
    const auto take = [&](f32x16 values, int64_t j) {
      sum = accumulate<METRIC == Metric::l2>(sum, load(query + j), values);
      if (METRIC == Metric::cosine) square = add(square, mul(values, values));
    };
    int64_t j = 0;
    for (; j + 32 <= x.d; j += 32) {
      prefetch_ahead(reinterpret_cast<const uint8_t*>(halves + j));
      take(load_half<BF16>(halves + j), j);
      take(load_half<BF16>(halves + j + 16), j + 16);
    }
    for (; j < x.d; j += 16) take(load_half_tail<BF16>(halves + j, x.d - j < 16 ? x.d - j : 16), j);
    const float total = reduce_add(sum);
    if (total - total != 0.0f && !row_is_finite(row_values(x, row, scratch), x.d)) return row;
    const float norm = METRIC == Metric::cosine ? __builtin_sqrtf(reduce_add(square)) : 0.0f;
    keep(s.best[q], finish_score(total, METRIC, s.queries.norm[q], norm), row);
  }
  return kAllFinite;
}

template <bool BF16>
EMB_OP int64_t scan_halves(const Rows& x, const Scan& s, Range rows, int64_t q, float* scratch) {
  switch (s.metric) {
    case Metric::ip:
      return scan_halves<BF16, Metric::ip>(x, s, rows, q, scratch);
    case Metric::l2:
      return scan_halves<BF16, Metric::l2>(x, s, rows, q, scratch);
    default:
      return scan_halves<BF16, Metric::cosine>(x, s, rows, q, scratch);
  }
}

int64_t flat_topk(const Rows& x, const Scan& scan, Range rows, Range queries, float* scratch) {
  const int64_t d = x.d, stride = scan.queries.stride;
  if (queries.end - queries.begin == 1 && x.col_stride == 2) {
    if (x.dtype == Dtype::f16) return scan_halves<false>(x, scan, rows, queries.begin, scratch);
    if (x.dtype == Dtype::bf16) return scan_halves<true>(x, scan, rows, queries.begin, scratch);
  }
  return scan_rows(scan, rows, queries, scratch, [&](int64_t row, float* buffer) -> const float* {
    if (x.dtype != Dtype::f32 || d != stride) prefetch_ahead(x, row);  // else the scan asks for them
    const float* values = row_values(x, row, buffer);
    if (d == stride) return values;
    if (values != buffer) __builtin_memcpy(buffer, values, static_cast<size_t>(d) * 4);
    for (int64_t j = d; j < stride; ++j) buffer[j] = 0.0f;
    return buffer;
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
