// The scan behind every top-k over decoded rows: decode a block of rows, score it against a tile of queries, keep the
// best. The score of a row does not depend on the level, the tile or the number of threads (the numeric contract):
// 16 lanes summed in order of dimension, then halved.
#pragma once
#include "../row/order.h"
#include "../row/score.h"
#include "../simd/prefetch.h"
#include "rows.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// A callable without its type: a scan is compiled once, not once for each decoder.
template <class Signature>
struct Callable;
template <class R, class... Args>
struct Callable<R(Args...)> {
  template <class F>
  Callable(const F& f)
      : self(&f), call([](const void* s, Args... args) -> R { return (*static_cast<const F*>(s))(args...); }) {}
  R operator()(Args... args) const { return call(self, args...); }
  const void* self;
  R (*call)(const void*, Args...);
};

// fetch(row, buffer): a pointer to the row's padded float32 values, decoded into `buffer` unless they exist elsewhere.
using Fetch = Callable<const float*(int64_t row, float* buffer)>;

// Replaces the worst of the heap, which is at its root.
inline void heap_replace(uint64_t* heap, int32_t size, uint64_t key) {
  int32_t at = 0;
  for (int32_t child = 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && heap[child + 1] < heap[child]) ++child;
    if (key <= heap[child]) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = key;
}

inline void heap_insert(uint64_t* heap, int32_t size, uint64_t key) {  // into a heap of `size`, which grows by one
  int32_t at = size;
  while (at > 0 && heap[(at - 1) / 2] > key) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = key;
}

// Rows must come in ascending order: an equal score then never displaces a kept one.
EMB_OP void keep(TopK& best, float score, int64_t row) {
  score = comparable(score);
  if (best.count == best.k && !(score > best.floor)) return;
  if (best.count < best.k)
    heap_insert(best.keys, best.count++, order_key(score, row));
  else
    heap_replace(best.keys, best.k, order_key(score, row));
  if (best.count == best.k) best.floor = key_score(best.keys[0]);
}

inline float dot16(const float* a, const float* b, int64_t padded) {
  f32x16 sum = splat(0.0f);
  for (int64_t j = 0; j < padded; j += 16) sum = add(sum, mul(load(a + j), load(b + j)));
  return reduce_add(sum);
}

// N of them at a time, since a sum waits for each of its additions. `ahead`: as score_tile has it.
template <int N>
EMB_OP void dots16(const float* const* a, const float* const* b, int64_t padded, float* out,
                   const float* ahead = nullptr) {
  f32x16 sum[N];
  for (int n = 0; n < N; ++n) sum[n] = splat(0.0f);
  for (int64_t j = 0; j < padded; j += 16)
    for (int n = 0; n < N; ++n) {
      if (ahead) __builtin_prefetch(ahead + N * j + 16 * n);
      sum[n] = add(sum[n], mul(load(a[n] + j), load(b[n] + j)));
    }
  for (int n = 0; n < N; ++n) out[n] = reduce_add(sum[n]);
}

template <bool L2>
EMB_OP f32x16 accumulate(f32x16 sum, f32x16 q, f32x16 x) {
  if (L2) {
    const f32x16 t = sub(q, x);
    return add(sum, mul(t, t));
  }
  return add(sum, mul(q, x));
}

// R rows x Q queries: Q*R sums in registers, each operand loaded once for the whole tile. Asks for as much as the rows
// hold from `ahead` on, line after line, unless it is null.
template <bool L2, int R, int Q>
EMB_OP void score_tile(const float* const* rows, const float* query, int64_t stride, float* scores,
                       const float* ahead = nullptr) {
  f32x16 sum[Q][R];
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) sum[q][r] = splat(0.0f);
  for (int64_t j = 0; j < stride; j += 16) {
    f32x16 x[R];
    for (int r = 0; r < R; ++r) x[r] = load(rows[r] + j);
    for (int r = 0; ahead && r < R; ++r) __builtin_prefetch(ahead + R * j + 16 * r);
    for (int q = 0; q < Q; ++q) {
      const f32x16 y = load(query + q * stride + j);
      for (int r = 0; r < R; ++r) sum[q][r] = accumulate<L2>(sum[q][r], y, x[r]);
    }
  }
  for (int q = 0; q < Q; ++q)
    for (int r = 0; r < R; ++r) scores[q * R + r] = reduce_add(sum[q][r]);
}

// The rows of a block: where each is (decoded or the caller's own), its number, its length for cosine.
struct Block {
  const float* rows[64];
  int64_t ids[64];
  float norms[64];
  int count;
};

