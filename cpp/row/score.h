// What becomes of the sum over a row's dimensions: docs/formats.md, "Scores and top-k".
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// `sum`: the inner product, for l2 the squared distance.
EMB_HD float finish_score(float sum, Metric metric, float query_norm, float row_norm) {
  if (metric == Metric::ip) return sum;
  if (metric == Metric::l2) return -sum;
  const float product = query_norm * row_norm;
  return product != 0.0f ? sum / product : 0.0f;
}

// Sparse rows: their squared distance comes from the inner product and the squared lengths.
EMB_HD float finish_sparse_score(float ip, Metric metric, float query_square, float row_square) {
  if (metric == Metric::l2) return -((query_square - 2.0f * ip) + row_square);
  return finish_score(ip, metric, __builtin_sqrtf(query_square), __builtin_sqrtf(row_square));
}

// No NaN, which is an overflow, and no -0.0.
EMB_HD float comparable(float score) { return score == score ? score + 0.0f : -__builtin_inff(); }

}  // namespace
}  // namespace embcodec
