// A scan in integers of rows that are int8 levels times a step a dimension, perhaps times a factor of the row, plus
// perhaps a centroid. Its results are those of scan_rows over the same rows as float32, since integers only decide
// which rows cannot be among the best: with queries of 8 bits, then of 16, each with a bound of its error; what is left
// is scored as float32. Metrics other than the inner product need the rows as float32 anyway and go to scan_rows.
#pragma once
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

struct LevelRows {
  const float* step;  // of each dimension
  int64_t n;          // levels of a row, a multiple of 16
  int64_t stride;     // of rows of levels and of integer queries, a multiple of 64 and at least n
};

// Queries times the steps, as integers of 8 and 16 bits times a unit. A sum of products with levels differs from the
// float32 score by at most `error` times the row's factor, and `slack` for what does not depend on that.
struct IntQueries {
  int8_t* bytes;   // (count, stride)
  int16_t* words;  // (count, stride)
  int32_t* total;  // the sum of the bytes
  float *unit8, *error8, *unit16, *error16, *slack;
  float* base;  // (count, centroids): products with the centroids
};

inline IntQueries int_queries(int64_t count, int64_t stride, int64_t centroids, float*& memory) {
  IntQueries q;
  const auto take = [&](int64_t floats) {
    float* p = memory;
    memory += padded16(floats);
    return p;
  };
  q.bytes = reinterpret_cast<int8_t*>(take(count * stride / 4));
  q.words = reinterpret_cast<int16_t*>(take(count * stride / 2));
  q.total = reinterpret_cast<int32_t*>(take(count));
  q.unit8 = take(count);
  q.error8 = take(count);
  q.unit16 = take(count);
  q.error16 = take(count);
  q.slack = take(count);
  q.base = take(count * centroids);
  return q;
}

// x rounded to multiples of a unit, `most` of which are the largest; at least the length of what rounding took.
template <class Int>
EMB_OP float round_query(const float* x, int64_t n, float largest, float most, Int* out, float& unit) {
  unit = largest / most;
  if (!(unit > 1e-30f)) unit = 1e-30f;  // 1 / unit stays finite
  const float inverse = 1.0f / unit;
  float lost = 0.0f;
  for (int64_t j = 0; j < n; ++j) {
    const float value = __builtin_rintf(x[j] * inverse), clipped = value > most ? most : value < -most ? -most : value;
    out[j] = static_cast<Int>(clipped);
    const float rest = x[j] - clipped * unit;
    lost += rest * rest;
  }
  return __builtin_sqrtf(lost) + static_cast<float>(n) * 1e-19f;  // squares of less than that vanish
}

constexpr float kMargin = 1.001f;  // for rounding in the computation of the bounds themselves
constexpr float kLarge = 1e15f;    // beyond this the float32 score may overflow on its way: all bounds are infinite

