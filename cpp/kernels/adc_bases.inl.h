// What centroids add to the scores of product quantizer codes: each row's the product of the query with its own, last.
#pragma once
#include "centroids.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

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
