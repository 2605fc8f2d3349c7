// What centroids add to the scores of product quantizer codes: each row's the product of the query with its own, last.
#pragma once
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The products of `count` queries from `first` on with the centroids: that of query q and centroid c goes to
// products[q * apart + c * step].
inline void put_products(const Scan& s, int64_t first, int64_t count, const Coarse& coarse, float* products,
                         int64_t apart, int64_t step) {
  const int64_t stride = s.queries.stride;
  for (int64_t c = 0; c < coarse.count; c += kTileRows) {
    const int64_t left = coarse.count - c < kTileRows ? coarse.count - c : kTileRows;
    const float* rows[kTileRows];
    float sums[kTileRows];
    for (int64_t r = 0; r < kTileRows; ++r) rows[r] = coarse.centroids + (c + (r < left ? r : 0)) * stride;
    for (int64_t q = 0; q < count; ++q) {
      score_tile<false, kTileRows, 1>(rows, s.queries.data + (first + q) * stride, stride, sums);
      for (int64_t r = 0; r < left; ++r) products[q * apart + (c + r) * step] = sums[r];
    }
  }
}

// The centroids, and the products of some queries with them.
struct Bases {
  Coarse coarse;
  const float* products;  // (queries, centroids), or (centroids, 16) of a tile of queries; null without centroids

  EMB_OP Bases of(int64_t query) const { return {coarse, products ? products + query * coarse.count : nullptr}; }

  // Of rows, to the sums of the first query ...
  EMB_OP void add_to(float* sums, const int64_t* ids, int count) const {
    for (int r = 0; r < count && products; ++r) sums[r] += products[coarse.of(ids[r])];
  }
  // ... and to those of a tile, (rows, 16).
  EMB_OP void add_to_tile(float* sums, const int64_t* ids, int count) const {
    for (int r = 0; r < count && products; ++r)
      store(sums + 16 * r, add(load(sums + 16 * r), load(products + 16 * coarse.of(ids[r]))));
  }
};

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
