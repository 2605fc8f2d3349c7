#include "select.cuh"
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int64_t kBudget = int64_t{256} << 20;  // bytes of candidates
constexpr int64_t kFirstRows = 1024;             // the first chunk, which has no floor: all of it are candidates
constexpr int64_t kGrowth = 32;                  // of a chunk, to the next

__global__ void query_lengths(const float* queries, int64_t nq, int64_t d, float* squares) {
  const int64_t query = thread_number() / 16;
  if (query >= nq) return;
  float sum = 0.0f;
  for (int64_t j = threadIdx.x % 16; j < d; j += 16) sum += queries[query * d + j] * queries[query * d + j];
  sum = sum16(sum, half_warp());
  if (threadIdx.x % 16 == 0) squares[query] = sum;
}

struct Kept {
  const uint64_t *best, *added;
  uint32_t count;  // of the best
  __device__ uint64_t operator()(int64_t i) const { return i < count ? best[i] : added[i - count]; }
};

// A key that exactly k of the keys reach, where each thread of the block has one, 0 for none.
__device__ inline uint64_t kth_of_few(uint64_t key, int64_t count, int64_t k) {
  EMB_SHARED(uint64_t, keys, [kBlock]);
  EMB_SHARED(uint64_t, found, [1]);
  keys[threadIdx.x] = key;
  __syncthreads();
  int64_t above = 0;
  EMB_ROLLED for (int64_t i = 0; i < count; ++i) above += keys[i] > key ? 1 : 0;
  if (static_cast<int64_t>(threadIdx.x) < count && above == k - 1) *found = key;
  __syncthreads();
  return *found;
}

// A block a query: the k best of the best and what was added go to `next`.
__global__ void keep_best_rows(const uint64_t* best, uint64_t* next, const uint64_t* added, uint32_t* best_count,
                               uint32_t* added_count, uint64_t* floor, int64_t k, int64_t stride, int64_t capacity) {
  EMB_SHARED(uint32_t, kept, [1]);
  const int64_t query = blockIdx.x;
  const Kept keys = {best + query * stride, added + query * capacity, best_count[query]};
  const int64_t total = keys.count + added_count[query];
  if (threadIdx.x == 0) *kept = 0;
  __syncthreads();
  uint64_t least = 0;  // no floor, as long as there are fewer than k
  if (total >= k)
    least = total <= kBlock ? kth_of_few(threadIdx.x < total ? keys(threadIdx.x) : 0, total, k)
                            : kth_largest(total, k, keys);
  for (int64_t i = threadIdx.x; i < total; i += blockDim.x)
    if (keys(i) >= least) next[query * stride + atomicAdd(kept, 1u)] = keys(i);
  __syncthreads();
  if (threadIdx.x != 0) return;
  best_count[query] = *kept;
  added_count[query] = 0;
  floor[query] = least;
}

// A block a query: the keys in descending order (Batcher's bitonic network over a power of two), then as scores and
// ids.
__global__ void write_best_rows(uint64_t* best, const uint32_t* count, int64_t k, int64_t stride, float* scores,
                                int64_t* ids) {
  const int64_t query = blockIdx.x;
  uint64_t* keys = best + query * stride;
  for (int64_t i = count[query] + threadIdx.x; i < stride; i += blockDim.x) keys[i] = 0;
  for (int64_t length = 2; length <= stride; length *= 2)
    for (int64_t step = length / 2; step > 0; step /= 2) {
      __syncthreads();
      for (int64_t i = threadIdx.x; i < stride; i += blockDim.x) {
        const int64_t other = i ^ step;
        if (other < i) continue;
        const bool descending = (i & length) == 0;
        const uint64_t a = keys[i], b = keys[other];
        if ((a < b) != descending) continue;
        keys[i] = b;
        keys[other] = a;
      }
    }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < k; i += blockDim.x) {
    const bool there = keys[i] != 0;
    scores[query * k + i] = there ? key_score(keys[i]) : -__builtin_inff();
    ids[query * k + i] = there ? key_row(keys[i]) : -1;
  }
}