// `folded`: room for n floats.
inline void prepare_query(const LevelRows& rows, const Scan& scan, int64_t query, const Coarse& coarse,
                          const IntQueries& to, int64_t i, float* folded) {
  const float* x = scan.queries.data + query * scan.queries.stride;
  float largest = 0.0f, sum = 0.0f;
  for (int64_t j = 0; j < rows.n; ++j) {
    folded[j] = x[j] * rows.step[j];
    const float size = __builtin_fabsf(folded[j]);
    largest = size > largest ? size : largest;
    sum += size;
  }
  if (!(sum < kLarge)) {
    for (int64_t j = 0; j < rows.n; ++j) folded[j] = 0.0f;
    largest = 0.0f;
    sum = __builtin_inff();
  }
  int8_t* bytes = to.bytes + i * rows.stride;
  int16_t* words = to.words + i * rows.stride;
  for (int64_t j = rows.n; j < rows.stride; ++j) bytes[j] = 0, words[j] = 0;
  const float most = 2.1e9f / (127.0f * static_cast<float>(rows.n));  // so that sums stay below 2^31
  const float lost8 = round_query(folded, rows.n, largest, 127.0f, bytes, to.unit8[i]);
  const float lost16 =
      round_query(folded, rows.n, largest, most < 32767.0f ? __builtin_floorf(most) : 32767.0f, words, to.unit16[i]);
  to.total[i] = 0;
  for (int64_t j = 0; j < rows.n; ++j) to.total[i] += bytes[j];
  // Cauchy and Schwarz for what the query lost; sums of float32 in 16 lanes err by less than `ulps` each way.
  const float ulps = (static_cast<float>(scan.queries.stride) / 16.0f + 16.0f) * 1.2e-7f;
  const float length = 127.0f * __builtin_sqrtf(static_cast<float>(rows.n)), rounding = ulps * 127.0f * sum;
  to.error8[i] = kMargin * (lost8 * length + rounding);
  to.error16[i] = kMargin * (lost16 * length + rounding);
  to.slack[i] = 0.0f;
  for (int64_t c = 0; c < coarse.count; ++c) {
    const float* centroid = coarse.centroids + c * scan.queries.stride;
    f32x16 dot = splat(0.0f), sizes = splat(0.0f);
    for (int64_t j = 0; j < scan.queries.stride; j += 16) {
      const f32x16 product = mul(load(x + j), load(centroid + j));
      dot = add(dot, product);
      sizes = add(sizes, abs(product));
    }
    to.base[i * coarse.count + c] = reduce_add(dot);
    const float size = reduce_add(sizes), slack = size < kLarge ? kMargin * ulps * size : __builtin_inff();
    to.slack[i] = slack > to.slack[i] ? slack : to.slack[i];
  }
}

// A block of rows that may be returned, as levels, and those that were needed as float32.
struct LevelBlock {
  int count;
  int64_t ids[kIntBlock];
  float factor[kIntBlock], size[kIntBlock];  // and its magnitude
  int32_t centroid[kIntBlock];
  bool decoded[kIntBlock];
  int8_t* levels;  // (kIntBlock, stride)
  float* values;   // (kIntBlock, padded d)
};

EMB_OP int32_t dot_words(const int8_t* levels, const int16_t* words, int64_t n) {
  int32_t sum = 0;
  for (int64_t j = 0; j < n; ++j) sum += levels[j] * words[j];
  return sum;
}

// Which rows of the block may score better than `floor`, by sums of products with the query's bytes.
EMB_OP uint32_t promising(const LevelBlock& block, const IntQueries& q, int64_t i, const Coarse& coarse,
                          const int32_t* sums, float floor) {
  uint32_t wanted = 0;
  const f32x16 unit = splat(q.unit8[i]), error = splat(q.error8[i]), slack = splat(q.slack[i]), least = splat(floor);
  for (int r = 0; r < kIntBlock; r += 16) {
    f32x16 most = mul(mul(to_f32(load_i32(sums + r)), unit), load(block.factor + r));
    most = add(add(most, mul(error, load(block.size + r))), slack);
    if (coarse.count) most = add(most, gather(q.base + i * coarse.count, load_i32(block.centroid + r)));
    wanted |= (~mask_bits(less(most, least)) & 0xffffu) << r;  // so that NaN is looked at
  }
  return wanted;
}

template <class Values>
EMB_OP void rescore(const LevelRows& rows, const Scan& scan, int64_t query, LevelBlock& block, uint32_t wanted,
                    const IntQueries& q, int64_t i, const Coarse& coarse, const Values& values_of) {
  TopK& best = scan.best[query];
  const int64_t stride = scan.queries.stride;
  for (; wanted; wanted &= wanted - 1) {
    const int r = __builtin_ctz(wanted);
    const int8_t* levels = block.levels + r * rows.stride;
    if (best.count == best.k) {
      const float sum = static_cast<float>(dot_words(levels, q.words + i * rows.stride, rows.n));
      const float base = coarse.count ? q.base[i * coarse.count + block.centroid[r]] : 0.0f;
      if (sum * q.unit16[i] * block.factor[r] + q.error16[i] * block.size[r] + q.slack[i] + base < best.floor) continue;
    }
    float* values = block.values + r * stride;
    if (!block.decoded[r]) values_of(block.ids[r], levels, block.factor[r], values);
    block.decoded[r] = true;
    keep(best, dot16(scan.queries.data + query * stride, values, stride), block.ids[r]);
  }
}

