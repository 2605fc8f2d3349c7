// A scan of few queries by l2 or cosine over the rows of int_scan.inl.h, which are decoded in registers, a tile at a
// time. Where the level multiplies words, sums of integers first bound a row's product with the query and, from below,
// its length: most rows cannot be among the best and are not decoded. There it serves rows of other codes too.
#pragma once
#include "int_scan.inl.h"
#include "packing.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// sums: products with the query or of squared differences from it; `step` and the rows are padded as the query is, with
// steps of 0 where nothing is coded. `centroids`: kTileRows of each stage.
template <bool L2, bool STAGES>
EMB_OP void score_decoded(const float* step, const int8_t* const* levels, const float* factors,
                          const float* const* centroids, int stages, const float* query, int64_t stride, float* sums,
                          float* squares) {
  f32x16 sum[kTileRows], square[kTileRows], factor[kTileRows];
  for (int r = 0; r < kTileRows; ++r) sum[r] = square[r] = splat(0.0f), factor[r] = splat(factors[r]);
  for (int64_t j = 0; j < stride; j += 16) {
    const f32x16 unit = load(step + j), y = load(query + j);
    for (int r = 0; r < kTileRows; ++r) {
      f32x16 x = add(mul(mul(to_f32(load_i8(levels[r] + j)), unit), factor[r]), load(centroids[r] + j));
      for (int s = 1; STAGES && s < stages; ++s) x = add(x, load(centroids[s * kTileRows + r] + j));
      sum[r] = accumulate<L2>(sum[r], y, x);
      if (!L2) square[r] = add(square[r], mul(x, x));
    }
  }
  for (int r = 0; r < kTileRows; ++r) sums[r] = reduce_add(sum[r]), squares[r] = reduce_add(square[r]);
}

#if EMB_WORD_PRODUCTS

constexpr int64_t kFewDecoded = kManyQueries - 1;

// Words of a row's only centroid say how long it is; those of several would, with the products of all pairs.
EMB_OP bool lengths_bounded(const Coarse& coarse, Range rows) {
  return coarse.stages == 1 && bounds_lengths(coarse.count, rows.end - rows.begin);
}

constexpr float kEvaluated = 1e-6f;  // of what a bound is computed from, how much its own rounding can be

// A decoded row is factor * step * levels + centroid. Its squared length is, with a sum of products each,
// factor^2 (steps^2 . levels^2) + 2 factor (steps centroid . levels) + |centroid|^2.
struct LengthBounds {
  int64_t n, stride;                      // words of a row, and from one to the next
  int16_t* squares;                       // (stride,) squared steps, rounded down, in units
  float square_unit;                      // of the sums of products with these
  float longest;                          // at least the length of steps * levels
  int16_t* words;                         // (centroids, stride) steps times centroids, in units of each centroid
  float *unit, *error, *square, *length;  // (centroids,) the error is that of a sum of products with words

  EMB_OP void put_squares(const LevelRows& rows) {
    float largest = 0.0f, sum = 0.0f;
    for (int64_t j = 0; j < rows.n; ++j) {
      const float square = rows.step[j] * rows.step[j];
      largest = square > largest ? square : largest;
      sum += square;
    }
    if (!(sum < kMostSquare)) largest = 0.0f, sum = __builtin_inff();
    longest = 128.0f * kMargin * __builtin_sqrtf(sum) + 1e-15f;  // squares of less vanish
    // So that sums stay below 2^31: a lane of 16 adds up every 16th product, the largest 128 * 128 times a word.
    const float limit = 2e9f / (128.0f * 128.0f * static_cast<float>(rows.n / 16 + 2));
    const float word = largest / __builtin_floorf(limit < 32767.0f ? limit : 32767.0f);
    const float inverse = word > 1e-30f ? (1.0f - kEvaluated) / word : 0.0f;
    for (int64_t j = 0; j < stride; ++j) {
      const bool counts = j < rows.n && inverse > 0.0f;
      squares[j] = counts ? static_cast<int16_t>(rows.step[j] * rows.step[j] * inverse) : int16_t{0};
    }
    square_unit = word * kSquareShift;
  }

