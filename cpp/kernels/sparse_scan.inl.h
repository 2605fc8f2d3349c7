// Decoding of sparse codes, and their scan. Of many queries, 16 lie side by side, so that a stored entry is one load of
// 16 query values and needs no gather.
#pragma once
#include "many.inl.h"

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

// The sum of lanes LANE, LANE + WIDTH, LANE + 2 WIDTH .. of the contract's 16, added as its tree does, depth first: so
// few sums wait at a time. A lane starts with its first product: 0 + p differs from p in the sign of zero alone, which
// no score shows.
template <int LANE, int WIDTH, class Index>
EMB_OP float sparse_dot(const float* query, const Index* indices, const float* values, int64_t k) {
  if constexpr (WIDTH < 16) {
    return sparse_dot<LANE, 2 * WIDTH>(query, indices, values, k) +
           sparse_dot<LANE + WIDTH, 2 * WIDTH>(query, indices, values, k);
  } else {
    if (LANE >= k) return 0.0f;
    float sum = query[indices[LANE]] * values[LANE];
    for (int64_t e = LANE + 16; e < k; e += 16) sum += query[indices[e]] * values[e];
    return sum;
  }
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
EMB_OP void offer_sparse(const Sparse& s, const Scan& scan, int64_t query, int64_t row, float square) {
  const float* x = scan.queries.data + query * scan.queries.stride;
  const float ip = sparse_dot<0, 1>(x, sparse_indices<Index>(s, row), sparse_values(s, row), s.k);
  keep(scan.best[query], finish_sparse_score(ip, scan.metric, scan.queries.square[query], square), row);
}

template <class Index>
EMB_OP void scan_sparse_query(const Sparse& s, const Scan& scan, Range rows, int64_t q) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (scan.mask && !scan.mask[row]) continue;
    offer_sparse<Index>(s, scan, q, row, scan.metric == Metric::ip ? 0.0f : sparse_square(s, row));
  }
}

// Entries of a row times columns of queries.
template <class Index>
struct SparseColumns {
  static constexpr int kRows = 1, kVectors = 2;
  static constexpr bool kBase = false, kTiles = false;
  Sparse s;
  int64_t d;
  const float* columns;
  const int64_t* ids;
  EMB_OP void products(int r, int64_t i, f32x16 (&sums)[1][2]) const {
    const float *low = column(columns, i, d), *high = low + 16 * d, *values = sparse_values(s, ids[r]);
    const Index* indices = sparse_indices<Index>(s, ids[r]);
    f32x16 odd[2] = {splat(0.0f), splat(0.0f)};  // else the sums wait for one another
    sums[0][0] = sums[0][1] = splat(0.0f);
    int64_t e = 0;
    for (; e + 2 <= s.k; e += 2) {
      const int64_t at = int64_t{16} * indices[e], next = int64_t{16} * indices[e + 1];
      sums[0][0] = muladd(load(low + at), splat(values[e]), sums[0][0]);
      sums[0][1] = muladd(load(high + at), splat(values[e]), sums[0][1]);
      odd[0] = muladd(load(low + next), splat(values[e + 1]), odd[0]);
      odd[1] = muladd(load(high + next), splat(values[e + 1]), odd[1]);
    }
    if (e < s.k) {
      sums[0][0] = muladd(load(low + 16 * indices[e]), splat(values[e]), sums[0][0]);
      sums[0][1] = muladd(load(high + 16 * indices[e]), splat(values[e]), sums[0][1]);
    }
    for (int c = 0; c < 2; ++c) sums[0][c] = add(sums[0][c], odd[c]);
  }
};

template <class Index>
EMB_OP void scan_sparse_many(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  const int64_t d = scan.queries.d, most = many_queries(d, queries.end - queries.begin);
  Room room = {scratch};
  float* columns = room.take<float>(most * d);
  const QueryBounds q = query_bounds(most, room);
  RowBounds bounds = {};
  int64_t ids[kManyRows];
  float squares[kManyRows];
  const SparseColumns<Index> tile = {s, d, columns, ids};
  for (int64_t first = queries.begin; first < queries.end; first += most) {
    const int64_t count = queries.end - first < most ? queries.end - first : most;
    for (int64_t i = 0; i < count; ++i) {
      to_float_column(scan, first + i, columns, i);
      bound_query(scan, first + i, 0.0f, q, i);
    }
    for (int64_t row = rows.begin; row < rows.end;) {
      int n = 0;
      for (; row < rows.end && n < kManyRows; ++row) {
        if (scan.mask && !scan.mask[row]) continue;
        squares[n] = sparse_square(s, row);
        const bool zero = squares[n] == 0.0f && all_zero(sparse_values(s, row), s.k);
        bound_row(scan, zero, squares[n], 1.0f, 0.0f, bounds, n);
        ids[n++] = row;
      }
      offer_block(scan, q, bounds, n, first, count, tile, {nullptr, 0}, [&](const Pair* pairs, int pair_count) {
        for (int p = 0; p < pair_count; ++p)
          offer_sparse<Index>(s, scan, pairs[p].query, ids[pairs[p].row], squares[pairs[p].row]);
      });
    }
  }
}

template <class Index>
EMB_OP int64_t scan_sparse(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  const int64_t bad = disorder<Index>(s, scan.queries.d, rows);
  if (bad != kAllFinite) return bad;
  if (queries.end - queries.begin >= kFewQueries)
    scan_sparse_many<Index>(s, scan, rows, queries, scratch);
  else
    for (int64_t q = queries.begin; q < queries.end; ++q) scan_sparse_query<Index>(s, scan, rows, q);
  return kAllFinite;
}

// `scratch`: sparse_topk_scratch(d, queries).
int64_t sparse_topk(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  return s.wide ? scan_sparse<uint32_t>(s, scan, rows, queries, scratch)
                : scan_sparse<uint16_t>(s, scan, rows, queries, scratch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