template <int Q>
EMB_OP void block_sums(const LevelRows& rows, const LevelBlock& block, const IntQueries& q, int64_t i, int32_t* sums) {
  int32_t tile[Q * kIntRows];
  for (int r = 0; r < block.count; r += kIntRows) {  // of the block's last tile, some rows may be old ones
    dot_i8<kIntRows, Q>(block.levels + r * rows.stride, rows.stride, q.bytes + i * rows.stride, rows.stride,
                        q.total + i, (rows.n + 63) / 64 * 64, tile);
    for (int n = 0; n < Q * kIntRows; ++n) sums[n / kIntRows * kIntBlock + r + n % kIntRows] = tile[n];
  }
}

template <int Q, class Values>
EMB_OP void score_levels(const LevelRows& rows, const Scan& scan, int64_t query, LevelBlock& block, const IntQueries& q,
                         int64_t i, const Coarse& coarse, const Values& values_of) {
  int32_t sums[Q * kIntBlock] = {};
  block_sums<Q>(rows, block, q, i, sums);
  const uint32_t there = block.count < 32 ? (1u << block.count) - 1u : ~0u;
  for (int n = 0; n < Q; ++n) {
    const float floor = scan.best[query + n].floor;
    const uint32_t wanted = there & promising(block, q, i + n, coarse, sums + n * kIntBlock, floor);
    if (wanted) rescore(rows, scan, query + n, block, wanted, q, i + n, coarse, values_of);
  }
}

// Levels(ids, count, levels, factors) gives the levels and factors of rows, Values(id, levels, factor, values) a row of
// padded float32. `scratch`: int_scan_scratch.
template <class Levels, class Values>
EMB_OP void scan_levels(const LevelRows& rows, const Coarse& coarse, const Scan& scan, Range range, Range queries,
                        float* scratch, const Levels& levels_of, const Values& values_of) {
  LevelBlock block = {};
  block.levels = reinterpret_cast<int8_t*>(scratch);
  scratch += 2 * kIntBlock * rows.stride / 4;  // of which the second half is for `levels_of`
  for (int64_t j = 0; j < kIntBlock * rows.stride; ++j) block.levels[j] = 0;
  if (scan.metric != Metric::ip) {
    scan_rows(scan, range, queries, scratch, [&](int64_t row, float* out) {
      float factor;
      levels_of(&row, 1, block.levels, &factor);
      values_of(row, block.levels, factor, out);
      return static_cast<const float*>(out);
    });
    return;
  }
  block.values = scratch;
  scratch += kIntBlock * scan.queries.stride;
  const int64_t most = int_scan_queries(queries.end - queries.begin, coarse.count);
  const IntQueries q = int_queries(most, rows.stride, coarse.count, scratch);
  for (int64_t from = queries.begin; from < queries.end; from += most) {
    const int64_t count = queries.end - from < most ? queries.end - from : most;
    for (int64_t i = 0; i < count; ++i) prepare_query(rows, scan, from + i, coarse, q, i, scratch);
    for (int64_t row = range.begin; row < range.end;) {
      for (block.count = 0; row < range.end && block.count < kIntBlock; ++row) {
        if (scan.mask && !scan.mask[row]) continue;
        block.centroid[block.count] = coarse.of(row);
        block.decoded[block.count] = false;
        block.ids[block.count++] = row;
      }
      levels_of(block.ids, block.count, block.levels, block.factor);
      for (int r = 0; r < block.count; ++r) {
        const float size = __builtin_fabsf(block.factor[r]);
        block.size[r] = size < kLarge ? size : __builtin_inff();
      }
      int64_t i = 0;
      for (; i + kIntQueries <= count; i += kIntQueries)
        score_levels<kIntQueries>(rows, scan, from + i, block, q, i, coarse, values_of);
      for (; i < count; ++i) score_levels<1>(rows, scan, from + i, block, q, i, coarse, values_of);
    }
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
