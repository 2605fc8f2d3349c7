// Sparse codes: the k values of largest magnitude of a row, stored by ascending index; and the scan of such rows
// against dense queries.
#pragma once
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Values of a row by ascending index, among them the k of largest magnitude; then 16 zeros.
struct Candidates {
  float* values;
  int32_t* indices;
  int64_t count;
};

// The values of magnitude above `limit`; returns the sum of all magnitudes, in which a NaN or an infinity shows. Asks
// for the row at `later`, of values of `size` bytes, little by little: where it was asked for at once, as load_row
// does, the whole kernel took up to 1.3 times as long.
EMB_OP float take_above(const float* x, int64_t d, float limit, uintptr_t later, int64_t size, Candidates& c) {
  constexpr int32_t first[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  i32x16 indices = load_i32(first);
  f32x16 sum = splat(0.0f);
  c.count = 0;
  for (int64_t j = 0; j < d; j += 16, indices = add_i32(indices, splat_i32(16))) {
    __builtin_prefetch(reinterpret_cast<const void*>(later + static_cast<uintptr_t>(j * size)), 0, 2);
    const f32x16 values = lanes_of(x + j, d - j < 16 ? d - j : 16), magnitude = abs(values);
    mask16 wanted = less(splat(limit), magnitude);
    if (d - j < 16) wanted = both(wanted, mask_of((1u << (d - j)) - 1));
    sum = add(sum, magnitude);
    c.count += compress_store(c.values + c.count, c.indices + c.count, values, indices, wanted);
  }
  store(c.values + c.count, splat(0.0f));
  return reduce_add(sum);
}

EMB_OP int64_t count_above(const Candidates& c, float limit) {
  int64_t count = 0;
  for (int64_t j = 0; j < c.count; j += 16)
    count += __builtin_popcount(mask_bits(less(splat(limit), abs(load(c.values + j)))));
  return count;
}

// The k of largest magnitude: those above `limit` and the first `equals` that equal it.
struct Cut {
  float limit;
  int64_t equals;
};

// `above` candidates are above `limit`, a guess at the k-th magnitude.
EMB_OP Cut find_cut(const Candidates& c, int64_t k, float limit, int64_t above) {
  // Searches the bits of magnitudes, which order as they do. More than k are above `low`, `fewer` are above `high`.
  int64_t low = -1, high = 0x7f800000, fewer = 0, at = bits_of_f32(limit);
  // For each value too many or too few, moves by about what lies between two of embeddings, then further; bisects
  // where that is not enough.
  int64_t step = (1 << 21) / k + 1;
  while (above != k) {
    low = above > k ? at : low;
    high = above > k ? high : at;
    fewer = above > k ? fewer : above;
    if (high - low == 1) return {f32_from_bits(static_cast<uint32_t>(high)), k - fewer};
    const int64_t half = (high - low) / 2, move = step * (above - k);
    at += move > half ? half : move < -half ? -half : move;
    step *= step < half ? 2 : 1;
    above = count_above(c, f32_from_bits(static_cast<uint32_t>(at)));
  }
  return {f32_from_bits(static_cast<uint32_t>(at)), 0};
}

// Leaves the candidates that the cut lets pass.
EMB_OP void apply_cut(Cut cut, Candidates& c) {
  int64_t taken = 0;
  for (int64_t j = 0; j < c.count; j += 16) {
    const f32x16 values = load(c.values + j), magnitude = abs(values);
    mask16 wanted = less(splat(cut.limit), magnitude);
    if (cut.equals > 0) {
      uint32_t same = mask_bits(equal(magnitude, splat(cut.limit)));
      while (__builtin_popcount(same) > cut.equals) same &= ~(0x80000000u >> __builtin_clz(same));
      cut.equals -= __builtin_popcount(same);
      wanted = either(wanted, mask_of(same));
    }
    // In place: nothing is written that was not read before.
    taken += compress_store(c.values + taken, c.indices + taken, values, load_i32(c.indices + j), wanted);
  }
}

// scratch: topk_encode_scratch(d).
template <class Index>
EMB_OP int64_t encode_sparse(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  const int64_t room = padded16(x.d) + 16, size = size_of(x.dtype), ahead = 8192 / (x.d * size) + 1;
  Candidates c = {scratch + room, reinterpret_cast<int32_t*>(scratch + 2 * room), 0};
  // In rows of one kind about as many values are above the same multiple of the mean magnitude. The multiple follows
  // the rows, to find a few more than k; the mean is that of the row before, or of the row itself where the two differ.
  const int64_t aim = k + k / 4 + 8;
  float multiple = 1.0f, mean = 0.0f;
  for (int64_t i = r.begin; i < r.end; ++i) {
    const uintptr_t later = reinterpret_cast<uintptr_t>(x.data) + static_cast<uintptr_t>((i + ahead) * x.row_stride);
    const float* row = row_values(x, i, scratch);
    float limit = multiple * mean;
    float sum = take_above(row, x.d, limit, later, size, c);
    if (!(sum < __builtin_inff())) {
      if (!row_is_finite(row, x.d)) return i;
      sum = 3e38f;
    }
    mean = sum / static_cast<float>(x.d);
    if (c.count < k || c.count > 2 * aim) {
      limit = multiple * mean;
      take_above(row, x.d, limit, later, size, c);
    }
    const int64_t above = c.count;
    multiple *= 1.0f + 0.125f * static_cast<float>(above - aim) / static_cast<float>(above + aim);
    multiple = multiple > 0.0625f ? multiple : 0.0625f;
    if (above < k) take_above(row, x.d, -1.0f, later, size, c);
    if (c.count > k) apply_cut(find_cut(c, k, limit, above), c);
    Index* indices = static_cast<Index*>(out.indices) + i * k;
    for (int64_t j = 0; j < k; ++j) indices[j] = static_cast<Index>(c.indices[j]);
    __builtin_memcpy(out.values + i * k, c.values, static_cast<size_t>(k) * 4);
  }
  return kAllFinite;
}

int64_t topk_encode(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch) {
  return out.wide ? encode_sparse<uint32_t>(x, k, out, r, scratch) : encode_sparse<uint16_t>(x, k, out, r, scratch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
