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

// The largest t such that at least k magnitudes are >= t, or one that k to `enough` are. Bisects on the bits of t,
// which order as floats do: at least k are >= low, fewer are >= high.
EMB_OP float kth_magnitude(const float* magnitude, int64_t padded, int64_t k, int64_t enough, uint32_t low,
                           uint32_t high) {
  // First within a factor of 16 of the largest, where the k-th mostly is.
  uint32_t t = high - low > (8u << 23) ? high - (4u << 23) : low + (high - low) / 2;
  for (; high - low > 1; t = low + (high - low) / 2) {
    const int64_t reached = padded - count_below(magnitude, padded, f32_from_bits(t));
    (reached >= k ? low : high) = t;
    if (reached >= k && reached <= enough) break;
  }
  return f32_from_bits(low);
}

// The values of a row that may be among the k of largest magnitude, by ascending index.
struct Candidates {
  float least;  // none is below
  int32_t* indices;
  float* magnitude;  // padded with -1 to a multiple of 16, below any limit
  int64_t count;
};

EMB_OP void pad(Candidates& c) {
  for (int64_t i = c.count; i % 16 != 0; ++i) c.magnitude[i] = -1.0f;
}

EMB_OP void take_all(const float* x, int64_t d, Candidates& c) {
  c.least = 0.0f;
  c.count = d;
  for (int64_t j = 0; j < d; ++j) c.indices[j] = static_cast<int32_t>(j);
  for (int64_t j = 0; j < d; j += 16) store(c.magnitude + j, abs(lanes_of(x + j, d - j < 16 ? d - j : 16)));
  pad(c);
}

EMB_OP void take_from(const float* x, int64_t d, float least, Candidates& c) {
  c.least = least;
  c.count = 0;
  for (int64_t j = 0; j < d; j += 64) {
    uint64_t wanted = 0;
    for (int64_t i = j; i < j + 64 && i < d; i += 16) {
      const int64_t count = d - i < 16 ? d - i : 16;
      const uint64_t inside = (1u << count) - 1u;
      wanted |= (inside & ~mask_bits(less(abs(lanes_of(x + i, count)), splat(least)))) << (i - j);
    }
    for (; wanted; wanted &= wanted - 1) {
      const int64_t at = j + __builtin_ctzll(wanted);
      c.indices[c.count] = static_cast<int32_t>(at);
      c.magnitude[c.count++] = __builtin_fabsf(x[at]);
    }
  }
  pad(c);
}

// A magnitude that at least k values reach, and not many more: nearly the k-th largest of the maxima of 16 * groups
// parts of the row, of which there are 2k or a few more. `maxima`: room for them.
EMB_OP float least_candidate(const float* x, int64_t d, int64_t k, int64_t groups, float* maxima) {
  f32x16 least = splat(__builtin_inff()), largest = splat(0.0f);
  for (int64_t g = 0; g < 16 * groups; g += 16) {
    f32x16 part = abs(load(x + g));
    for (int64_t j = g + 16 * groups; j < d; j += 16 * groups)
      part = max(part, abs(lanes_of(x + j, d - j < 16 ? d - j : 16)));
    store(maxima + g, part);
    least = min(least, part);
    largest = max(largest, part);
  }
  return kth_magnitude(maxima, 16 * groups, k, k + k / 8, bits_of_f32(reduce_min(least)),
                       bits_of_f32(reduce_max(largest)) + 1);
}

// Bit i: whether candidate j + i is among the k, for 64 of them. Of those equal to t, the first `equals` are.
EMB_OP uint64_t wanted_of_64(const Candidates& c, int64_t j, float t, int64_t& equals) {
  uint64_t above = 0, below = 0;
  for (int i = 0; i < 64 && j + i < c.count; i += 16) {
    const f32x16 m = load(c.magnitude + j + i);
    above |= static_cast<uint64_t>(mask_bits(less(splat(t), m))) << i;
    below |= static_cast<uint64_t>(mask_bits(less(m, splat(t)))) << i;
  }
  const int64_t inside = c.count - j;
  uint64_t equal = ~(above | below) & (inside < 64 ? (uint64_t{1} << inside) - 1 : ~uint64_t{0});
  int64_t surplus = __builtin_popcountll(equal) - equals;
  for (; surplus > 0; --surplus) equal &= ~(uint64_t{1} << (63 - __builtin_clzll(equal)));
  equals -= __builtin_popcountll(equal);
  return above | equal;
}

template <class Index>
EMB_OP void take_largest(const float* x, const Candidates& c, int64_t k, Index* indices, float* values) {
  const int64_t padded = padded16(c.count);
  f32x16 largest = splat(0.0f);
  for (int64_t j = 0; j < padded; j += 16) largest = max(largest, load(c.magnitude + j));
  const float t = kth_magnitude(c.magnitude, padded, k, k, bits_of_f32(c.least), bits_of_f32(reduce_max(largest)) + 1);
  int64_t equals = k;
  for (int64_t j = 0; j < padded; j += 16)
    equals -= __builtin_popcount(mask_bits(less(splat(t), load(c.magnitude + j))));
  for (int64_t j = 0; j < c.count; j += 64)
    for (uint64_t wanted = wanted_of_64(c, j, t, equals); wanted; wanted &= wanted - 1) {
      const int32_t at = c.indices[j + __builtin_ctzll(wanted)];
      *indices++ = static_cast<Index>(at);
      *values++ = x[at];
    }
}

// scratch: topk_encode_scratch(d).
template <class Index>
EMB_OP int64_t encode_sparse(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  const int64_t padded = padded16(x.d), groups = padded16(2 * k) / 16;
  float* maxima = scratch + padded;
  Candidates c = {0.0f, reinterpret_cast<int32_t*>(maxima + padded), maxima + 2 * padded, 0};
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, scratch);
    if (!row) return i;
    if (32 * groups <= x.d)
      take_from(row, x.d, least_candidate(row, x.d, k, groups, maxima), c);
    else
      take_all(row, x.d, c);
    take_largest(row, c, k, static_cast<Index*>(out.indices) + i * k, out.values + i * k);
  }
  return kAllFinite;
}

int64_t topk_encode(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  return out.wide ? encode_sparse<uint32_t>(x, k, out, r, scratch) : encode_sparse<uint16_t>(x, k, out, r, scratch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
