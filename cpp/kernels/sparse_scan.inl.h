// Decoding of sparse codes, and their scan: as ADC does it, 16 queries side by side, so that a stored entry is one load
// of 16 query values and needs no gather.
#pragma once
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

template <class Index>
EMB_OP const Index* sparse_indices(const Sparse& s, int64_t row) {
  return reinterpret_cast<const Index*>(s.indices + row * s.index_stride);
}

EMB_OP const float* sparse_values(const Sparse& s, int64_t row) {
  return reinterpret_cast<const float*>(s.values + row * s.value_stride);
}

template <class Index>
EMB_OP bool ascend_below(const Index* indices, int64_t k, int64_t d) {
  Index bad = 0;
  for (int64_t e = 1; e < k; ++e) bad |= static_cast<Index>(indices[e] <= indices[e - 1]);
  return !bad && indices[k - 1] < d;
}

// The first row of bad indices.
template <class Index>
EMB_OP int64_t disorder(const Sparse& s, int64_t d, Range rows) {
  for (int64_t i = rows.begin; i < rows.end; ++i)
    if (!ascend_below(sparse_indices<Index>(s, i), s.k, d)) return i;
  return kAllFinite;
}

template <class Index>
EMB_OP int64_t decode_sparse(const Sparse& s, int64_t d, float* out, Range r) {
  for (int64_t i = r.begin; i < r.end; ++i) {
    const Index* indices = sparse_indices<Index>(s, i);
    if (!ascend_below(indices, s.k, d)) return i;
    float* to = out + i * d;
    for (int64_t j = 0; j < d; ++j) to[j] = 0.0f;
    for (int64_t e = 0; e < s.k; ++e) to[indices[e]] = sparse_values(s, i)[e];
  }
  return kAllFinite;
}

int64_t topk_decode(const Sparse& s, int64_t d, float* out, Range r) {
  return s.wide ? decode_sparse<uint32_t>(s, d, out, r) : decode_sparse<uint16_t>(s, d, out, r);
}

struct OneQuery {
  typedef float Sum;
  static EMB_OP Sum zero() { return 0.0f; }
  static EMB_OP Sum product(const float* query, int64_t dimension, float value) { return query[dimension] * value; }
  static EMB_OP Sum plus(Sum a, Sum b) { return a + b; }
};
struct SixteenQueries {
  typedef f32x16 Sum;
  static EMB_OP Sum zero() { return splat(0.0f); }
  static EMB_OP Sum product(const float* columns, int64_t dimension, float value) {
    return mul(load(columns + 16 * dimension), splat(value));
  }
  static EMB_OP Sum plus(Sum a, Sum b) { return add(a, b); }
};

// The sum of lanes LANE, LANE + WIDTH, LANE + 2 WIDTH .. of the contract's 16, added as its tree does, depth first: so
// few sums wait at a time. A lane starts with its first product: 0 + p differs from p in the sign of zero alone, which
// no score shows.
template <class Lanes, int LANE, int WIDTH, class Index>
EMB_OP typename Lanes::Sum sparse_dot(const float* queries, const Index* indices, const float* values, int64_t k) {
  if constexpr (WIDTH < 16) {
    return Lanes::plus(sparse_dot<Lanes, LANE, 2 * WIDTH>(queries, indices, values, k),
                       sparse_dot<Lanes, LANE + WIDTH, 2 * WIDTH>(queries, indices, values, k));
  } else {
    if (LANE >= k) return Lanes::zero();
    typename Lanes::Sum sum = Lanes::product(queries, indices[LANE], values[LANE]);
    for (int64_t e = LANE + 16; e < k; e += 16) sum = Lanes::plus(sum, Lanes::product(queries, indices[e], values[e]));
    return sum;
  }
}

EMB_OP float sparse_score(Metric metric, float ip, float square, float query_norm, float row_square) {
  if (metric == Metric::l2) return -((square - 2.0f * ip) + row_square);
  return finish(ip, metric, query_norm, __builtin_sqrtf(row_square));
}

EMB_OP f32x16 sparse_score16(Metric metric, f32x16 ip, const QueryTile& tile, float row_square) {
  if (metric != Metric::l2) return finish16(ip, metric, load(tile.norms), __builtin_sqrtf(row_square));
  return negate(add(sub(load(tile.squares), mul(splat(2.0f), ip)), splat(row_square)));
}

EMB_OP float sparse_square(const Sparse& s, int64_t row) {
  const float* values = sparse_values(s, row);
  f32x16 sum = splat(0.0f);
  for (int64_t e = 0; e < s.k; e += 16) {
    const f32x16 v = lanes_of(values + e, s.k - e < 16 ? s.k - e : 16);
    sum = add(sum, mul(v, v));
  }
  return reduce_add(sum);
}

template <class Index>
EMB_OP void scan_sparse_query(const Sparse& s, const Scan& scan, Range rows, int64_t q) {
  const float* query = scan.queries.data + q * scan.queries.stride;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (scan.mask && !scan.mask[row]) continue;
    const float ip = sparse_dot<OneQuery, 0, 1>(query, sparse_indices<Index>(s, row), sparse_values(s, row), s.k);
    const float square = scan.metric == Metric::ip ? 0.0f : sparse_square(s, row);
    keep(scan.best[q], sparse_score(scan.metric, ip, scan.queries.square[q], scan.queries.norm[q], square), row);
  }
}

// columns: room for the queries of the tile, transposed.
template <class Index>
EMB_OP void scan_sparse_tile(const Sparse& s, const Scan& scan, Range rows, int64_t q, int count, float* columns) {
  QueryTile tile = query_tile(scan, q, count);
  query_columns(scan, q, count, columns);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (scan.mask && !scan.mask[row]) continue;
    const f32x16 ip =
        sparse_dot<SixteenQueries, 0, 1>(columns, sparse_indices<Index>(s, row), sparse_values(s, row), s.k);
    const float square = scan.metric == Metric::ip ? 0.0f : sparse_square(s, row);
    keep16(tile, sparse_score16(scan.metric, ip, tile, square), row);
  }
}

template <class Index>
EMB_OP int64_t scan_sparse(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  const int64_t bad = disorder<Index>(s, scan.queries.d, rows);
  if (bad != kAllFinite) return bad;
  int64_t q = queries.begin;
  for (; queries.end - q >= kFewQueries; q += 16) {
    const int count = queries.end - q < 16 ? static_cast<int>(queries.end - q) : 16;
    scan_sparse_tile<Index>(s, scan, rows, q, count, scratch);
  }
  for (; q < queries.end; ++q) scan_sparse_query<Index>(s, scan, rows, q);
  return kAllFinite;
}

// scratch: sparse_topk_scratch(d).
int64_t sparse_topk(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  return s.wide ? scan_sparse<uint32_t>(s, scan, rows, queries, scratch)
                : scan_sparse<uint16_t>(s, scan, rows, queries, scratch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
