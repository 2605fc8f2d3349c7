// Vector quantization: the nearest codeword, and the steps of k-means.
#pragma once
#include "nearest.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The rows as float32, contiguous; or the first one that is not finite. `out` may be null: then it only looks.
int64_t convert_rows(const Rows& x, float* out, Range r, float* scratch) {
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, scratch);
    if (!row) return i;
    if (out) __builtin_memcpy(out + i * x.d, row, static_cast<size_t>(x.d) * 4);
  }
  return kAllFinite;
}

int64_t vq_encode(const Rows& x, const Codebook& c, int32_t* ids, Range r, float* scratch) {
  float *columns = scratch, *rest = columns + 16 * padded16(c.d);
  for (int64_t i = r.begin; i < r.end; i += 16) {
    const int64_t count = r.end - i < 16 ? r.end - i : 16;
    const int64_t bad = load_columns(x, i, count, columns, rest);
    if (bad != kAllFinite) return bad;
    int32_t found[16];
    nearest(c, columns, count, found, rest);
    __builtin_memcpy(ids + i, found, static_cast<size_t>(count) * 4);
  }
  return kAllFinite;
}

void cluster_means(const Rows& x, const uint32_t* order, const int64_t* starts, float* codebook, Range clusters,
                   float* scratch) {
  double* sums = reinterpret_cast<double*>(scratch);
  float* buffer = scratch + 2 * padded16(x.d);
  for (int64_t c = clusters.begin; c < clusters.end; ++c) {
    const int64_t count = starts[c + 1] - starts[c];
    if (count == 0) continue;
    for (int64_t j = 0; j < x.d; ++j) sums[j] = 0.0;
    for (int64_t i = starts[c]; i < starts[c + 1]; ++i) {
      if (i + 1 < x.n) prefetch_row(x, order[i + 1]);
      const float* row = row_values(x, order[i], buffer);
      for (int64_t j = 0; j < x.d; ++j) sums[j] += row[j];
    }
    for (int64_t j = 0; j < x.d; ++j) codebook[c * x.d + j] = static_cast<float>(sums[j] / static_cast<double>(count));
  }
}

void squared_errors(const Rows& x, const float* codebook, const int32_t* ids, double* errors, Range r, float* scratch) {
  for (int64_t i = r.begin; i < r.end; ++i)
    errors[i] = squared_distance(row_values(x, i, scratch), codebook + ids[i] * x.d, x.d);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
