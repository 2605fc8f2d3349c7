// A scan in integers of rows that are int8 levels times a step a dimension, perhaps times a factor of the row, plus
// perhaps a centroid. Its results are those of scan_rows over the same rows as float32, since integers only decide
// which rows cannot be among the best: with queries of 8 bits, then of 16, each with a bound of its error; what is left
// is scored as float32. By metrics other than the inner product many queries go to scan_rows.
#pragma once
#include "centroids.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

struct LevelRows {
  const float* step;  // of each dimension
  int64_t n;          // levels of a row
  int64_t stride;     // of rows of levels and of integer queries, a multiple of 64 and at least n
};

// Queries times the steps, as integers of 8 and 16 bits times a unit. A sum of products with levels differs from the
// float32 score by at most `error` times the length of the row's levels and its factor, and `slack`.
struct IntQueries {
  int64_t count;   // queries
  int8_t* bytes;   // (count, stride)
  int16_t* words;  // (count, stride)
  int32_t* total;  // the sum of the bytes
  float *unit8, *error8, *unit16, *error16, *slack;
  float* base;  // (centroids, count): products with the centroids; zeros if there are none
};

inline IntQueries int_queries(int64_t count, int64_t stride, int64_t centroids, Room& room) {
  return {count,
          room.take<int8_t>(count * stride),
          room.take<int16_t>(count * stride),
          room.take<int32_t>(count),
          room.take<float>(count),
          room.take<float>(count),
          room.take<float>(count),
          room.take<float>(count),
          room.take<float>(count),
          room.take<float>((centroids ? centroids : 1) * count)};
}

// The largest word of which products with n levels add up to less than 2^31.
EMB_OP float word_limit(int64_t n) {
  const float limit = 2.1e9f / (128.0f * static_cast<float>(n));
  return limit < 32767.0f ? __builtin_floorf(limit) : 32767.0f;
}

// x rounded to multiples of a unit, `most` of which are the largest; at least the length of what rounding took.
template <class Int>
EMB_OP float round_query(const float* x, int64_t n, float largest, float most, Int* out, float& unit) {
  unit = largest / most;
  if (!(unit > 1e-30f)) unit = 1e-30f;  // 1 / unit stays finite
  const float inverse = 1.0f / unit;
  double lost = 0.0;
  for (int64_t j = 0; j < n; ++j) {
    const float value = __builtin_rintf(x[j] * inverse), clipped = value > most ? most : value < -most ? -most : value;
    out[j] = static_cast<Int>(clipped);
    const float rest = x[j] - clipped * unit;
    lost += static_cast<double>(rest) * static_cast<double>(rest);
  }
  return static_cast<float>(__builtin_sqrt(lost)) + static_cast<float>(n) * 1e-19f;  // squares of less than that vanish
}

// `bytes`: where the query's go; `folded`: room for n floats.
inline void prepare_query(const LevelRows& rows, const Scan& scan, int64_t query, const IntQueries& to, int64_t i,
                          int8_t* bytes, float* folded) {
  const float* x = scan.queries.data + query * scan.queries.stride;
  float largest = 0.0f, sum = 0.0f, square = 0.0f;
  for (int64_t j = 0; j < rows.n; ++j) {
    folded[j] = x[j] * rows.step[j];
    const float size = __builtin_fabsf(folded[j]);
    largest = size > largest ? size : largest;
    sum += size;
    square += size * size;
  }
  if (!(sum < kLarge)) {
    for (int64_t j = 0; j < rows.n; ++j) folded[j] = 0.0f;
    largest = 0.0f;
    square = __builtin_inff();
  }
  int16_t* words = to.words + i * rows.stride;
  for (int64_t j = rows.n; j < rows.stride; ++j) bytes[j] = 0, words[j] = 0;
  const float lost8 = round_query(folded, rows.n, largest, 127.0f, bytes, to.unit8[i]);
  const float lost16 = round_query(folded, rows.n, largest, word_limit(rows.n), words, to.unit16[i]);
  to.total[i] = 0;
  for (int64_t j = 0; j < rows.n; ++j) to.total[i] += bytes[j];
  // Cauchy and Schwarz for what the query lost, and for the rounding of float32 sums.
  const float rounding = rounding_of(scan.queries.d);
  const float rounded = rounding * (__builtin_sqrtf(square) + 1e-19f);  // squares of less than that vanish
  to.error8[i] = kMargin * (lost8 + rounded);
  to.error16[i] = kMargin * (lost16 + rounded);
}

