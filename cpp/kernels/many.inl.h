// A scan of many queries. Products of a block of rows with 16 queries at a time (a vector has a lane for each) estimate
// the scores; only those that a bound of the estimate's error cannot exclude are computed as the contract wants them.
// So the results are those of scan_few. Estimates are sums of bytes where the level multiplies those four at a time,
// else of float32 in whatever order and fused.
#pragma once
#include "scan.inl.h"

#if !EMB_TILES
#define EMB_TILES 0
#endif

namespace embcodec {
namespace EMB_ISA {
namespace {

#if !EMB_TILES
struct TileUnit {};
#endif

constexpr int64_t kLookedUp = 64;  // fewer queries than these take less by tables of bytes than by tiles

constexpr float kMargin = 1.001f;  // for rounding in the computation of the bounds themselves
constexpr float kUlp = 6e-8f;
constexpr float kLarge = 1e15f;  // beyond this the float32 score may overflow on its way: all bounds are infinite
constexpr float kLeastSquare = 1e-30f, kMostSquare = 1e30f;  // float32 bounds nothing beyond these

EMB_OP bool bounded(float square) { return square > kLeastSquare && square < kMostSquare; }

// How much of |x| |y| a float32 sum of products over d dimensions can err, whatever its order, and its neighbours.
EMB_OP float rounding_of(int64_t d) { return (static_cast<float>(padded16(d) * 17 / 16) + 64.0f) * kUlp; }

// Cuts the task's memory into arrays.
struct Room {
  float* next;
  template <class T>
  EMB_OP T* take(int64_t count) {
    T* p = reinterpret_cast<T*>(next);
    next += padded16((count * static_cast<int64_t>(sizeof(T)) + 3) / 4);
    return p;
  }
};

// A score, in the unit of `least`, is below estimate * factor + error * size + length * lost + add. Factor, size, lost
// and add are of the row, error and length of the query.
struct RowBounds {
  float factor[kManyRows], size[kManyRows], lost[kManyRows], add[kManyRows];
};
struct QueryBounds {
  float *error, *length, *scale, *shift;
  float* least;  // what a bound has to reach
};

inline QueryBounds query_bounds(int64_t count, Room& room) {
  return {room.take<float>(count), room.take<float>(count), room.take<float>(count), room.take<float>(count),
          room.take<float>(count)};
}

// Sets what a bound has to reach for a score above `floor`. The least float32 keeps out what is equal where nothing is
// rounded: the scores of a query of zeros.
EMB_OP void raise_least(const QueryBounds& q, int64_t i, float floor) {
  const float scaled = floor * q.scale[i];
  q.least[i] = scaled + q.shift[i] - __builtin_fabsf(scaled) * (8.0f * kUlp) + 1e-45f;
}

EMB_OP bool all_zero(const float* x, int64_t n) {
  for (int64_t j = 0; j < n; ++j)
    if (x[j] != 0.0f) return false;
  return true;
}

// Of |x - q|^2 = |x|^2 + |q|^2 - 2 x.q, how much the squares can err.
EMB_OP float square_rounding(int64_t d) { return 4.0f * rounding_of(d); }

// The bounds of a query; `lost`: the length of what its estimate leaves out.
inline void bound_query(const Scan& s, int64_t query, float lost, const QueryBounds& q, int64_t i) {
  const float square = s.queries.square[query], norm = s.queries.norm[query];
  q.error[i] = bounded(square) ? kMargin * (lost + rounding_of(s.queries.d) * norm) : __builtin_inff();
  if (square == 0.0f && all_zero(s.queries.data + query * s.queries.stride, s.queries.d)) q.error[i] = 0.0f;
  q.length[i] = kMargin * norm;
  q.scale[i] = s.metric == Metric::cosine ? norm : 1.0f;
  q.shift[i] = s.metric == Metric::l2 ? square * (1.0f - square_rounding(s.queries.d)) : 0.0f;
  raise_least(q, i, s.best[query].floor);
}

// Estimates of the products with a row are `factor` times those of a tile; `lost`: the length of what they leave out.
EMB_OP void bound_row(const Scan& s, bool zero, float square, float factor, float lost, RowBounds& b, int r) {
  const float norm = __builtin_sqrtf(square);
  b.factor[r] = factor;
  b.size[r] = norm + lost;
  b.lost[r] = lost;
  b.add[r] = 0.0f;
  if (!bounded(square)) {
    b.factor[r] = b.lost[r] = 0.0f;
    b.size[r] = zero ? 0.0f : __builtin_inff();
    return;
  }
  if (s.metric == Metric::ip) return;
  const float scale = s.metric == Metric::l2 ? 2.0f : 1.0f / norm;
  b.factor[r] *= scale;
  b.size[r] *= scale;
  b.lost[r] *= scale;
  if (s.metric == Metric::l2) b.add[r] = -square * (1.0f - square_rounding(s.queries.d));
}

constexpr int kPairs = 4;  // that are scored at a time
struct Pair {
  int row;
  int64_t query;
};
// Pairs that wait until there are enough of them: a score waits for each of its additions.
struct Pairs {
  Pair of[kPairs];
  int count;
};

// Not inlined: the compiler then keeps a tile's sums in registers.
template <class Exact>
__attribute__((noinline)) void score_pairs(const Scan& s, const QueryBounds& q, int64_t first, Pairs& pairs,
                                           const Exact& exact) {
  exact(pairs.of, pairs.count);
  for (int n = 0; n < pairs.count; ++n) raise_least(q, pairs.of[n].query - first, s.best[pairs.of[n].query].floor);
  pairs.count = 0;
}

// below[r]: a bit for each of 32 queries from i on, set where the bound excludes row r0 + r.
template <class Columns>
EMB_OP void rows_below(const QueryBounds& q, const RowBounds& b, int r0, int64_t i, const Columns& columns,
                       uint32_t* below) {
  constexpr int R = Columns::kRows, C = Columns::kVectors;
  f32x16 sums[R][C];
  columns.products(r0, i, sums);
  for (int r = 0; r < R; ++r) {
    const int at = r0 + r;
    uint32_t bits = C == 1 ? 0xffff0000u : 0;
    for (int c = 0; c < C; ++c) {
      f32x16 most = muladd(load(q.length + i + 16 * c), splat(b.lost[at]), splat(b.add[at]));
      most = muladd(load(q.error + i + 16 * c), splat(b.size[at]), most);
      most = muladd(sums[r][c], splat(b.factor[at]), most);
      if constexpr (Columns::kBase) most = add(most, columns.base(at, i + 16 * c));
      bits |= mask_bits(less(most, load(q.least + i + 16 * c))) << 16 * c;  // NaN is not
    }
    below[r] = bits;
  }
}

// rows_below for rows r to r + Columns::kRows of a block.
template <class Columns>
EMB_OP void look_at_rows(const QueryBounds& q, const RowBounds& b, int r, int64_t i, const Columns& columns,
                         uint32_t* below) {
  if constexpr (Columns::kBase) {
    if (columns.solved && columns.coarse) return columns.template sums_below<true>(q, r, i, below + r);
    if (columns.solved) return columns.template sums_below<false>(q, r, i, below + r);
  }
  rows_below(q, b, r, i, columns, below + r);
}

// The pairs of rows of a block and queries from first + i on, `lanes` of them, that are not below.
template <class Exact>
EMB_OP void offer_pairs(const Scan& s, const QueryBounds& q, int rows, int64_t first, int64_t i, int64_t lanes,
                        const uint32_t* below, Pairs& pairs, const Exact& exact) {
  const uint32_t there = lanes < 32 ? (1u << lanes) - 1u : ~0u;
  for (int r = 0; r < rows; ++r) {
    if (below[r] == ~0u) continue;
    for (uint32_t wanted = ~below[r] & there; wanted; wanted &= wanted - 1) {
      const int64_t query = first + i + __builtin_ctz(wanted);
      const char* x = reinterpret_cast<const char*>(s.queries.data + query * s.queries.stride);
      for (int64_t j = 0; j < 4 * s.queries.stride; j += 64) __builtin_prefetch(x + j);
      pairs.of[pairs.count++] = {r, query};
      if (pairs.count == kPairs) score_pairs(s, q, first, pairs, exact);
    }
  }
}

// Memory that is asked for a piece at a time, before it is read.
struct Ahead {
  const float* from;
  int64_t floats;
  EMB_OP void ask(int64_t pieces) {
    const int64_t piece = (floats + pieces - 1) / pieces;
    for (int64_t j = 0; j < piece; j += 16) __builtin_prefetch(from + j, 0, 2);  // to L2
    from += piece, floats -= piece;
  }
};

// Offers `rows` rows of a block to `count` queries from `first` on. columns.products(r, i, sums) estimates products
// with the rows from r on, columns.base(r, i) is added; exact(pairs, count) computes scores and offers them.
template <class Columns, class Exact>
EMB_OP void offer_block(const Scan& s, const QueryBounds& q, const RowBounds& b, int rows, int64_t first, int64_t count,
                        const Columns& columns, Ahead ahead, const Exact& exact) {
  constexpr int R = Columns::kRows, C = Columns::kVectors;
  uint32_t below[kManyRows + R];
  Pairs pairs = {};
  if constexpr (Columns::kTiles) columns.multiply(0, [] {});
  for (int64_t i = 0; i < count; i += 16 * C) {
    int r = 0;
    ahead.ask((count - i + 16 * C - 1) / (16 * C));
    if constexpr (Columns::kTiles) {
      const auto look = [&] {
        if (r < rows) look_at_rows(q, b, r, i, columns, below), r += R;
      };
      if (i + 16 * C < count) columns.multiply(i + 16 * C, look);
    }
    for (; r < rows; r += R) look_at_rows(q, b, r, i, columns, below);
    offer_pairs(s, q, rows, first, i, count - i, below, pairs, exact);
  }
  if (pairs.count) score_pairs(s, q, first, pairs, exact);
}

// The product of a query with a padded row, and the sum of the magnitudes of what is added.
EMB_OP float product_and_sizes(const Scan& s, int64_t query, const float* row, float& sizes) {
  const float* x = s.queries.data + query * s.queries.stride;
  f32x16 dot = splat(0.0f), size = splat(0.0f);
  for (int64_t j = 0; j < s.queries.stride; j += 16) {
    const f32x16 product = mul(load(x + j), load(row + j));
    dot = add(dot, product);
    size = add(size, abs(product));
  }
  sizes = reduce_add(size);
  return reduce_add(dot);
}

// The columns of 16 queries after those of 16 others, n of them for each, a lane for each query; zeros where there are
// no more.
template <class T>
EMB_OP T* column(T* columns, int64_t i, int64_t n) {
  return columns + i / 16 * 16 * n;
}

EMB_OP void to_float_column(const Scan& s, int64_t query, float* columns, int64_t i) {
  const float* x = s.queries.data + query * s.queries.stride;
  float* to = column(columns, i, s.queries.d) + i % 16;
  for (int64_t j = 0; j < s.queries.d; ++j) to[16 * j] = x[j];
}

#if EMB_BYTE_COLUMNS

// Rows of raised levels and queries of bytes, each times a unit.
template <int P>
struct ByteColumns {
  static constexpr int kRows = kByteRows, kVectors = kByteVectors;
  static constexpr bool kBase = false, kTiles = EMB_TILES;
  uint8_t* rows;
  int64_t stride;
  ByteParts<P> parts;
  int64_t n;  // the length of a query's column
  int8_t* columns;
  float* unit;
#if EMB_TILES
  static constexpr int64_t kQueries = 16 * kVectors, kSums = P * kManyRows * kQueries;
  int32_t* tiles;  // twice kSums: of the queries from i on and of those before
  EMB_OP int32_t* tiles_of(int64_t i) const { return tiles + i / kQueries % 2 * kSums; }
  // `meanwhile` is called between products, with which it has nothing to do.
  template <class Meanwhile>
  EMB_OP void multiply(int64_t i, const Meanwhile& meanwhile) const {
    tile_products<P>(rows, stride, column(columns, i, n), 16 * n, parts, tiles_of(i), meanwhile);
  }
#endif
  // The products of rows r to r + kRows with kVectors vectors of queries from i on, which product(k, c) has then.
  struct Products {
#if EMB_TILES
    const ByteColumns& of;
    const int32_t* sums;
    int64_t i;
    EMB_OP f32x16 product(int k, int c) const {
      return tile_product<P>(sums + k * kQueries + 16 * c, of.parts, i + 16 * c);
    }
#else
    f32x16 sums[kRows][kVectors];
    EMB_OP f32x16 product(int k, int c) const { return sums[k][c]; }
#endif
  };
  EMB_OP Products level_products(int r, int64_t i) const {
#if EMB_TILES
    return {*this, tiles_of(i) + r * kQueries, i};
#else
    Products p;
    byte_products<kRows, kVectors, P>(rows + r * stride, stride, column(columns, i, n), 16 * n, parts, i, p.sums);
    return p;
#endif
  }
  EMB_OP void products(int r, int64_t i, f32x16 (&sums)[kRows][kVectors]) const {
    const Products levels = level_products(r, i);
    for (int c = 0; c < kVectors; ++c) {
      const f32x16 units = load(unit + i + 16 * c);
      for (int k = 0; k < kRows; ++k) sums[k][c] = mul(levels.product(k, c), units);
    }
  }
};

// `ends`: of the parts.
template <int P>
inline ByteColumns<P> byte_columns(int64_t rows, int64_t stride, const int64_t (&ends)[P], int64_t count, Room& room) {
  ByteColumns<P> c = {};
  c.rows = room.take<uint8_t>(rows * stride);
  c.stride = stride;
  c.parts.stride = count;
  c.parts.shift = room.take<int32_t>(P * count);
  c.parts.start = room.take<int32_t>(P * count);
  for (int p = 0; p < P; ++p) c.parts.end[p] = ends[p];
  c.n = place_parts(c.parts);
  c.columns = room.take<int8_t>(count * c.n);
  c.unit = room.take<float>(count);
#if EMB_TILES
  c.tiles = room.take<int32_t>(2 * ByteColumns<P>::kSums);
#endif
  for (int64_t j = 0; j < rows * stride; ++j) c.rows[j] = 0;
  for (int64_t j = 0; j < count * c.n; ++j) c.columns[j] = 0;
  return c;
}

// The bytes of query i from `begin` on, and what its sums start from: what raised levels have too much.
template <int P>
EMB_OP void put_bytes(const int8_t* bytes, int64_t begin, int part, const ByteColumns<P>& c, int64_t i) {
  int8_t* to = column(c.columns, i, c.n) + (begin + c.parts.at[part]) * 16 + i % 16 * 4;
  int32_t total = 0;
  for (int64_t j = begin; j < c.parts.end[part]; j += 4, bytes += 4, to += 64)
    for (int b = 0; b < 4; ++b) total += to[b] = bytes[b];
  c.parts.start[part * c.parts.stride + i] = -kRaised * total;
}

// Values of a row or query as bytes times a unit, and the length of what that leaves out.
EMB_OP float to_bytes(const float* x, int64_t stride, int8_t* out, float& unit) {
  f32x16 most = splat(0.0f), lost = splat(0.0f);
  for (int64_t j = 0; j < stride; j += 16) most = max(abs(load(x + j)), most);
  const float largest = reduce_max(most);
  unit = largest > 1e-30f ? largest / 127.0f : 1e-30f;
  const f32x16 inverse = splat(1.0f / unit), step = splat(-unit), limit = splat(127.0f), least = splat(-127.0f);
  for (int64_t j = 0; j < stride; j += 16) {
    const f32x16 value = load(x + j);
    const i32x16 level = round_to_i32(max(min(mul(value, inverse), limit), least));
    store_i8(out + j, level);
    const f32x16 rest = muladd(to_f32(level), step, value);
    lost = muladd(rest, rest, lost);
  }
  return kMargin * __builtin_sqrtf(reduce_add(lost)) + unit * 1e-4f;
}

// Rows of float32 as bytes.
struct ManyColumns : ByteColumns<1> {
  int8_t* bytes;