  // `centroid`: (padded,), with the offset.
  EMB_OP void put_centroid(const LevelRows& rows, const float* centroid, int64_t padded, int64_t c, float* folded) {
    f32x16 squared = splat(0.0f), sizes = splat(0.0f), lost = splat(0.0f);
    float largest = 0.0f;
    for (int64_t j = 0; j < padded; j += 16) squared = muladd(load(centroid + j), load(centroid + j), squared);
    for (int64_t j = 0; j < stride; ++j) folded[j] = j < rows.n ? centroid[j] * rows.step[j] : 0.0f;
    for (int64_t j = 0; j < stride; j += 16) sizes = add(abs(load(folded + j)), sizes);
    for (int64_t j = 0; j < rows.n; ++j) {
      const float size = __builtin_fabsf(folded[j]);
      largest = size > largest ? size : largest;
    }
    const bool finite = largest < kLarge;
    const float limit = word_limit(rows.n), word = largest / limit > 1e-30f ? largest / limit : 1e-30f;
    for (int64_t j = 0; j < stride; ++j) {
      const float value = finite ? __builtin_rintf(folded[j] / word) : 0.0f;
      const float clipped = value > limit ? limit : value < -limit ? -limit : value;
      words[c * stride + j] = static_cast<int16_t>(clipped);
      folded[j] -= clipped * word;
    }
    for (int64_t j = 0; j < stride; j += 16) lost = add(abs(load(folded + j)), lost);
    unit[c] = word;
    error[c] = finite ? 128.0f * (kMargin * reduce_add(lost) + kEvaluated * reduce_add(sizes)) : __builtin_inff();
    square[c] = reduce_add(squared);
    length[c] = __builtin_sqrtf(square[c]);
  }

  static LengthBounds make(const LevelRows& rows, const float* offset, const Coarse& coarse, int64_t padded,
                           Room& room) {
    const int64_t centroids = coarse.count ? coarse.count : 1;
    LengthBounds b = {rows.n,
                      rows.stride,
                      room.take<int16_t>(rows.stride),
                      0.0f,
                      0.0f,
                      room.take<int16_t>(centroids * rows.stride),
                      room.take<float>(centroids),
                      room.take<float>(centroids),
                      room.take<float>(centroids),
                      room.take<float>(centroids)};
    b.put_squares(rows);
    float* folded = room.take<float>(rows.stride + padded);
    float* raised = folded + rows.stride;
    for (int64_t c = 0; c < centroids; ++c) {
      const float* centroid = coarse.count ? coarse.centroids + c * padded : offset;
      for (int64_t j = 0; j < padded; ++j) raised[j] = coarse.count ? centroid[j] + offset[j] : offset[j];
      b.put_centroid(rows, raised, padded, c, folded);
    }
    return b;
  }
};

// What a block's rows are at least long, and products with the query.
struct BoundedRows {
  int32_t sums[kIntBlock];                    // query . levels
  float factor[kIntBlock], size[kIntBlock];   // NaN where nothing is bounded; |factor|
  float square[kIntBlock], terms[kIntBlock];  // at least the squared length; what its rounding is a share of
  float rounded[kIntBlock];                   // how much the float32 row may be off
  int32_t base[kIntBlock];                    // of the products with the row's centroid
};

inline void bound_lengths(const LengthBounds& b, const LevelBlock& block, const Coarse& coarse, int64_t most,
                          BoundedRows& rows) {
  int32_t crossed[kIntBlock], squared[kIntBlock], centroid[kIntBlock];
  const int16_t* words[kIntBlock];
  for (int n = 0; n < kIntBlock; ++n) {
    centroid[n] = coarse.count ? static_cast<int32_t>(coarse.of(block.ids[n < block.count ? n : 0], 0)) : 0;
    words[n] = b.words + centroid[n] * b.stride;
    rows.base[n] = static_cast<int32_t>(centroid[n] * most);
  }
  for (int n = 0; n < block.count; n += kCodeTile) {
    length_products(block.levels + n * b.stride, b.stride, b.n, words + n, b.squares, crossed + n, squared + n);
  }
  for (int n = 0; n < kIntBlock; n += 16) {
    const i32x16 which = load_i32(centroid + n);
    const f32x16 factor = load(block.factor + n), size = abs(factor), square = gather(b.square, which);
    const f32x16 cross = mul(mul(to_f32(load_i32(crossed + n)), gather(b.unit, which)), add(factor, factor));
    const f32x16 own = mul(mul(mul(to_f32(load_i32(squared + n)), splat(b.square_unit)), factor), factor);
    const f32x16 terms = add(add(abs(cross), own), square);
    const f32x16 lost = mul(add(size, size), gather(b.error, which));
    const f32x16 least = sub(sub(add(add(cross, own), square), lost), mul(terms, splat(kEvaluated)));
    const f32x16 rounded = mul(muladd(size, splat(b.longest), gather(b.length, which)), splat(kEvaluated));
    const mask16 finite = both(less(size, splat(kLarge)), less(mul(rounded, rounded), splat(kMostSquare)));
    store(rows.factor + n, select(finite, factor, splat(__builtin_nanf(""))));
    store(rows.size + n, size);
    store(rows.square + n, least);
    store(rows.terms + n, terms);
    store(rows.rounded + n, rounded);
  }
}