// A block of rows that may be returned, as levels, and those that were needed as float32.
struct LevelBlock {
  int count;
  int64_t ids[kIntBlock];
  float factor[kIntBlock], size[kIntBlock];  // the length of the levels times the factor
  BasePlaces base;
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
EMB_OP uint32_t promising(const LevelBlock& block, const IntQueries& q, int64_t i, const int32_t* sums, float floor) {
  uint32_t wanted = 0;
  const f32x16 unit = splat(q.unit8[i]), error = splat(q.error8[i]), slack = splat(q.slack[i]), least = splat(floor);
  for (int r = 0; r < kIntBlock; r += 16) {
    f32x16 most = mul(mul(to_f32(load_i32(sums + r)), unit), load(block.factor + r));
    most = add(add(most, mul(error, load(block.size + r))), slack);
    most = add(most, block.base.sums(q.base + i, r));
    wanted |= (~mask_bits(less(most, least)) & 0xffffu) << r;  // so that NaN is looked at
  }
  return wanted;
}

template <class Values>
EMB_OP void rescore(const LevelRows& rows, const Scan& scan, int64_t query, LevelBlock& block, int r,
                    const IntQueries& q, int64_t i, const Values& values_of) {
  TopK& best = scan.best[query];
  const int64_t stride = scan.queries.stride;
  const int8_t* levels = block.levels + r * rows.stride;
  if (best.count == best.k) {
    const float sum = static_cast<float>(dot_words(levels, q.words + i * rows.stride, rows.n));
    const float most = sum * q.unit16[i] * block.factor[r] + q.error16[i] * block.size[r] + q.slack[i];
    if (most + block.base.sum_of(q.base + i, r) < best.floor) return;
  }
  float* values = block.values + r * stride;
  if (!block.decoded[r]) values_of(block.ids[r], levels, block.factor[r], values);
  block.decoded[r] = true;
  keep(best, dot16(scan.queries.data + query * stride, values, stride), block.ids[r]);
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
                         int64_t i, const Values& values_of) {
  int32_t sums[Q * kIntBlock] = {};
  block_sums<Q>(rows, block, q, i, sums);
  const uint32_t there = block.count < 32 ? (1u << block.count) - 1u : ~0u;
  for (int n = 0; n < Q; ++n) {
    uint32_t wanted = there & promising(block, q, i + n, sums + n * kIntBlock, scan.best[query + n].floor);
    for (; wanted; wanted &= wanted - 1)
      rescore(rows, scan, query + n, block, __builtin_ctz(wanted), q, i + n, values_of);
  }
}

// The next rows that may be returned, from `row` on; where the ones after them begin. `length`: of their levels.
template <class Levels, class Length>
EMB_OP int64_t fill_block(const Coarse& coarse, const Scan& scan, const IntQueries& q, int64_t row, int64_t end,
                          LevelBlock& block, const Levels& levels_of, const Length& length) {
  for (block.count = 0; row < end && block.count < kIntBlock; ++row) {
    if (scan.mask && !scan.mask[row]) continue;
    block.decoded[block.count] = false;
    block.ids[block.count++] = row;
  }
  block.base.put(coarse, block.ids, block.count, q.count);
  levels_of(block.ids, block.count, block.levels, block.factor);
  for (int r = 0; r < block.count; ++r) {
    const float size = __builtin_fabsf(block.factor[r]);
    block.size[r] = size < kLarge ? size * length(r) : __builtin_inff();
  }
  return row;
}

template <class Levels, class Values>
EMB_OP void scan_levels_few(const LevelRows& rows, const Coarse& coarse, const Scan& scan, Range range, Range queries,
                            LevelBlock& block, Room room, const Levels& levels_of, const Values& values_of) {
  const int64_t count = queries.end - queries.begin;
  const IntQueries q = int_queries(count, rows.stride, coarse.count, room);
  block.base = BasePlaces::make(coarse, room);
  for (int64_t i = 0; i < count; ++i)
    prepare_query(rows, scan, queries.begin + i, q, i, q.bytes + i * rows.stride, room.next);
  put_bases(scan, queries.begin, count, coarse, q.base, count, q.slack);
  const float length = 128.0f * __builtin_sqrtf(static_cast<float>(rows.n));
  for (int64_t row = range.begin; row < range.end;) {
    row = fill_block(coarse, scan, q, row, range.end, block, levels_of, [&](int) { return length; });
    int64_t i = 0;
    for (; i + kIntQueries <= count; i += kIntQueries)
      score_levels<kIntQueries>(rows, scan, queries.begin + i, block, q, i, values_of);
    for (; i < count; ++i) score_levels<1>(rows, scan, queries.begin + i, block, q, i, values_of);
  }
}

// Levels(ids, count, levels, factors) gives the levels and factors of rows, Values(id, levels, factor, values) a row of
// padded float32. `scratch`: int_scan_scratch.
template <class Levels, class Values>
EMB_OP void scan_levels(const LevelRows& rows, const Coarse& coarse, const Scan& scan, Range range, Range queries,
                        float* scratch, const Levels& levels_of, const Values& values_of) {
  Room room = {scratch};
  LevelBlock block = {};
  block.levels = room.take<int8_t>(2 * kIntBlock * rows.stride);  // of which the second half is for `levels_of`
  for (int64_t j = 0; j < kIntBlock * rows.stride; ++j) block.levels[j] = 0;
  if (scan.metric != Metric::ip || queries.end - queries.begin >= kManyQueries || rows.n > kMostOfBytes) {
    // Rows are asked for in order, those that the mask allows, by each batch of queries from the first on. Levels of
    // few rows stay in L1 beside the rows.
    constexpr int kRows = 8;
    int at = 0;
    scan_rows(scan, range, queries, room.next, [&](int64_t row, float* out) {
      if (at == block.count || block.ids[at] != row) {
        for (block.count = at = 0; row + at < range.end && block.count < kRows; ++at)
          if (!scan.mask || scan.mask[row + at]) block.ids[block.count++] = row + at;
        at = 0;
        levels_of(block.ids, block.count, block.levels, block.factor);
      }
      values_of(row, block.levels + at * rows.stride, block.factor[at], out);
      ++at;
      return static_cast<const float*>(out);
    });
    return;
  }
  block.values = room.take<float>(kIntBlock * scan.queries.stride);
  scan_levels_few(rows, coarse, scan, range, queries, block, room, levels_of, values_of);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
