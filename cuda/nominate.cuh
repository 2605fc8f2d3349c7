// The scan of rows that are decoded. Tensor cores nominate rows: some of them, rounded to bfloat16, are multiplied with
// some queries. A row whose product the error cannot lift to the query's floor is done with; the others are scored
// exactly, as are all rows of the first chunk, which has no floor. So the results are those of an exact scan.
//
// What decodes rows for it, in eights of columns:
//   Row at(row), readable(at): as in scan.cuh; what may not be read is nominated;
//   Part part(at, e): what codes a row's eight number e, from memory;
//   round<R>(part, at, table, e, square, rounded): those of R rows; adds what each has of the row's squared length to
//   `square`; eights, their number; kTable, fill(table), kBlocks: as in scan.cuh.
#pragma once
#include "rounding.cuh"
#include "scan.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kEights = 4;  // eights of columns at a time, of which a lane has one

// Vectors of d dimensions as bfloat16, each in whole eights with zeros at the end. A thread an eight.
__global__ void round_vectors(const float* vectors, int64_t count, int64_t d, uint4* out) {
  const Place at = place_of(thread_number(), d);
  if (at.row >= count) return;
  uint32_t words[4];
  EMB_UNROLL for (int i = 0; i < 4; ++i) {
    float v[2];
    EMB_UNROLL for (int j = 0; j < 2; ++j) v[j] = 2 * i + j < at.count ? vectors[at.row * d + at.j + 2 * i + j] : 0.0f;
    words[i] = take_two(v);
  }
  out[thread_number()] = {words[0], words[1], words[2], words[3]};
}

// Lengths that neither overflow nor underflow when multiplied.
__device__ inline bool in_range(float square) { return square > 1e-20f && square < 1e36f; }

// A product p of query and row nominates the row unless p + lift |x| < need + half, for lift and need of the query,
// half of the row. NaN, where the error has no bound or the query no floor yet, nominates.
//
// Rounding to bfloat16 changes a component by 2^-8 of it at most, and so, by Cauchy-Schwarz, a product by less than
// (2^-7 + 2^-16) |q| |x|. kRounding is a hundredth more, for the arithmetic here. Summing C columns, each term cut off
// at 2^-23 of the largest, loses less than C 2^-22 |q| |x|; the exact score, with at most 9/8 C sums in float32, half
// of that. `units`, C 2^-21, is more than both, and covers what sums lose of |q|^2 + |x|^2, which l2 takes from twice
// the product.
constexpr float kRounding = 7.9e-3f;

struct QueryBound {
  float lift, need;
};
__device__ inline QueryBound bound_of(const Group& group, int64_t query, float units) {
  if (query >= group.count) return {0.0f, __builtin_inff()};
  const float square = group.squares[query], error = kRounding + units, floor = key_score(group.floor[query]);
  const float length = in_range(square) ? __builtin_sqrtf(square) : __builtin_nanf("");
  if (group.metric == Metric::ip) return {error * length, floor};
  if (group.metric == Metric::cosine) return {(error - floor) * length, 0.0f};
  return {error * length, 0.5f * (floor + (1.0f - units) * square)};
}

__device__ inline void nominate(const Group& group, int64_t query, int64_t row) {
  group.added[query * group.capacity + atomicAdd(&group.added_count[query], 1u)] = static_cast<uint64_t>(row);
}

// What a row's squared length has to say, of which each of four lanes has a part.
struct RowBound {
  float length, half;
};
__device__ inline RowBound row_bound(const Group& group, float square, float units) {
  const float total = sum_of_four(square);
  return {in_range(total) ? __builtin_sqrtf(total) : __builtin_nanf(""),
          group.metric == Metric::l2 ? 0.5f * (1.0f - units) * total : 0.0f};
}
__device__ inline bool too_low(float product, const QueryBound& query, const RowBound& row) {
  return __builtin_fmaf(query.lift, row.length, product) < query.need + row.half;
}

