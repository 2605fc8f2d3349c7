// How every scan finds its best rows. Rows are scored in chunks, each larger than the one before; what may be among the
// best of a query is put behind its candidates, of which the k best are kept after each chunk. Keys (cpp/row/order.h)
// are different and totally ordered, so that it does not matter who comes first.
#pragma once
#include "../cpp/row/order.h"
#include "../cpp/row/score.h"
#include "rows.cuh"

namespace embcodec {
namespace cuda {

// What a scoring kernel works on: some queries, a chunk of rows, and where their candidates go.
struct Group {
  const float* queries;  // (count, d)
  const float* squares;  // of their lengths, (count,)
  int64_t first, count;  // of the search's queries
  int64_t d;
  Metric metric;
  const uint8_t* mask;
  Range rows;
  uint64_t* added;        // (count, capacity)
  uint32_t* added_count;  // (count,)
  const uint64_t* floor;  // (count,): keys that are not above cannot be among the best
  int64_t capacity;

  __device__ bool allowed(int64_t row) const { return row < rows.end && (!mask || mask[row]); }
};

// The scratch memory of a search, and the sizes of its groups and chunks.
class Selection {
 public:
  Selection(int64_t n, const Search& search);
  int64_t bytes() const { return bytes_; }
  void begin(const Call& call);  // computes the queries' lengths
  bool next_queries();           // false: all are done
  bool next_rows();              // false: all rows of these queries were scored
  Group group() const;           // to score now
  void keep_best();              // ... and afterwards
  void write_best();             // after the last rows

 private:
  Search search_;
  int64_t n_, most_queries_, capacity_, sorted_, bytes_;
  Call call_ = {};
  int64_t first_ = 0, count_ = 0, row_ = 0, rows_ = 0;
  float* squares_ = nullptr;
  uint64_t *best_ = nullptr, *next_best_ = nullptr, *added_ = nullptr, *floor_ = nullptr;
  uint32_t *best_count_ = nullptr, *added_count_ = nullptr;
};

// score(group) launches a scoring kernel. Returns what the kernels of launch.h return.
template <class Score>
int64_t search_rows(int64_t n, const Search& search, const Call& call, const Score& score) {
  Selection selection(n, search);
  if (search.nq == 0) return 0;
  if (!call.scratch) return selection.bytes();
  for (selection.begin(call); selection.next_queries(); selection.write_best())
    for (; selection.next_rows(); selection.keep_best()) score(selection.group());
  return 0;
}

namespace {

__device__ inline void offer(const Group& group, int64_t query, float score, int64_t row) {
  const uint64_t key = order_key(comparable(score), row);
  if (key <= group.floor[query]) return;
  const uint32_t at = atomicAdd(&group.added_count[query], 1u);
  group.added[query * group.capacity + at] = key;
}

// Half a warp, whose lanes hold the contract's 16 sums: halves added up to one, which every lane receives.
__device__ inline float sum16(float sum, unsigned mask) {
  for (int width = 8; width > 0; width /= 2) sum += __shfl_xor_sync(mask, sum, width);
  return sum;
}
__device__ inline unsigned half_warp() { return 0xffffu << (threadIdx.x % 32 / 16 * 16); }

}  // namespace
}  // namespace cuda
}  // namespace embcodec
