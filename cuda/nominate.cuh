// The scan for many queries. Tensor cores nominate rows: a tile of rows, rounded to bfloat16, is multiplied with a tile
// of queries. A row whose product the error cannot lift to the query's floor is done with; the others are scored
// exactly. So the results are those of the exact scan alone.
//
// What decodes rows for it, in eights of columns:
//   Row at(row), Part part(row, e): what a row has beside its code, and what codes its eight number e, from memory;
//   round(part, at, table, e, square): the eight, rounded; adds what it has of the row's squared length to `square`;
//   eights, their number; kTable, fill(table), kBlocks: as in scan.cuh.
#pragma once
#include "rounding.cuh"
#include "scan.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int64_t kTensorQueries = 32;  // fewer are scored exactly at once
constexpr int kBlockTile = 128;         // rows, and queries, of a block
constexpr int kEights = 4;              // eights of columns at a time
constexpr int kFills = kEights * kBlockTile / kBlock;
constexpr int kWarpTiles = 4;  // of 16 rows of a warp, and of 8 queries
constexpr int kWarpsAcross = kBlockTile / (8 * kWarpTiles);
static_assert(kBlockTile / (16 * kWarpTiles) * kWarpsAcross * 32 == kBlock && kEights == 4, "a lane has an eight");

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