__device__ inline float columns_unit(int eights) { return static_cast<float>(8 * eights) * 4.76837158203125e-7f; }

// For few queries, 8 TILES of them: a warp decodes its 32 rows into the registers from which tensor cores take them. A
// lane multiplies eight neighbours of 32 columns: their order is free where both matrices have the same.
constexpr int kWarpRows = 32, kFewBlock = 128;
constexpr int kFewTiles = 8;  // at most

template <class Eights, int TILES>
__global__ void __launch_bounds__(kFewBlock, TILES == 1           ? kFewBlocks
                                             : TILES == kFewTiles ? 2
                                                                  : 3)
    nominate_for_few(Eights source, const uint4* rounded_queries, Group group) {
  constexpr int kOwn = kWarpRows / 8;  // rows of a lane
  // Eights of each, side by side, as many as registers hold.
  constexpr int kAtOnce = sizeof(typename Eights::Part) + sizeof(typename Eights::Row) > 16 ? 1 : 2;
  EMB_SHARED(float, table, [Eights::kTable + 1]);
  source.fill(table);
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x % 32), all = source.eights;
  const int64_t first_row = group.rows.begin + thread_number() / 32 * kWarpRows;
  const int64_t first_query = static_cast<int64_t>(blockIdx.y) * 8 * TILES;
  if (__ballot_sync(kAllLanes, group.allowed(first_row + lane)) == 0) return;
  typename Eights::Row at[kOwn];
  typename Eights::Part next[kAtOnce][kOwn] = {};
  float square[kOwn], sum[kOwn / 2][TILES][4] = {};
  EMB_UNROLL for (int i = 0; i < kOwn; ++i) {
    const int64_t row = first_row + 8 * i + lane / 4;
    at[i] = source.at(row < group.rows.end ? row : group.rows.end - 1);  // what is beyond nominates nothing
    square[i] = source.readable(at[i]) ? 0.0f : __builtin_nanf("");
  }
  const auto eight_of = [&](int first, int u) { return first + kAtOnce * (lane % 4) + u; };
  const auto load = [&](int first) {
    EMB_UNROLL for (int u = 0; u < kAtOnce; ++u) EMB_UNROLL for (int i = 0; i < kOwn; ++i) if (eight_of(first, u) < all)
        next[u][i] = source.part(at[i], eight_of(first, u));
  };
  load(0);
  EMB_ROLLED for (int first = 0; first < all; first += kEights * kAtOnce) {
    typename Eights::Part part[kAtOnce][kOwn];
    EMB_UNROLL for (int u = 0; u < kAtOnce; ++u) EMB_UNROLL for (int i = 0; i < kOwn; ++i) part[u][i] = next[u][i];
    load(first + kEights * kAtOnce);  // arrives while these are decoded
    EMB_UNROLL for (int u = 0; u < kAtOnce; ++u) {
      const int e = eight_of(first, u);
      uint4 x[kOwn] = {};
      if (e < all) source.template round<kOwn>(part[u], at, table, e, square, x);
      EMB_UNROLL for (int j = 0; j < TILES; ++j) {
        const int64_t query = first_query + 8 * j + lane / 4;
        uint4 column = {};
        if (e < all && query < group.count) column = rounded_queries[query * all + e];
        const uint32_t b[2][2] = {{column.x, column.y}, {column.z, column.w}};
        EMB_UNROLL for (int r = 0; r < kOwn / 2; ++r) {
          const uint4 upper = x[2 * r], lower = x[2 * r + 1];
          const uint32_t a[2][4] = {{upper.x, lower.x, upper.y, lower.y}, {upper.z, lower.z, upper.w, lower.w}};
          EMB_UNROLL for (int k = 0; k < 2; ++k) mma_m16n8k16(sum[r][j], a[k], b[k]);
        }
      }
    }
  }
  const float units = columns_unit(all);
  RowBound bound[kOwn];
  EMB_UNROLL for (int i = 0; i < kOwn; ++i) bound[i] = row_bound(group, square[i], units);
  EMB_UNROLL for (int j = 0; j < TILES; ++j) {
    uint32_t nominated = 0;  // a bit for each of the lane's two queries and its rows
    EMB_UNROLL for (int k = 0; k < 2; ++k) {
      const QueryBound query = bound_of(group, first_query + 8 * j + lane % 4 * 2 + k, units);
      EMB_UNROLL for (int i = 0; i < kOwn; ++i) nominated |=
          (too_low(sum[i / 2][j][i % 2 * 2 + k], query, bound[i]) ? 0u : 1u) << (kOwn * k + i);
    }
    EMB_ROLLED for (; nominated; nominated &= nominated - 1) {
      const int bit = __ffs(static_cast<int>(nominated)) - 1;
      const int64_t found = first_row + bit % kOwn * 8 + lane / 4;
      const int64_t query = first_query + 8 * j + lane % 4 * 2 + bit / kOwn;
      if (query < group.count && group.allowed(found)) nominate(group, query, found);
    }
  }
}