  static EMB_OP ManyColumns make(const Scan& s, int64_t count, Room& room) {
    const int64_t n = s.queries.stride, stride = (n + 63) / 64 * 64;
    return {byte_columns<1>(kManyRows, stride, {n}, count, room), room.take<int8_t>(stride)};
  }
  EMB_OP void put_query(const Scan& s, int64_t query, const QueryBounds& q, int64_t i) const {
    const float lost = to_bytes(s.queries.data + query * s.queries.stride, s.queries.stride, bytes, unit[i]);
    put_bytes(bytes, 0, 0, *this, i);
    bound_query(s, query, lost, q, i);
  }
  EMB_OP void put_row(const Scan& s, const float* x, float square, RowBounds& b, int r) const {
    float step;
    const int64_t padded = s.queries.stride;
    int8_t* levels = reinterpret_cast<int8_t*>(rows + r * stride);
    const float lost = to_bytes(x, padded, levels, step);
    raise_levels(levels, padded);
    bound_row(s, square == 0.0f && all_zero(x, padded), square, step, lost, b, r);
  }
};

#else

// Rows and queries of float32.
struct ManyColumns {
  static constexpr int kRows = kColumnRows, kVectors = kColumnVectors;
  static constexpr bool kBase = false, kTiles = false;
  int64_t d;
  float* columns;
  const float** rows;

