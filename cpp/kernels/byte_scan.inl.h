// A scan of many queries over rows that are few bits a dimension: their values become int8 levels without a detour
// through float32, and what scales them goes into the query, as in a scan of few. As in many.inl.h, estimates only
// decide which rows cannot be among the best; the others are decoded and scored as the contract wants it.
#pragma once
#include "code_form.inl.h"

#if EMB_BYTE_COLUMNS

namespace embcodec {
namespace EMB_ISA {
namespace {

// Writes the levels of `count` rows, `stride` apart, with room for twice kManyRows.
using LevelsOf = Callable<void(const int64_t* ids, int count, int8_t* levels)>;
// Computes the scores of pairs of a query and one of the rows `ids`, for which levels were written last.
using ScoresOf = Callable<void(const Pair* pairs, int count, const int64_t* ids, float* scores)>;

struct LevelCodes {
  int64_t d, stride;
  float centre;  // a code's value less its level
  float least;   // levels of a row are taken to be at least that long
};

template <int P>
struct CodeColumns : ByteColumns<P> {
  static constexpr bool kBase = true;
  float *constant, *extra_error, *base_of_query;
  float sizes[kManyRows];
  BasePlaces bases;
  // The same in units, solved for the sum, where all factors are positive and nothing can overflow.
  bool solved, coarse;
  float *inverse_unit, *unit_constant, *unit_error, *unit_length;
  float inverse_factor[kManyRows], relative_size[kManyRows], relative_lost[kManyRows];