// Which rows may score better than `floor`; `i`: the query's number in q.
template <bool L2>
EMB_OP uint32_t promising_lengths(const BoundedRows& rows, const IntQueries& q, int64_t i, float longest, float square,
                                  float rounding, float floor) {
  // A cosine that is not above zero says nothing of lengths.
  if (!bounded(square) || !(L2 || floor > 0.0f)) return ~0u;
  uint32_t wanted = 0;
  const float reach =
      L2 ? __builtin_sqrtf(-floor) * (1.0f + rounding) : floor * __builtin_sqrtf(square) * (1.0f - rounding);
  for (int r = 0; r < kIntBlock; r += 16) {
    const f32x16 factor = load(rows.factor + r), square_low = load(rows.square + r), rounded = load(rows.rounded + r);
    const f32x16 base = gather(q.base + i, load_i32(rows.base + r));
    f32x16 product = mul(mul(to_f32(load_i32(rows.sums + r)), splat(q.unit16[i])), factor);
    const f32x16 size = add(abs(product), abs(base));
    product = add(add(product, base), muladd(load(rows.size + r), splat(q.error16[i] * longest), splat(q.slack[i])));
    mask16 out;
    if (L2) {
      f32x16 least = sub(add(square_low, splat(square)), add(product, product));
      least = sub(least, mul(add(add(size, size), add(load(rows.terms + r), splat(square))), splat(kEvaluated)));
      out = both(less(splat(kLeastSquare), least), less(add(splat(reach), rounded), sqrt(max(least, splat(0.0f)))));
    } else {
      const f32x16 length = sub(sqrt(max(square_low, splat(0.0f))), rounded);
      product = add(product, mul(size, splat(kEvaluated)));
      out = both(less(splat(kLeastSquare), square_low), less(product, mul(length, splat(reach))));
    }
    wanted |= (~mask_bits(out) & 0xffffu) << r;  // so that NaN is looked at
  }
  return wanted;
}

#endif

constexpr int64_t kDecodingQueries = 2;  // queries that may each decode a row: for more it waits as float32

// Whether scan_decoded serves.
EMB_OP bool decoded_serves([[maybe_unused]] const Coarse& coarse, const Scan& scan, [[maybe_unused]] Range rows,
                           Range queries) {
  int64_t most = kDecodingQueries;
#if EMB_WORD_PRODUCTS
  if (lengths_bounded(coarse, rows)) most = kFewDecoded;
#endif
  return scan.metric != Metric::ip && queries.end - queries.begin <= most;
}

