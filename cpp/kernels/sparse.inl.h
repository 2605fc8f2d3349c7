// Sparse codes: the k values of largest magnitude of a row, stored by ascending index; and the scan of such rows
// against dense queries.
#pragma once
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

EMB_OP int64_t count_below(const float* magnitude, int64_t padded, float limit) {
  int64_t count = 0;
  const f32x16 t = splat(limit);
  for (int64_t j = 0; j < padded; j += 16) count += __builtin_popcount(mask_bits(less(load(magnitude + j), t)));
  return count;
}

// The largest t such that at least k magnitudes are >= t, or one that exactly k are. Bisects on the bits of t, which
// order as floats do; first within a factor of 16 of the largest magnitude, where the k-th mostly is.
EMB_OP float kth_magnitude(const float* magnitude, int64_t padded, int64_t k, float largest) {
  uint32_t low = 0, high = bits_of_f32(largest) + 1;  // at least k are >= low, fewer are >= high
  const uint32_t near = high > (4u << 23) ? high - (4u << 23) : 0u;
  for (uint32_t t = near ? near : high / 2; high - low > 1; t = low + (high - low) / 2) {
    const int64_t reached = padded - count_below(magnitude, padded, f32_from_bits(t));
    if (reached == k) return f32_from_bits(t);
    (reached > k ? low : high) = t;
  }
  return f32_from_bits(low);
}

template <class Index>
EMB_OP void encode_sparse_row(const float* x, const float* magnitude, int64_t padded, int64_t k, float t,
                              Index* indices, float* values) {
  int64_t above = 0;
  for (int64_t j = 0; j < padded; j += 16) above += __builtin_popcount(mask_bits(less(splat(t), load(magnitude + j))));
  int64_t equals = k - above, written = 0;  // of those equal to t, the first so many
  for (int64_t j = 0; j < padded && written < k; j += 16) {
    const f32x16 m = load(magnitude + j);
    const uint32_t greater = mask_bits(less(splat(t), m));
    for (uint32_t bits = ~mask_bits(less(m, splat(t))) & 0xffffu; bits; bits &= bits - 1) {
      const int lane = __builtin_ctz(bits);
      if (!(greater >> lane & 1u) && equals-- <= 0) continue;
      indices[written] = static_cast<Index>(j + lane);
      values[written++] = x[j + lane];
    }
  }
}

// scratch: sparse_scratch(d).
template <class Index>
EMB_OP int64_t encode_sparse(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  const int64_t padded = padded16(x.d);
  float* magnitude = scratch + padded;
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, scratch);
    if (!row) return i;
    f32x16 largest = splat(0.0f);
    int64_t j = 0;
    for (; j + 16 <= x.d; j += 16) {
      const f32x16 m = abs(load(row + j));
      store(magnitude + j, m);
      largest = max(m, largest);
    }
    if (j < x.d) {
      const f32x16 m = abs(load_tail(row + j, x.d - j));
      largest = max(m, largest);
      store(magnitude + j, m);
      for (j = x.d; j < padded; ++j) magnitude[j] = -1.0f;  // below any limit
    }
    const float t = kth_magnitude(magnitude, padded, k, reduce_max(largest));
    encode_sparse_row(row, magnitude, padded, k, t, static_cast<Index*>(out.indices) + i * k, out.values + i * k);
  }
  return kAllFinite;
}

int64_t topk_encode(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  return out.wide ? encode_sparse<uint32_t>(x, k, out, r, scratch) : encode_sparse<uint16_t>(x, k, out, r, scratch);
}

EMB_OP int64_t sparse_index(const Sparse& s, int64_t row, int64_t entry) {
  const char* p = s.indices + row * s.index_stride;
  if (!s.wide) return reinterpret_cast<const uint16_t*>(p)[entry];
  return reinterpret_cast<const uint32_t*>(p)[entry];
}

EMB_OP const float* sparse_values(const Sparse& s, int64_t row) {
  return reinterpret_cast<const float*>(s.values + row * s.value_stride);
}

// The indices of a row as int32, 0 beyond its entries; false if they do not ascend or reach d.
EMB_OP bool load_indices(const Sparse& s, int64_t row, int64_t d, int32_t* out) {
  int64_t before = -1;
  bool good = true;
  for (int64_t e = 0; e < s.k; ++e) {
    const int64_t index = sparse_index(s, row, e);
    good &= index > before && index < d;
    before = index;
    out[e] = static_cast<int32_t>(index);
  }
  for (int64_t e = s.k; e < padded16(s.k); ++e) out[e] = 0;
  return good;
}

// scratch: sparse_scratch(k).
int64_t topk_decode(const Sparse& s, int64_t d, float* out, Range r, float* scratch) {
  int32_t* indices = reinterpret_cast<int32_t*>(scratch);
  for (int64_t i = r.begin; i < r.end; ++i) {
    if (!load_indices(s, i, d, indices)) return i;
    float* to = out + i * d;
    for (int64_t j = 0; j < d; ++j) to[j] = 0.0f;
    for (int64_t e = 0; e < s.k; ++e) to[indices[e]] = sparse_values(s, i)[e];
  }
  return kAllFinite;
}

EMB_OP float gather_dot(const float* query, const int32_t* indices, const float* values, int64_t padded) {
  f32x16 sum = splat(0.0f);
  for (int64_t e = 0; e < padded; e += 16) sum = add(sum, mul(gather(query, load_i32(indices + e)), load(values + e)));
  return reduce_add(sum);
}

EMB_OP float sparse_score(Metric metric, float ip, float qq, float vv) {
  if (metric == Metric::ip) return ip;
  if (metric == Metric::l2) return -((qq - 2.0f * ip) + vv);
  const float product = __builtin_sqrtf(qq) * __builtin_sqrtf(vv);
  return product != 0.0f ? ip / product : 0.0f;
}

int64_t sparse_topk(const Sparse& s, const Scan& scan, Range rows, Range queries, float* scratch) {
  const int64_t padded = padded16(s.k), stride = scan.queries.stride;
  int32_t* indices = reinterpret_cast<int32_t*>(scratch);
  float* values = scratch + padded;
  for (int64_t e = s.k; e < padded; ++e) values[e] = 0.0f;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    if (!load_indices(s, row, scan.queries.d, indices)) return row;
    if (scan.mask && !scan.mask[row]) continue;
    __builtin_memcpy(values, sparse_values(s, row), static_cast<size_t>(s.k) * 4);
    const float vv = scan.metric == Metric::ip ? 0.0f : dot16(values, values, padded);
    for (int64_t q = queries.begin; q < queries.end; ++q) {
      const float ip = gather_dot(scan.queries.data + q * stride, indices, values, padded);
      keep(scan.best[q], sparse_score(scan.metric, ip, scan.queries.square[q], vv), row);
    }
  }
  return kAllFinite;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