int64_t aligned_bytes(int64_t bytes) { return (bytes + 255) / 256 * 256; }

template <class T>
T* take(char*& memory, int64_t count) {
  T* p = reinterpret_cast<T*>(memory);
  memory += aligned_bytes(count * static_cast<int64_t>(sizeof(T)));
  return p;
}

}  // namespace

Selection::Selection(int64_t n, const Search& search) : search_(search), n_(n), sorted_(1) {
  while (sorted_ < search.k) sorted_ *= 2;
  const int64_t first = n < kFirstRows ? n : kFirstRows, keys = kBudget / 8;
  most_queries_ = keys / (2 * sorted_ + first);
  if (most_queries_ > search.nq) most_queries_ = search.nq;
  if (most_queries_ > 65535) most_queries_ = 65535;
  if (most_queries_ < 1) most_queries_ = 1;
  capacity_ = keys / most_queries_ - 2 * sorted_;
  if (capacity_ < first) capacity_ = first;
  if (capacity_ > n) capacity_ = n;
  bytes_ = aligned_bytes(4 * search.nq) + 2 * aligned_bytes(8 * most_queries_ * sorted_) +
           aligned_bytes(8 * most_queries_ * capacity_) + aligned_bytes(16 * most_queries_);
}

void Selection::begin(const Call& call) {
  call_ = call;
  char* memory = call.scratch;
  squares_ = take<float>(memory, search_.nq);
  best_ = take<uint64_t>(memory, most_queries_ * sorted_);
  next_best_ = take<uint64_t>(memory, most_queries_ * sorted_);
  added_ = take<uint64_t>(memory, most_queries_ * capacity_);
  floor_ = take<uint64_t>(memory, 2 * most_queries_);  // what is zero at first, in one piece
  best_count_ = reinterpret_cast<uint32_t*>(floor_ + most_queries_);
  added_count_ = best_count_ + most_queries_;
  EMB_LAUNCH((query_lengths), blocks_for(16 * search_.nq, kBlock), kBlock, 0, call.stream, search_.queries, search_.nq,
             search_.d, squares_);
  check(cudaGetLastError());
}

bool Selection::next_queries() {
  first_ += count_;
  if (first_ >= search_.nq) return false;
  count_ = search_.nq - first_ < most_queries_ ? search_.nq - first_ : most_queries_;
  row_ = rows_ = 0;
  check(cudaMemsetAsync(floor_, 0, static_cast<size_t>(16 * most_queries_), static_cast<cudaStream_t>(call_.stream)));
  return true;
}

bool Selection::next_rows() {
  const int64_t before = rows_;
  row_ += before;
  if (row_ >= n_) return false;
  const int64_t enough = search_.k > kFirstRows / 4 ? 4 * search_.k : kFirstRows;
  rows_ = before ? kGrowth * before : enough;
  if (rows_ > capacity_) rows_ = capacity_;
  if (rows_ > n_ - row_) rows_ = n_ - row_;
  return true;
}

Group Selection::group() const {
  return {search_.queries + first_ * search_.d,
          squares_ + first_,
          first_,
          count_,
          search_.d,
          search_.metric,
          search_.mask,
          {row_, row_ + rows_},
          added_,
          added_count_,
          floor_,
          capacity_};
}

void Selection::keep_best() {
  EMB_LAUNCH((keep_best_rows), static_cast<unsigned>(count_), kBlock, 0, call_.stream, best_, next_best_, added_,
             best_count_, added_count_, floor_, search_.k, sorted_, capacity_);
  check(cudaGetLastError());
  uint64_t* best = next_best_;
  next_best_ = best_;
  best_ = best;
}

void Selection::write_best() {
  EMB_LAUNCH((write_best_rows), static_cast<unsigned>(count_), kBlock, 0, call_.stream, best_, best_count_, search_.k,
             sorted_, search_.scores + first_ * search_.k, search_.ids + first_ * search_.k);
  check(cudaGetLastError());
}

}  // namespace cuda
}  // namespace embcodec