// `offset`: (stride of queries,), what all rows have beside their levels, which the centroids lack. Offer(block,
// query, which, count) offers `count` <= kTileRows rows of the block to a query.
template <bool L2, class Levels, class Offer>
EMB_OP void scan_by_lengths(const LevelRows& rows, const float* offset, const Coarse& coarse, const Scan& scan,
                            Range range, Range queries, Room room, const Levels& levels_of, const Offer& offer) {
  LevelBlock block = {};
  block.levels = room.take<int8_t>(2 * kIntBlock * rows.stride);  // of which the second half is for `levels_of`
  for (int64_t j = 0; j < kIntBlock * rows.stride; ++j) block.levels[j] = 0;
#if EMB_WORD_PRODUCTS
  const bool bound = lengths_bounded(coarse, range) && rows.n <= kMostOfBytes;
  LengthBounds lengths = {};
  IntQueries q = {};
  BoundedRows bounds = {};
  const float rounding = 2.0f * rounding_of(scan.queries.d) + kEvaluated;
  if (bound) {
    lengths = LengthBounds::make(rows, offset, coarse, scan.queries.stride, room);
    q = int_queries(queries.end - queries.begin, rows.stride, coarse.count, room);
    put_bases(scan, queries.begin, q.count, coarse, q.base, q.count, q.slack);
    for (int64_t query = queries.begin; query < queries.end; ++query) {
      const int64_t i = query - queries.begin;
      prepare_query(rows, scan, query, q, i, q.bytes, room.next);
      float sizes;
      const float product = product_and_sizes(scan, query, offset, sizes);
      for (int64_t c = 0; c < (coarse.count ? coarse.count : 1); ++c) q.base[c * q.count + i] += product;
      q.slack[i] += sizes < kLarge ? kMargin * rounding_of(scan.queries.d) * sizes : __builtin_inff();
    }
  }
#else
  (void)offset, (void)coarse;
#endif
  for (int64_t row = range.begin; row < range.end;) {
    for (block.count = 0; row < range.end && block.count < kIntBlock; ++row)
      if (!scan.mask || scan.mask[row]) block.ids[block.count++] = row;
    levels_of(block.ids, block.count, block.levels, block.factor);
#if EMB_WORD_PRODUCTS
    if (bound) bound_lengths(lengths, block, coarse, q.count, bounds);
#endif
    for (int64_t query = queries.begin; query < queries.end; ++query) {
      uint32_t wanted = ~0u;
#if EMB_WORD_PRODUCTS
      if (bound && scan.best[query].count == scan.best[query].k) {
        const int64_t i = query - queries.begin;
        for (int n = 0; n < block.count; n += kCodeTile)
          word_products(block.levels + n * rows.stride, rows.stride, rows.n, q.words + i * rows.stride,
                        bounds.sums + n);
        const float length = 128.0f * __builtin_sqrtf(static_cast<float>(rows.n));
        wanted =
            promising_lengths<L2>(bounds, q, i, length, scan.queries.square[query], rounding, scan.best[query].floor);
      }
#endif
      for (wanted &= block.count < 32 ? (1u << block.count) - 1u : ~0u; wanted;) {
        int which[kTileRows], count = 0;
        for (; wanted && count < kTileRows; wanted &= wanted - 1) which[count++] = __builtin_ctz(wanted);
        offer(block, query, which, count);
      }
    }
  }
}

EMB_OP void offer_sums(const Scan& scan, const LevelBlock& block, int64_t query, const int* which, int count,
                       const float* sums, const float* squares) {
  for (int n = 0; n < count; ++n)
    keep(scan.best[query], finish_score(sums[n], scan.metric, scan.queries.norm[query], __builtin_sqrtf(squares[n])),
         block.ids[which[n]]);
}

template <bool L2, class Levels>
EMB_OP void scan_decoded_rows(const LevelRows& rows, const Coarse& coarse, const Scan& scan, Range range, Range queries,
                              Room room, const Levels& levels_of) {
  const int64_t stride = scan.queries.stride;
  float *step = room.take<float>(stride), *origin = room.take<float>(stride);
  for (int64_t j = 0; j < stride; ++j) step[j] = j < rows.n ? rows.step[j] : 0.0f, origin[j] = 0.0f;
  const float** centroids = room.take<const float*>(kTileRows * coarse.stages);
  const auto offer = [&](const LevelBlock& block, int64_t query, const int* which, int count) {
    const int8_t* levels[kTileRows];
    float factors[kTileRows], sums[kTileRows], squares[kTileRows];
    for (int n = 0; n < kTileRows; ++n) {
      const int at = which[n < count ? n : 0];
      levels[n] = block.levels + at * rows.stride;
      factors[n] = block.factor[at];
      for (int s = 0; s < coarse.stages; ++s) {
        const float* centroid = coarse.row(block.ids[at], stride, s);
        centroids[s * kTileRows + n] = centroid ? centroid : origin;
      }
    }
    const float* x = scan.queries.data + query * stride;
    if (coarse.stages > 1)
      score_decoded<L2, true>(step, levels, factors, centroids, coarse.stages, x, stride, sums, squares);
    else
      score_decoded<L2, false>(step, levels, factors, centroids, 1, x, stride, sums, squares);
    offer_sums(scan, block, query, which, count, sums, squares);
  };
  scan_by_lengths<L2>(rows, origin, coarse, scan, range, queries, room, levels_of, offer);
}