EMB_OP f32x16 finish16(f32x16 sum, Metric metric, f32x16 query_norms, float row_norm) {
  if (metric == Metric::ip) return sum;
  if (metric == Metric::l2) return negate(sum);
  const f32x16 product = mul(query_norms, splat(row_norm));
  return select(equal(product, splat(0.0f)), splat(0.0f), div(sum, product));
}

// Up to 16 queries side by side, whose scores of a row come as one vector. All have been offered the same rows.
struct QueryTile {
  TopK* best;
  int count;
  float floors[16], squares[16], norms[16];
};

EMB_OP QueryTile query_tile(const Scan& s, int64_t q, int count) {
  QueryTile tile = {s.best + q, count, {}, {}, {}};
  for (int lane = 0; lane < count; ++lane) {
    tile.floors[lane] = s.best[q + lane].floor;
    tile.squares[lane] = s.queries.square[q + lane];
    tile.norms[lane] = s.queries.norm[q + lane];
  }
  return tile;
}

// The queries of a tile, transposed to (d, 16).
EMB_OP void query_columns(const Scan& s, int64_t q, int count, float* columns) {
  for (int lane = 0; lane < 16; ++lane)
    for (int64_t j = 0; j < s.queries.d; ++j)
      columns[16 * j + lane] = lane < count ? s.queries.data[(q + lane) * s.queries.stride + j] : 0.0f;
}

// Most scores are below every floor: one comparison for all.
EMB_OP void keep16(QueryTile& tile, f32x16 score, int64_t row) {
  const bool full = tile.best[0].count == tile.best[0].k;
  uint32_t wanted = (full ? mask_bits(less(load(tile.floors), score)) : 0xffffu) & ((1u << tile.count) - 1u);
  if (!wanted) return;
  float scores[16];
  store(scores, score);
  for (; wanted; wanted &= wanted - 1u) {
    const int lane = __builtin_ctz(wanted);
    keep(tile.best[lane], scores[lane], row);
    tile.floors[lane] = tile.best[lane].floor;
  }
}

// Returns whether every sum was finite. `ahead`: from rows that are in memory to what is asked for meanwhile, else 0.
template <bool L2, int Q>
EMB_OP bool score_queries(const Scan& s, const Block& block, int64_t q, int64_t ahead) {
  const float* query = s.queries.data + q * s.queries.stride;
  float scores[Q * kTileRows];
  float check = 0.0f;  // x - x is 0 for a finite x, else NaN, and NaN stays
  int i = 0;
  for (; !ahead && i + kTileRows <= block.count; i += kTileRows) {
    score_tile<L2, kTileRows, Q>(block.rows + i, query, s.queries.stride, scores);
    for (int t = 0; t < Q; ++t)
      for (int r = 0; r < kTileRows; ++r) {
        const float sum = scores[t * kTileRows + r];
        check += sum - sum;
        keep(s.best[q + t], finish_score(sum, s.metric, s.queries.norm[q + t], block.norms[i + r]), block.ids[i + r]);
      }
  }
  for (; i < block.count; ++i) {
    score_tile<L2, 1, Q>(block.rows + i, query, s.queries.stride, scores, ahead ? block.rows[i] + ahead : nullptr);
    for (int t = 0; t < Q; ++t) {
      check += scores[t] - scores[t];
      keep(s.best[q + t], finish_score(scores[t], s.metric, s.queries.norm[q + t], block.norms[i]), block.ids[i]);
    }
  }
  return check == 0.0f;
}

template <bool L2>
EMB_OP bool score_block(const Scan& s, const Block& block, Range queries, int64_t ahead) {
  bool finite = true;
  int64_t q = queries.begin;
  for (; q + kTileQueries <= queries.end; q += kTileQueries, ahead = 0)
    finite &= score_queries<L2, kTileQueries>(s, block, q, ahead);
  for (; q < queries.end; ++q, ahead = 0) finite &= score_queries<L2, 1>(s, block, q, ahead);
  return finite;
}

// The first row of the block that holds a NaN or an infinity. Looked for only where a score was not finite, since a
// scan cannot afford to look at every value.
inline int64_t refused_row(const Block& block, int64_t d) {
  for (int i = 0; i < block.count; ++i)
    if (!row_is_finite(block.rows[i], d)) return block.ids[i];
  return kAllFinite;
}

// The code of a row, of `bytes` bytes: where it lies, or put together in `copy`.
EMB_OP const uint8_t* code_of(const Codes& codes, int64_t row, int64_t bytes, uint8_t* copy) {
  const uint8_t* code = codes.data + row * codes.stride;
  if (codes.byte_stride == 1) return code;
  const int64_t step = codes.byte_stride;  // which bytes that are written might change, for all the compiler knows
  for (int64_t b = 0; b < bytes; ++b) copy[b] = code[b * step];
  return copy;
}