  EMB_OP void products(int r, int64_t i, f32x16 (&sums)[kByteRows][kByteVectors]) const {
    const auto levels = this->level_products(r, i);
    for (int c = 0; c < kByteVectors; ++c) {
      const f32x16 units = load(this->unit + i + 16 * c), constants = load(constant + i + 16 * c);
      for (int k = 0; k < kByteRows; ++k) sums[k][c] = muladd(levels.product(k, c), units, constants);
    }
  }
  EMB_OP f32x16 base(int r, int64_t i) const {
    return muladd(load(extra_error + i), splat(sizes[r]), bases.sum(base_of_query + i, r));
  }
  // rows_below, where `solved`.
  template <bool COARSE>
  EMB_OP void sums_below(const QueryBounds& q, int r0, int64_t i, uint32_t* below) const {
    const auto levels = this->level_products(r0, i);
    f32x16 inverse[kByteVectors], least[kByteVectors], less_constant[kByteVectors], less_length[kByteVectors],
        less_error[kByteVectors];
    for (int c = 0; c < kByteVectors; ++c) {
      const int64_t at = i + 16 * c;
      inverse[c] = load(inverse_unit + at);
      least[c] = mul(load(q.least + at), inverse[c]);
      less_constant[c] = negate(load(unit_constant + at));
      less_length[c] = negate(load(unit_length + at));
      less_error[c] = negate(load(unit_error + at));
    }
#pragma GCC unroll 8
    for (int k = 0; k < kByteRows; ++k) {
      mask16 less_than[kByteVectors];
      for (int c = 0; c < kByteVectors; ++c) {
        const int r = r0 + k;
        f32x16 wanted = least[c];
        if (COARSE) wanted = sub(wanted, mul(bases.sum(base_of_query + i + 16 * c, r), inverse[c]));
        wanted = muladd(wanted, splat(inverse_factor[r]), less_constant[c]);
        wanted = muladd(less_length[c], splat(relative_lost[r]), wanted);
        wanted = muladd(less_error[c], splat(relative_size[r]), wanted);
        less_than[c] = less(levels.product(k, c), wanted);  // NaN is not
      }
      below[k] = mask_bits(less_than[0], less_than[1]);
    }
  }
};

// Whether what centroids take of many queries, products with each and an addition for every row, is less than what it
// takes to decode the rows, once for all queries.
inline bool bases_pay(const Coarse& coarse, Range rows, Range queries) {
  const int64_t n = rows.end - rows.begin;
  return coarse.count <= 1 || (queries.end - queries.begin) * (coarse.count + n * coarse.stages / 128) <= 4 * n;
}

// The bytes of a query, in P parts of the dimensions, each with a unit by a power of two smaller than the last one's.
// Gives whether numbers in units stay below 1e21: with factors above 1e-6 and addends below 1e9 no product overflows.
template <int P>
inline bool put_level_query(const LevelCodes& codes, const CodeForm& form, float* folded, int8_t* bytes,
                            const CodeColumns<P>& c, const QueryBounds& q, int64_t i) {
  const bool finite = form.sizes < kLarge && form.extra_sizes < kLarge;
  float largest[P + 1] = {};
  double sum = 0.0, lost = 0.0;
  for (int p = P - 1; p >= 0; --p) {
    largest[p] = largest[p + 1];
    for (int64_t j = p ? c.parts.end[p - 1] : 0; j < c.parts.end[p]; ++j) {
      if (!finite || j >= codes.d) folded[j] = 0.0f;
      const float size = __builtin_fabsf(folded[j]);
      largest[p] = size > largest[p] ? size : largest[p];
      sum += static_cast<double>(folded[j]);
    }
  }
  float unit = largest[0] > 1e-30f ? largest[0] / 127.0f : 1e-30f;
  int bits = codes.d < 8192 ? 6 : 0;  // that the units differ by in all, so that sums stay below 2^31
  for (int p = 0; p < P; ++p) {
    int32_t& shift = c.parts.shift[p * c.parts.stride + i];
    for (shift = 0; p && bits && 2.0f * largest[p] <= 127.0f * unit; --bits, ++shift) unit /= 2;
    const int64_t begin = p ? c.parts.end[p - 1] : 0;
    for (int64_t j = begin; j < c.parts.end[p]; ++j) {
      const float scaled = __builtin_rintf(folded[j] / unit);
      const float byte = scaled > 127.0f ? 127.0f : scaled < -127.0f ? -127.0f : scaled;
      const double rest = static_cast<double>(folded[j]) - static_cast<double>(byte) * static_cast<double>(unit);
      bytes[j] = static_cast<int8_t>(byte);
      lost += rest * rest;
    }
    put_bytes(bytes + begin, begin, p, c, i);
  }
  const float rounding = kMargin * rounding_of(codes.d);
  const float off = form.off + rounding * (form.sizes + 1e-30f);
  c.unit[i] = unit;
  c.constant[i] = form.constant + codes.centre * static_cast<float>(sum);
  c.extra_error[i] = finite ? rounding * form.extra_sizes : 0.0f;
  q.error[i] = finite ? kMargin * (static_cast<float>(__builtin_sqrt(lost)) + unit * 1e-4f + off / codes.least)
                      : __builtin_inff();
  q.length[i] = finite ? form.extra : 0.0f;
  c.inverse_unit[i] = 1.0f / unit;
  c.unit_constant[i] = c.constant[i] / unit;
  c.unit_error[i] = q.error[i] / unit;
  c.unit_length[i] = q.length[i] / unit;
  return unit > 1e-12f && form.sizes < 1e9f && form.extra_sizes < 1e9f;
}

// Parts for components in order of their energy, of which a few are much larger than the others: with one unit for all
// of a trellis query, the bound let 54 rows of 1,024 dimensions through for each that a closer one left.
struct ComponentParts {
  int64_t ends[3];
};
EMB_OP ComponentParts component_parts(int64_t n) {
  const int64_t eighth = n < 256 ? n / 8 / 4 * 4 : (n / 8 + 32) / 64 * 64;  // whole tiles
  return {{n / 32 / 4 * 4, eighth, (n + 3) / 4 * 4}};
}

// `scratch`: level_scan_scratch. `ends`: of the parts.
template <int P>
inline void scan_level_codes(const LevelCodes& codes, const int64_t (&ends)[P], const Coarse& coarse, const Scan& scan,
                             Range range, Range queries, float* scratch, const FormOf& form_of, const TermsOf& terms_of,
                             const LevelsOf& levels_of, const ScoresOf& scores_of) {
  Room room = {scratch};
  const int64_t stride = scan.queries.stride;
  const int64_t most = level_queries(scan.queries.d, queries.end - queries.begin, coarse.count);
  [[maybe_unused]] const TileUnit unit;
  CodeColumns<P> c = {};
  static_cast<ByteColumns<P>&>(c) = byte_columns<P>(2 * kManyRows, codes.stride, ends, most, room);
  c.constant = room.take<float>(most);
  c.extra_error = room.take<float>(most);
  c.base_of_query = room.take<float>((coarse.count ? coarse.count : 1) * most);
  c.coarse = coarse.count > 1;
  c.bases = BasePlaces::make(coarse, room);
  c.inverse_unit = room.take<float>(most);
  c.unit_constant = room.take<float>(most);
  c.unit_error = room.take<float>(most);
  c.unit_length = room.take<float>(most);
  const QueryBounds q = query_bounds(most, room);
  float* folded = room.take<float>(codes.stride);
  int8_t* bytes = room.take<int8_t>(codes.stride);
  RowBounds b = {};
  for (int64_t first = queries.begin; first < queries.end; first += most) {
    const int64_t count = queries.end - first < most ? queries.end - first : most;
    float extra = 0.0f;  // the largest share of a query's error that its extra error is
    bool small = true;
    put_bases(scan, first, count, coarse, c.base_of_query, most, q.shift);
    for (int64_t i = 0; i < count; ++i) {
      small &=
          put_level_query(codes, form_of(scan.queries.data + (first + i) * stride, folded), folded, bytes, c, q, i);
      q.scale[i] = 1.0f;
      q.shift[i] = -q.shift[i];
      if (!c.coarse) {
        q.shift[i] -= c.base_of_query[i];
        c.base_of_query[i] = 0.0f;
      }
      raise_least(q, i, scan.best[first + i].floor);
      const float share = c.extra_error[i] / q.error[i];
      extra = share > extra ? share : extra;
    }
    for (int64_t row = range.begin; row < range.end;) {
      int64_t ids[kManyRows] = {};
      int n = 0;
      for (; row < range.end && n < kManyRows; ++row)
        if (!scan.mask || scan.mask[row]) ids[n++] = row;
      for (int r = n; r < kManyRows; ++r) ids[r] = ids[0];
      int8_t* levels = reinterpret_cast<int8_t*>(c.rows);
      levels_of(ids, n, levels);
      terms_of(ids, n, b.factor, b.lost);
      c.bases.put(coarse, ids, n, most);
      c.solved = small;
      for (int r = 0; r < n; ++r) {
        const float length = __builtin_sqrtf(raise_levels(levels + r * codes.stride, codes.d));
        const float factor = __builtin_fabsf(b.factor[r]), addend = __builtin_fabsf(b.lost[r]);
        if (!(factor < kLarge && addend < kLarge)) b.factor[r] = __builtin_nanf("");  // no bound
        b.size[r] = factor * kMargin * (length > codes.least ? length : codes.least);
        c.sizes[r] = addend;
        c.solved &= b.factor[r] > 1e-6f && addend < 1e9f;
        c.inverse_factor[r] = 1.0f / factor;
        c.relative_size[r] = (b.size[r] + kMargin * extra * addend) * c.inverse_factor[r];
        c.relative_lost[r] = b.lost[r] * c.inverse_factor[r];
      }
      offer_block(scan, q, b, n, first, count, c, {nullptr, 0}, [&](const Pair* pairs, int pair_count) {
        float scores[kPairs];
        scores_of(pairs, pair_count, ids, scores);
        for (int p = 0; p < pair_count; ++p) keep(scan.best[pairs[p].query], scores[p], ids[pairs[p].row]);
      });
    }
  }
}

// ... whose scores are those of decoded rows.
template <int P>
inline void scan_decoded_levels(const LevelCodes& codes, const int64_t (&ends)[P], const Coarse& coarse,
                                const Scan& scan, Range range, Range queries, float* scratch, const FormOf& form_of,
                                const TermsOf& terms_of, const LevelsOf& levels_of, const Fetch& values_of) {
  Room room = {scratch};
  const int64_t stride = scan.queries.stride;
  float* values = room.take<float>(kManyRows * stride);
  int64_t decoded[kManyRows];  // which row is where
  for (int64_t& id : decoded) id = -1;
  const auto scores_of = [&](const Pair* pairs, int count, const int64_t* ids, float* scores) {
    const float *x[kPairs], *y[kPairs];
    for (int p = 0; p < kPairs; ++p) {
      const Pair& pair = pairs[p < count ? p : 0];
      float* row = values + pair.row * stride;
      if (decoded[pair.row] != ids[pair.row]) values_of(ids[pair.row], row);
      decoded[pair.row] = ids[pair.row];
      x[p] = row;
      y[p] = scan.queries.data + pair.query * stride;
    }
    float all[kPairs];
    dots16<kPairs>(y, x, stride, all);
    for (int p = 0; p < count; ++p) scores[p] = all[p];
  };
  scan_level_codes<P>(codes, ends, coarse, scan, range, queries, room.next, form_of, terms_of, levels_of, scores_of);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#endif