// scan_levels (int_scan.inl.h) for metrics other than "ip" and few queries.
template <class Levels>
EMB_OP void scan_decoded(const LevelRows& rows, const Coarse& coarse, const Scan& scan, Range range, Range queries,
                         float* scratch, const Levels& levels_of) {
  if (scan.metric == Metric::l2)
    return scan_decoded_rows<true>(rows, coarse, scan, range, queries, {scratch}, levels_of);
  scan_decoded_rows<false>(rows, coarse, scan, range, queries, {scratch}, levels_of);
}

#if EMB_WORD_PRODUCTS

// Rows of which a dimension is lo + step * code, plus perhaps a centroid's; values_of(row, buffer) decodes one.
struct PlainCodes {
  const float *lo, *step;  // (d,); no lo: zeros
  int64_t d;
};

// Whether scan_plain_codes has what it needs.
EMB_OP bool plain_codes_serve(const PlainCodes& p, const Coarse& coarse, const Scan& scan, Range range, Range queries) {
  return scan.metric != Metric::ip && queries.end - queries.begin <= kFewDecoded && p.d <= kMostOfBytes &&
         lengths_bounded(coarse, range);
}

template <bool L2, int BITS>
EMB_OP void scan_plain_rows(const Codes& codes, const PlainCodes& p, const Coarse& coarse, const Scan& scan,
                            Range range, Range queries, Room room, const Fetch& values_of) {
  constexpr int kCentre = 1 << (BITS - 1);
  const int64_t stride = scan.queries.stride, bytes = (p.d * BITS + 7) / 8;
  const LevelRows rows = {p.step, p.d, levels_stride(p.d)};
  float *offset = room.take<float>(stride), *values = room.take<float>(kTileRows * stride);
  uint8_t* copy = room.take<uint8_t>(bytes);
  for (int64_t j = 0; j < stride; ++j) {
    offset[j] = j < p.d ? static_cast<float>(kCentre) * p.step[j] : 0.0f;
    if (p.lo && j < p.d) offset[j] += p.lo[j];
  }
  const auto levels_of = [&](const int64_t* ids, int count, int8_t* levels, float* factors) {
    for (int n = 0; n < count; ++n) {
      factors[n] = 1.0f;
      unpack_levels<BITS>(code_of(codes, ids[n], bytes, copy), p.d, nullptr, kCentre, levels + n * rows.stride);
    }
  };
  const auto offer = [&](const LevelBlock& block, int64_t query, const int* which, int count) {
    const float* x[kTileRows];
    float sums[kTileRows], squares[kTileRows] = {};
    for (int n = 0; n < count; ++n) x[n] = values_of(block.ids[which[n]], values + n * stride);
    for (int n = count; n < kTileRows; ++n) x[n] = x[0];
    score_tile<L2, kTileRows, 1>(x, scan.queries.data + query * stride, stride, sums);
    if (!L2) dots16<kTileRows>(x, x, stride, squares);
    offer_sums(scan, block, query, which, count, sums, squares);
  };
  scan_by_lengths<L2>(rows, offset, coarse, scan, range, queries, room, levels_of, offer);
}

template <int BITS>
EMB_OP void scan_plain_codes(const Codes& codes, const PlainCodes& p, const Coarse& coarse, const Scan& scan,
                             Range range, Range queries, float* scratch, const Fetch& values_of) {
  if (scan.metric == Metric::l2)
    return scan_plain_rows<true, BITS>(codes, p, coarse, scan, range, queries, {scratch}, values_of);
  scan_plain_rows<false, BITS>(codes, p, coarse, scan, range, queries, {scratch}, values_of);
}

#endif

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