// 16 elements of a column, from lane to lane: through memory, 16 stores would have to end before one load.
template <class T>
EMB_OP void column_elements(const Column& column, const int64_t* rows, T* out) {
  const bool consecutive = rows[15] == rows[0] + 15;  // for they ascend
  const char* first = column.data + rows[0] * column.stride;
  if (consecutive && column.stride == sizeof(T)) {
    __builtin_memcpy(out, first, 16 * sizeof(T));
    return;
  }
#if EMB_LOADS_APART
  // What lies before an element belongs to the row before, if there is one.
  if (consecutive && rows[0] > 0 && column.stride >= 4 && column.stride < (1 << 24))
    return load_apart(first, column.stride, out);
#endif
  typedef T elements __attribute__((vector_size(16 * sizeof(T))));
  const auto at = [&](int lane) {
    T value;
    __builtin_memcpy(&value, column.data + rows[lane] * column.stride, sizeof(T));
    return value;
  };
  const elements all = {at(0), at(1), at(2),  at(3),  at(4),  at(5),  at(6),  at(7),
                        at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15)};
  __builtin_memcpy(out, &all, sizeof all);
}

// A column's values for rows, whose number is rounded up to a multiple of 16; all must exist.
EMB_OP void column_values(const Column& column, const int64_t* rows, int count, float* out) {
  for (int n = 0; n < count; n += 16) {
    if (column.kind == Column::i8) {
      int8_t bytes[16];
      column_elements(column, rows + n, bytes);
      store(out + n, to_f32(load_i8(bytes)));
    } else if (column.kind == Column::f16) {
      uint16_t halves[16];
      column_elements(column, rows + n, halves);
      const f32x16 value = load_f16(halves);
      store(out + n, select(less(abs(value), splat(__builtin_inff())), value, splat(0.0f)));
    } else {
      column_elements(column, rows + n, out + n);
    }
  }
}

EMB_OP void add_extras(const RowExtras& e, int64_t row, float* values, int64_t stride) {
  const bool shifted = e.shift.data, scaled = e.factor.data;
  const f32x16 shift = splat(shifted ? e.shift.at(row) : 0.0f), factor = splat(scaled ? e.factor.at(row) : 1.0f);
  const float* centroid = e.coarse.row(row, stride, 0);
  if (!shifted && !scaled && !centroid) return;
  for (int64_t j = 0; j < stride; j += 16) {
    f32x16 value = load(values + j);
    if (shifted) value = add(value, mul(shift, load(e.direction + j)));
    if (scaled) value = mul(value, factor);
    if (centroid) value = add(value, load(centroid + j));
    store(values + j, value);
  }
}

// The lengths of a block's rows, for cosine; some at a time, since each is a chain of additions.
template <int N>
EMB_OP void row_lengths(Block& block, int64_t stride, int64_t ahead) {
  for (int i = 0; i < block.count; i += N) {
    const float* rows[N];
    float squares[N];
    for (int r = 0; r < N; ++r) rows[r] = block.rows[i + r < block.count ? i + r : i];
    dots16<N>(rows, rows, stride, squares, ahead ? rows[0] + ahead : nullptr);
    for (int r = 0; r < N && i + r < block.count; ++r) block.norms[i + r] = __builtin_sqrtf(squares[r]);
  }
}

// scan_rows (many.inl.h) for few queries, every score computed.
inline int64_t scan_few(const Scan& s, Range rows, Range queries, float* scratch, const Fetch& fetch) {
  const int64_t stride = s.queries.stride;
  const int64_t fit = scan_block_rows(s.queries.d);
  const int64_t block_rows = fit < 64 ? fit : 64;
  Block block;
  for (int64_t row = rows.begin; row < rows.end;) {
    block.count = 0;
    for (; row < rows.end && block.count < block_rows; ++row) {
      if (s.mask && !s.mask[row]) continue;
      const float* x = fetch(row, scratch + block.count * stride);
      block.rows[block.count] = x;
      block.norms[block.count] = 0.0f;
      block.ids[block.count++] = row;
    }
    // Rows where the caller has them come from memory, a row after the other: a tile reads at two thirds of its rate
    // (Zen 3).
    int64_t ahead = block.count > 0 && block.rows[0] != scratch ? kAhead / 4 : 0;
    if (s.metric == Metric::cosine) {
      if (ahead)
        row_lengths<1>(block, stride, ahead);
      else
        row_lengths<4>(block, stride, 0);
      ahead = 0;
    }
    const bool finite = s.metric == Metric::l2 ? score_block<true>(s, block, queries, ahead)
                                               : score_block<false>(s, block, queries, ahead);
    if (finite) continue;
    const int64_t bad = refused_row(block, s.queries.d);
    if (bad != kAllFinite) return bad;
  }
  return kAllFinite;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