template <class Eights>
__global__ void __launch_bounds__(kBlock, Eights::kBlocks)
    nominate_rows(Eights source, const uint4* rounded_queries, Group group) {
  EMB_SHARED(float, table, [Eights::kTable + 1]);
  EMB_SHARED(uint4, rows, [2][kBlockTile * kEights]);  // one to fill while the other is read
  EMB_SHARED(uint4, queries, [2][kBlockTile * kEights]);
  EMB_SHARED(float, length, [kBlockTile]);
  EMB_SHARED(float, half, [kBlockTile]);
  EMB_SHARED(QueryBound, bound, [kBlockTile]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32, all = source.eights;
  const int warp_row = warp / kWarpsAcross * 16 * kWarpTiles, warp_query = warp % kWarpsAcross * 8 * kWarpTiles;
  const int64_t first_row = group.rows.begin + static_cast<int64_t>(blockIdx.x) * kBlockTile;
  const int64_t first_query = static_cast<int64_t>(blockIdx.y) * kBlockTile;
  const float units = static_cast<float>(8 * all) * 4.76837158203125e-7f;
  if (thread < kBlockTile) bound[thread] = bound_of(group, first_query + thread, units);
  source.fill(table);

  // Of each filling the thread has an eight of this row and of this query.
  int64_t row[kFills], query[kFills];
  typename Eights::Row at[kFills];
  typename Eights::Part part[kFills] = {};
  uint4 loaded[kFills];
  float square[kFills] = {};
  EMB_UNROLL for (int i = 0; i < kFills; ++i) {
    row[i] = first_row + (i * kBlock + thread) / kEights;
    query[i] = first_query + (i * kBlock + thread) / kEights;
    if (row[i] >= group.rows.end) row[i] = group.rows.end - 1;  // its products nominate nothing
    at[i] = source.at(row[i]);
  }
  const auto load = [&](int e) {
    EMB_UNROLL for (int i = 0; i < kFills; ++i) {
      loaded[i] = {};
      if (e < all) part[i] = source.part(row[i], e);
      if (e < all && query[i] < group.count) loaded[i] = rounded_queries[query[i] * all + e];
    }
  };
  const auto store = [&](int e, int buffer) {
    EMB_UNROLL for (int i = 0; i < kFills; ++i) {
      rows[buffer][i * kBlock + thread] = e < all ? source.round(part[i], at[i], table, e, square[i]) : uint4{};
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
    // A lane multiplies eight neighbours of 32 columns: their order is free where both matrices have the same.
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
    const float total = sum_of_four(square[i]);
    if (lane % 4 != 0) continue;
    const int row = (i * kBlock + thread) / kEights;
    length[row] = in_range(total) ? __builtin_sqrtf(total) : __builtin_nanf("");
    half[row] = group.metric == Metric::l2 ? 0.5f * (1.0f - units) * total : 0.0f;
  }
  __syncthreads();
  EMB_UNROLL for (int i = 0; i < kWarpTiles; ++i) {
    const auto row_of = [&](int k) { return warp_row + 16 * i + lane / 4 + k / 2 % 2 * 8; };
    const auto query_of = [&](int k) { return warp_query + k / 4 * 8 + lane % 4 * 2 + k % 2; };
    uint32_t nominated = 0;
    EMB_UNROLL for (int k = 0; k < 4 * kWarpTiles; ++k) {
      const int row = row_of(k);
      const QueryBound b = bound[query_of(k)];
      const bool low = __builtin_fmaf(b.lift, length[row], sum[i][k / 4][k % 4]) < b.need + half[row];
      nominated |= (low ? 0u : 1u) << k;
    }
    EMB_ROLLED for (; nominated; nominated &= nominated - 1) {
      const int k = __ffs(static_cast<int>(nominated)) - 1;
      const int64_t row = first_row + row_of(k), query = first_query + query_of(k);
      if (query >= group.count || !group.allowed(row)) continue;
      group.added[query * group.capacity + atomicAdd(&group.added_count[query], 1u)] = static_cast<uint64_t>(row);
    }
  }
}

// Half a warp a nominee, whose key takes its place, in the order of the contract. Keys below the floor do no harm:
// keep_best_rows has k better ones.
template <class Source>
__global__ void score_nominees(Source source, Group group, Call call) {
  const int64_t query = blockIdx.y, count = group.added_count[query],
                step = static_cast<int64_t>(gridDim.x) * kBlock / 16;
  uint64_t* added = group.added + query * group.capacity;
  const float* q = group.queries + query * group.d;
  const unsigned mask = half_warp();
  EMB_ROLLED for (int64_t i = thread_number() / 16; i < count; i += step) {
    const int64_t row = static_cast<int64_t>(added[i]);
    float sum = 0.0f, square = 0.0f, poison = 0.0f;
    EMB_ROLLED for (int64_t first = threadIdx.x % 16; first < group.d; first += 64) {
      float x[4];  // loaded before they are added up
      EMB_UNROLL for (int k = 0; k < 4; ++k) x[k] = first + 16 * k < group.d ? source.value(row, first + 16 * k) : 0.0f;
      EMB_UNROLL for (int k = 0; k < 4; ++k) {
        const int64_t j = first + 16 * k;
        if (j >= group.d) continue;
        sum += group.metric == Metric::l2 ? term<Metric::l2>(q[j], x[k]) : term<Metric::ip>(q[j], x[k]);
        square += x[k] * x[k];
        if (Source::kMayBeBad) poison += x[k] - x[k];
      }
    }
    if (Source::kMayBeBad && poison != 0.0f) refuse(call, row);
    sum = sum16(sum, mask);
    square = sum16(square, mask);
    const float score = finish_score(sum, group.metric, __builtin_sqrtf(group.squares[query]), __builtin_sqrtf(square));
    __syncwarp(mask);  // all have read the row
    if (threadIdx.x % 16 == 0) added[i] = order_key(comparable(score), row);
  }
}

constexpr int kNominators = 4;  // blocks of a query that score its nominees

template <class Eights>
void launch_nominate(const Eights& source, const uint4* queries, const Group& group, const Call& call) {
  const dim3 tiles(blocks_for(group.rows.end - group.rows.begin, kBlockTile), blocks_for(group.count, kBlockTile));
  EMB_LAUNCH((nominate_rows<Eights>), tiles, kBlock, 0, call.stream, source, queries, group);
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
  __device__ Part part(int64_t row, int e) const {
    GlobalRow read = {};
    if constexpr (Source::kStaged) read = {source.codes().data + row * source.codes().stride, bytes_of(source)};
    return source.raw(read, row, 8 * e, count(e));
  }
  __device__ uint4 round(const Part& part, const Row& at, const float* table, int e, float& square) const {
    float x[8];
    if (count(e) == 8 && source.aligned())
      source.template decode<true>(part, at, table, 8 * e, 8, x);
    else
      source.template decode<false>(part, at, table, 8 * e, count(e), x);
    uint32_t words[4];
    EMB_UNROLL for (int i = 0; i < 4; ++i) {
      float v[2];
      EMB_UNROLL for (int j = 0; j < 2; ++j) {
        v[j] = 2 * i + j < count(e) ? x[2 * i + j] : 0.0f;
        square += v[j] * v[j];
      }
      words[i] = take_two(v);
    }
    return {words[0], words[1], words[2], words[3]};
  }
};

// The search over what `source` decodes; search_rows says what it returns.
template <class Source>
int64_t search_source(const Source& source, int64_t n, const Search& search, const Call& call) {
  const int64_t eights = (search.d + 7) / 8;
  const bool many = search.nq >= kTensorQueries;
  const int64_t own = many ? (16 * eights * search.nq + 255) / 256 * 256 : 0;
  uint4* queries = reinterpret_cast<uint4*>(call.scratch);
  Call rest = call;
  if (call.scratch && many) {
    rest.scratch = call.scratch + own;
    launch_round(search.queries, search.nq, search.d, queries, call);
  }
  const int64_t needed = search_rows(n, search, rest, [&](const Group& group) {
    if (group.count == 1) {
      launch_scores<Source, 1>(source, group, call);
    } else if (group.count < kTensorQueries || group.rows.begin == 0) {  // no floor yet
      launch_scores<Source, kFewQueries>(source, group, call);
    } else {
      launch_nominate(Decoded<Source>{source, search.d, static_cast<int>(eights)}, queries + group.first * eights,
                      group, call);
      const dim3 nominees(kNominators, static_cast<unsigned>(group.count));
      EMB_LAUNCH((score_nominees<Source>), nominees, kBlock, 0, call.stream, source, group, call);
      check(cudaGetLastError());
    }
  });
  return needed ? needed + own : 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