// For many queries: tiles of rows and of queries in shared memory.
constexpr int kBlockTile = 128;  // rows, and queries, of a block
constexpr int kFills = kEights * kBlockTile / kBlock;
constexpr int kWarpTiles = 4;  // of 16 rows of a warp, and of 8 queries
constexpr int kWarpsAcross = kBlockTile / (8 * kWarpTiles);
static_assert(kBlockTile / (16 * kWarpTiles) * kWarpsAcross * 32 == kBlock && kEights == 4, "a lane has an eight");

template <class Eights>
__global__ void __launch_bounds__(kBlock, Eights::kBlocks)
    nominate_tiles(Eights source, const uint4* rounded_queries, Group group) {
  EMB_SHARED(float, table, [Eights::kTable + 1]);
  EMB_SHARED(uint4, rows, [2][kBlockTile * kEights]);  // one to fill while the other is read
  EMB_SHARED(uint4, queries, [2][kBlockTile * kEights]);
  EMB_SHARED(RowBound, row_bounds, [kBlockTile]);
  EMB_SHARED(QueryBound, bound, [kBlockTile]);
  EMB_SHARED(typename Eights::Row, row_at, [kBlockTile]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32, all = source.eights;
  const int warp_row = warp / kWarpsAcross * 16 * kWarpTiles, warp_query = warp % kWarpsAcross * 8 * kWarpTiles;
  // Blocks that run at the same time have the same rows and all queries, so that rows come out of L2.
  const unsigned across = (static_cast<unsigned>(group.count) + kBlockTile - 1) / kBlockTile;
  const int64_t first_row = group.rows.begin + static_cast<int64_t>(blockIdx.x / across) * kBlockTile;
  const int64_t first_query = static_cast<int64_t>(blockIdx.x % across) * kBlockTile;
  const float units = columns_unit(all);
  if (thread < kBlockTile) {
    const int64_t row = first_row + thread;
    bound[thread] = bound_of(group, first_query + thread, units);
    row_at[thread] = source.at(row < group.rows.end ? row : group.rows.end - 1);  // what is beyond nominates nothing
  }
  source.fill(table);

  // Of each filling the thread has an eight of a row and of a query.
  typename Eights::Part part[kFills] = {};
  uint4 loaded[kFills];
  float square[kFills] = {};
  const auto of_fill = [&](int i) { return (i * kBlock + thread) / kEights; };
  const auto load = [&](int e) {
    EMB_UNROLL for (int i = 0; i < kFills; ++i) {
      const int query = static_cast<int>(first_query) + of_fill(i);
      if (e < all) part[i] = source.part(row_at[of_fill(i)], e);
      loaded[i] = e < all && query < group.count ? rounded_queries[query * all + e] : uint4{};
    }
  };
  const auto store = [&](int e, int buffer) {
    EMB_UNROLL for (int i = 0; i < kFills; ++i) {
      uint4 rounded = {};
      if (e < all) source.template round<1>(part + i, row_at + of_fill(i), table, e, square + i, &rounded);
      rows[buffer][i * kBlock + thread] = rounded;
      queries[buffer][i * kBlock + thread] = loaded[i];
    }
  };

  float sum[kWarpTiles][kWarpTiles][4] = {};
  __syncthreads();
  load(thread % kEights);
  store(thread % kEights, 0);
  __syncthreads();
  EMB_ROLLED for (int first = 0; first < all; first += kEights) {
    const int buffer = first / kEights % 2, next = first + kEights + thread % kEights;
    if (first + kEights < all) load(next);  // arrives while the tensor cores work
    const uint4 *x = rows[buffer] + kEights * warp_row + lane, *q = queries[buffer] + kEights * warp_query + lane;
    EMB_UNROLL for (int i = 0; i < kWarpTiles; ++i) {
      const uint4 upper = x[64 * i], lower = x[64 * i + 32];
      const uint32_t a[2][4] = {{upper.x, lower.x, upper.y, lower.y}, {upper.z, lower.z, upper.w, lower.w}};
      EMB_UNROLL for (int j = 0; j < kWarpTiles; ++j) {
        const uint4 column = q[32 * j];
        const uint32_t b[2][2] = {{column.x, column.y}, {column.z, column.w}};
        EMB_UNROLL for (int k = 0; k < 2; ++k) mma_m16n8k16(sum[i][j], a[k], b[k]);
      }
    }
    if (first + kEights < all) store(next, 1 - buffer);
    __syncthreads();
  }

  EMB_UNROLL for (int i = 0; i < kFills; ++i) {
    const bool readable = source.readable(row_at[of_fill(i)]);
    const RowBound mine = row_bound(group, readable ? square[i] : __builtin_nanf(""), units);
    if (lane % 4 == 0) row_bounds[of_fill(i)] = mine;
  }
  __syncthreads();
  EMB_UNROLL for (int i = 0; i < kWarpTiles; ++i) {
    const auto row_of = [&](int k) { return warp_row + 16 * i + lane / 4 + k / 2 % 2 * 8; };
    const auto query_of = [&](int k) { return warp_query + k / 4 * 8 + lane % 4 * 2 + k % 2; };
    uint32_t nominated = 0;
    EMB_UNROLL for (int k = 0; k < 4 * kWarpTiles; ++k) {
      const bool low = too_low(sum[i][k / 4][k % 4], bound[query_of(k)], row_bounds[row_of(k)]);
      nominated |= (low ? 0u : 1u) << k;
    }
    EMB_ROLLED for (; nominated; nominated &= nominated - 1) {
      const int k = __ffs(static_cast<int>(nominated)) - 1;
      const int64_t row = first_row + row_of(k), query = first_query + query_of(k);
      if (query < group.count && group.allowed(row)) nominate(group, query, row);
    }
  }
}

// Half a warp a row, in the order of the contract: each lane decodes eight columns of 128, and adds up those that are
// its number apart from a multiple of 16. ALL: every row. Otherwise a nominee, whose key takes its place; keys below
// the floor do no harm: keep_best_rows has k better ones.
constexpr int kHalfColumns = 128, kHalfStride = kHalfColumns + 16;  // neighbours' columns begin in other banks

template <class Source, bool ALL>
__global__ void score_rows(Source source, Group group, Call call) {
  EMB_SHARED(float, table, [Source::kTable + 1]);
  EMB_SHARED(float4, aligned_memory, [kBlock / 16 * kHalfStride / 4]);
  const int64_t query = blockIdx.y, count = ALL ? group.rows.end - group.rows.begin : group.added_count[query],
                step = static_cast<int64_t>(gridDim.x) * kBlock / 16;
  if (static_cast<int64_t>(blockIdx.x) * kBlock / 16 >= count) return;
  source.fill(table);
  __syncthreads();
  uint64_t* added = group.added + query * group.capacity;
  const float* q = group.queries + query * group.d;
  const unsigned mask = half_warp();
  const int lane = static_cast<int>(threadIdx.x % 16);
  float4* own = aligned_memory + threadIdx.x / 16 * (kHalfStride / 4);
  const float* columns = reinterpret_cast<const float*>(own) + lane;
  EMB_ROLLED for (int64_t i = thread_number() / 16; i < count; i += step) {
    const int64_t row = ALL ? group.rows.begin + i : static_cast<int64_t>(added[i]);
    if (ALL && !group.allowed(row)) continue;
    const typename Source::Row at = source.at(row);
    const bool readable = source.readable(at);
    float sum = 0.0f, square = 0.0f, poison = 0.0f;
    EMB_ROLLED for (int64_t first = 0; first < group.d; first += kHalfColumns) {
      const int64_t j = first + 8 * lane, left = group.d - j;
      const int here = left < 8 ? static_cast<int>(left) : 8;
      float x[1][8] = {};
      if (here > 0 && readable) {
        const typename Source::Raw raw = source.raw(at, j, here);
        if (here == 8 && source.aligned())
          source.template decode<true, 1>(&raw, &at, table, j, 8, x);
        else
          source.template decode<false, 1>(&raw, &at, table, j, here, x);
      } else {
        EMB_ROLLED for (int c = 0; c < here; ++c) x[0][c] = source.value(row, j + c);
      }
      if (Source::kMayBeBad) EMB_UNROLL for (int c = 0; c < 8; ++c) poison += c < here ? x[0][c] - x[0][c] : 0.0f;
      __syncwarp(mask);  // the columns before were read
      own[2 * lane] = {x[0][0], x[0][1], x[0][2], x[0][3]};
      own[2 * lane + 1] = {x[0][4], x[0][5], x[0][6], x[0][7]};
      __syncwarp(mask);
      EMB_UNROLL for (int k = 0; k < kHalfColumns; k += 16) {
        if (first + k + lane >= group.d) continue;
        const float v = columns[k], y = q[first + k + lane];
        sum += group.metric == Metric::l2 ? (y - v) * (y - v) : y * v;
        square += v * v;
      }
    }
    if (Source::kMayBeBad && poison != 0.0f) refuse(call, row);  // NaN is not 0 either
    sum = sum16(sum, mask);
    square = sum16(square, mask);
    const float score = finish_score(sum, group.metric, __builtin_sqrtf(group.squares[query]), __builtin_sqrtf(square));
    __syncwarp(mask);  // all have read the row
    if (lane != 0) continue;
    if (ALL)
      offer(group, query, score, row);
    else
      added[i] = order_key(comparable(score), row);
  }
}

template <class Source>
void launch_all(const Source& source, const Group& group, const Call& call) {
  const dim3 blocks(blocks_for(16 * (group.rows.end - group.rows.begin), kBlock), static_cast<unsigned>(group.count));
  EMB_LAUNCH((score_rows<Source, true>), blocks, kBlock, 0, call.stream, source, group, call);
  check(cudaGetLastError());
}

// Blocks of a query that score its nominees: it may have many, where scores are close to each other.
inline unsigned nominators(int64_t queries) { return queries < 64 ? static_cast<unsigned>(256 / queries) : 4; }

template <class Eights, int TILES>
void launch_for_few(const Eights& source, const uint4* queries, const Group& group, const Call& call) {
  const dim3 blocks(blocks_for(group.rows.end - group.rows.begin, kFewBlock), blocks_for(group.count, 8 * TILES));
  EMB_LAUNCH((nominate_for_few<Eights, TILES>), blocks, kFewBlock, 0, call.stream, source, queries, group);
}

template <class Eights>
void launch_nominate(const Eights& source, const uint4* queries, const Group& group, const Call& call) {
  if (group.count <= 8) {
    launch_for_few<Eights, 1>(source, queries, group, call);
  } else if (group.count <= 32) {
    launch_for_few<Eights, 4>(source, queries, group, call);
  } else if (group.count <= 8 * kFewTiles) {
    launch_for_few<Eights, kFewTiles>(source, queries, group, call);
  } else {
    const unsigned tiles =
        blocks_for(group.rows.end - group.rows.begin, kBlockTile) * blocks_for(group.count, kBlockTile);
    EMB_LAUNCH((nominate_tiles<Eights>), tiles, kBlock, 0, call.stream, source, queries, group);
  }
  check(cudaGetLastError());
}

void launch_round(const float* vectors, int64_t count, int64_t d, uint4* out, const Call& call) {
  EMB_LAUNCH((round_vectors), blocks_for(count * ((d + 7) / 8), kBlock), kBlock, 0, call.stream, vectors, count, d,
             out);
  check(cudaGetLastError());
}

// The eights of what a source decodes.
template <class Source>
struct Decoded {
  static constexpr int kTable = Source::kTable, kBlocks = Source::kBlocks;
  Source source;
  int64_t d;
  int eights;
  using Row = typename Source::Row;
  using Part = typename Source::Raw;
  __device__ void fill(float* table) const { source.fill(table); }
  __device__ Row at(int64_t row) const { return source.at(row); }
  __device__ int count(int e) const { return static_cast<int>(d - 8 * e < 8 ? d - 8 * e : 8); }
  __device__ bool readable(const Row& at) const { return source.readable(at); }
  __device__ Part part(const Row& at, int e) const { return source.raw(at, 8 * e, count(e)); }
  template <int R>
  __device__ void decode_part(const Part* part, const Row* at, const float* table, int e, float (*x)[8]) const {
    source.template decode<false, R>(part, at, table, 8 * e, count(e), x);
    EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) if (i >= count(e)) x[r][i] = 0.0f;
  }
  template <int R>
  __device__ void round(const Part* part, const Row* at, const float* table, int e, float* square,
                        uint4* rounded) const {
    float x[R][8];
    if (count(e) == 8 && source.aligned())
      source.template decode<true, R>(part, at, table, 8 * e, 8, x);
    else
      decode_part<R>(part, at, table, e, x);
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      EMB_UNROLL for (int i = 0; i < 8; ++i) square[r] = __builtin_fmaf(x[r][i], x[r][i], square[r]);
      rounded[r] = {two_bf16(x[r][0], x[r][1]), two_bf16(x[r][2], x[r][3]), two_bf16(x[r][4], x[r][5]),
                    two_bf16(x[r][6], x[r][7])};
    }
  }
};

// The search over what `source` decodes; search_rows says what it returns.
template <class Source>
int64_t search_source(const Source& source, int64_t n, const Search& search, const Call& call) {
  const int64_t eights = (search.d + 7) / 8, own = (16 * eights * search.nq + 255) / 256 * 256;
  uint4* queries = reinterpret_cast<uint4*>(call.scratch);
  Call rest = call;
  if (call.scratch && search.nq) {
    rest.scratch = call.scratch + own;
    launch_round(search.queries, search.nq, search.d, queries, call);
  }
  const int64_t needed = search_rows(n, search, rest, [&](const Group& group) {
    if (group.rows.begin == 0) return launch_all(source, group, call);  // no floor yet
    launch_nominate(Decoded<Source>{source, search.d, static_cast<int>(eights)}, queries + group.first * eights, group,
                    call);
    const dim3 nominees(nominators(group.count), static_cast<unsigned>(group.count));
    EMB_LAUNCH((score_rows<Source, false>), nominees, kBlock, 0, call.stream, source, group, call);
    check(cudaGetLastError());
  });
  return needed ? needed + own : 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