  static EMB_OP ManyColumns make(const Scan& s, int64_t count, Room& room) {
    return {s.queries.d, room.take<float>(count * s.queries.d), room.take<const float*>(kManyRows)};
  }
  EMB_OP void put_query(const Scan& s, int64_t query, const QueryBounds& q, int64_t i) const {
    to_float_column(s, query, columns, i);
    bound_query(s, query, 0.0f, q, i);
  }
  EMB_OP void put_row(const Scan& s, const float* x, float square, RowBounds& b, int r) const {
    if (r == 0)
      for (int at = 0; at < kManyRows; ++at) rows[at] = x;
    rows[r] = x;
    bound_row(s, square == 0.0f && all_zero(x, d), square, 1.0f, 0.0f, b, r);
  }
  EMB_OP void products(int r, int64_t i, f32x16 (&sums)[kRows][kVectors]) const {
    const float* at = column(columns, i, d);
    for (int k = 0; k < kRows; ++k)
      for (int c = 0; c < kVectors; ++c) sums[k][c] = splat(0.0f);
    for (int64_t j = 0; j < d; ++j, at += 16) {
      f32x16 y[kVectors];
      for (int c = 0; c < kVectors; ++c) y[c] = load(at + 16 * c * d);
      for (int k = 0; k < kRows; ++k) {
        const f32x16 x = splat(rows[r + k][j]);
        for (int c = 0; c < kVectors; ++c) sums[k][c] = muladd(x, y[c], sums[k][c]);
      }
    }
  }
};

#endif

EMB_OP void offer_exact(const Scan& s, const Pair* pairs, int count, const float* const* rows, const float* norms,
                        const int64_t* ids) {
  const float *x[kPairs], *y[kPairs];
  float sums[kPairs];
  for (int p = 0; p < kPairs; ++p) {
    const Pair& pair = pairs[p < count ? p : 0];
    x[p] = rows[pair.row];
    y[p] = s.queries.data + pair.query * s.queries.stride;
  }
  if (s.metric == Metric::l2)
    for (int p = 0; p < count; ++p) score_tile<true, 1, 1>(x + p, y[p], s.queries.stride, sums + p);
  else
    dots16<kPairs>(y, x, s.queries.stride, sums);
  for (int p = 0; p < count; ++p) {
    const Pair& pair = pairs[p];
    keep(s.best[pair.query], finish_score(sums[p], s.metric, s.queries.norm[pair.query], norms[pair.row]),
         ids[pair.row]);
  }
}

// scan_few for many queries. `scratch`: scan_scratch(d, queries).
inline int64_t scan_many(const Scan& s, Range rows, Range queries, float* scratch, const Fetch& fetch) {
  constexpr int kBlock = kManyRows / ManyColumns::kRows * ManyColumns::kRows;
  const int64_t stride = s.queries.stride, most = many_queries(s.queries.d, queries.end - queries.begin);
  Room room = {scratch};
  [[maybe_unused]] const TileUnit unit;
  float* values = room.take<float>(kManyRows * stride);
  const ManyColumns columns = ManyColumns::make(s, most, room);
  const QueryBounds q = query_bounds(most, room);
  RowBounds bounds = {};
  for (int64_t first = queries.begin; first < queries.end; first += most) {
    const int64_t count = queries.end - first < most ? queries.end - first : most;
    for (int64_t i = 0; i < count; ++i) columns.put_query(s, first + i, q, i);
    for (int64_t row = rows.begin; row < rows.end;) {
      const float* x[kBlock] = {};
      float norms[kBlock];
      int64_t ids[kBlock];
      int n = 0;
      for (; row < rows.end && n < kBlock; ++row) {
        if (s.mask && !s.mask[row]) continue;
        x[n] = fetch(row, values + n * stride);
        const float square = dot16(x[n], x[n], stride);
        if (!(square < kMostSquare) && !row_is_finite(x[n], s.queries.d)) return row;
        norms[n] = __builtin_sqrtf(square);
        columns.put_row(s, x[n], square, bounds, n);
        ids[n++] = row;
      }
      // Where rows are read in place, side by side, the next ones are asked for.
      const int64_t step = n > 1 ? x[1] - x[0] : 0;
      const bool in_place = step >= s.queries.d && step < stride + 16 && x[0] != values;
      const Ahead ahead = {x[0] + n * step, in_place ? n * step : 0};
      offer_block(s, q, bounds, n, first, count, columns, ahead,
                  [&](const Pair* pairs, int pair_count) { offer_exact(s, pairs, pair_count, x, norms, ids); });
    }
  }
  return kAllFinite;
}

// The search over rows that `fetch` gives. A row that is not finite ends it and is returned. `scratch`:
// scan_scratch(d, queries) floats.
inline int64_t scan_rows(const Scan& s, Range rows, Range queries, float* scratch, const Fetch& fetch) {
  const bool many = queries.end - queries.begin >= kManyQueries && s.queries.d <= kMostOfBytes;
  return many ? scan_many(s, rows, queries, scratch, fetch) : scan_few(s, rows, queries, scratch, fetch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
