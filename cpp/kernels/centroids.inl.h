// The products of queries with the centroids that a scan adds to rows.
#pragma once
#include "many.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Some centroids from `first` on, kTileRows of which the last may be the first again.
struct CentroidTile {
  const float* rows[kTileRows];
  int64_t first, count;
};

// Calls work(tile) for all centroids.
template <class Work>
EMB_OP void for_centroids(const Coarse& coarse, int64_t stride, const Work& work) {
  for (int64_t c = 0; c < coarse.count; c += kTileRows) {
    const int64_t left = coarse.count - c < kTileRows ? coarse.count - c : kTileRows;
    CentroidTile tile = {{}, c, left};
    for (int64_t r = 0; r < kTileRows; ++r) tile.rows[r] = coarse.centroids + (c + (r < left ? r : 0)) * stride;
    work(tile);
  }
}

// Of `count` queries from `first` on, that of query q and centroid c goes to products[q * apart + c * step].
EMB_OP void put_tile_products(const Scan& s, int64_t first, int64_t count, const CentroidTile& tile, float* products,
                              int64_t apart, int64_t step) {
  const int64_t stride = s.queries.stride;
  for (int64_t q = 0; q < count;) {
    const int64_t queries = count - q < kTileQueries ? 1 : kTileQueries;
    const float* x = s.queries.data + (first + q) * stride;
    float sums[kTileQueries * kTileRows];
    if (queries == 1)
      score_tile<false, kTileRows, 1>(tile.rows, x, stride, sums);
    else
      score_tile<false, kTileRows, kTileQueries>(tile.rows, x, stride, sums);
    for (int64_t i = 0; i < queries; ++i, ++q)
      for (int64_t r = 0; r < tile.count; ++r) products[q * apart + (tile.first + r) * step] = sums[i * kTileRows + r];
  }
}

inline void put_products(const Scan& s, int64_t first, int64_t count, const Coarse& coarse, float* products,
                         int64_t apart, int64_t step) {
  for_centroids(coarse, s.queries.stride,
                [&](const CentroidTile& tile) { put_tile_products(s, first, count, tile, products, apart, step); });
}

// The products of queries go to `products`, those of a centroid side by side and `step` from one to the next; zeros if
// there are none. slack[i]: how much those of a row can err.
inline void put_bases(const Scan& s, int64_t first, int64_t count, const Coarse& coarse, float* products, int64_t step,
                      float* slack) {
  for (int64_t i = 0; i < count; ++i) products[i] = 0.0f;
  const int64_t each = coarse.count / coarse.stages;
  float longest = 0.0f, most = 0.0f;  // of what is added to a row, and of a stage's centroids, squared
  for_centroids(coarse, s.queries.stride, [&](const CentroidTile& tile) {
    put_tile_products(s, first, count, tile, products, 1, step);
    float squares[kTileRows];
    dots16<kTileRows>(tile.rows, tile.rows, s.queries.stride, squares);
    for (int64_t r = 0; r < tile.count; ++r) {
      most = squares[r] > most ? squares[r] : most;
      if ((tile.first + r + 1) % each) continue;
      longest += __builtin_sqrtf(most) + 1e-18f;  // squares of less than that vanish
      most = 0.0f;
    }
  });
  for (int64_t i = 0; i < count; ++i) {
    const float length = s.queries.norm[first + i] + 1e-18f, sizes = length * longest;
    const bool finite = sizes < kLarge && length < kLarge;
    slack[i] = finite ? kMargin * rounding_of(s.queries.d) * sizes : __builtin_inff();
  }
}

// Where the products with the centroids of a block's rows are among a query's.
struct BasePlaces {
  int32_t* at;  // (stages, kBaseRows)
  int stages;
  static EMB_OP BasePlaces make(const Coarse& coarse, Room& room) {
    BasePlaces places = {room.take<int32_t>(kBaseRows * coarse.stages), coarse.stages};
    for (int64_t n = 0; n < kBaseRows * places.stages; ++n) places.at[n] = 0;
    return places;
  }
  // `step`: from one centroid's products to the next one's.
  EMB_OP void put(const Coarse& coarse, const int64_t* ids, int count, int64_t step) const {
    for (int s = 0; s < stages && coarse.count; ++s)
      for (int n = 0; n < count; ++n) at[s * kBaseRows + n] = static_cast<int32_t>(coarse.of(ids[n], s) * step);
  }
  // The sums of a query's, of rows r to r + 16.
  EMB_OP f32x16 sums(const float* products, int r) const {
    f32x16 sum = gather(products, load_i32(at + r));
    for (int s = 1; s < stages; ++s) sum = add(sum, gather(products, load_i32(at + s * kBaseRows + r)));
    return sum;
  }
  // Row r's, of 16 queries side by side.
  EMB_OP f32x16 sum(const float* products, int r) const {
    f32x16 sum = load(products + at[r]);
    for (int s = 1; s < stages; ++s) sum = add(sum, load(products + at[s * kBaseRows + r]));
    return sum;
  }
  EMB_OP float sum_of(const float* products, int r) const {
    float sum = products[at[r]];
    for (int s = 1; s < stages; ++s) sum += products[at[s * kBaseRows + r]];
    return sum;
  }
};

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
