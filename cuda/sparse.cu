// Sparse codes: the k values of largest magnitude of a row, by ascending index; and the scan of such rows.
#include "scan.cuh"
#include "select.cuh"

namespace embcodec {
namespace cuda {
namespace {

// Larger key = larger magnitude, of equal ones the lower index.
struct Magnitudes {
  Rows x;
  int64_t row;
  __device__ uint64_t operator()(int64_t j) const {
    const uint32_t magnitude = bits_of_f32(element(x, row, j)) & 0x7fffffffu;
    return static_cast<uint64_t>(magnitude) << 32 | (0xffffffffu - static_cast<uint32_t>(j));
  }
};

// How many threads of the block before this one have `mine` set, and all; two barriers.
__device__ inline uint32_t rank_in_block(bool mine, uint32_t* total) {
  EMB_SHARED(uint32_t, warps, [kBlock / 32]);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const uint32_t votes = __ballot_sync(kAllLanes, mine);
  if (lane == 0) warps[warp] = static_cast<uint32_t>(__popc(votes));
  __syncthreads();
  uint32_t before = static_cast<uint32_t>(__popc(votes & ((1u << lane) - 1u)));
  *total = 0;
  for (unsigned i = 0; i < kBlock / 32; ++i) {
    before += i < warp ? warps[i] : 0;
    *total += warps[i];
  }
  __syncthreads();
  return before;
}

// A block a row.
template <class Index>
__global__ void encode_sparse(Rows x, int64_t k, Index* indices, float* values, Call call) {
  const int64_t row = blockIdx.x;
  const Magnitudes key = {x, row};
  const uint64_t least = kth_largest(x.d, k, key);
  int64_t written = row * k;
  for (int64_t first = 0; first < x.d; first += kBlock) {
    const int64_t j = first + threadIdx.x;
    const bool mine = j < x.d && key(j) >= least;
    uint32_t total;
    const int64_t at = written + rank_in_block(mine, &total);
    written += total;
    if (j >= x.d) continue;
    const float value = element(x, row, j);
    if (!(value - value == 0.0f)) refuse(call, row);
    if (!mine) continue;
    indices[at] = static_cast<Index>(j);
    values[at] = value;
  }
}

template <class Index>
__device__ inline const Index* indices_of(const Sparse& s, int64_t row) {
  return reinterpret_cast<const Index*>(s.indices + row * s.index_stride);
}
__device__ inline const float* values_of(const Sparse& s, int64_t row) {
  return reinterpret_cast<const float*>(s.values + row * s.value_stride);
}

// Whether index e of a row has its place: above the one before it, and below d.
template <class Index>
__device__ inline bool in_order(const Index* indices, int64_t e, int64_t d) {
  return indices[e] < d && (e == 0 || indices[e - 1] < indices[e]);
}

// A warp a row.
template <class Index>
__global__ void decode_sparse(Sparse s, int64_t d, float* out, Call call) {
  const int64_t row = thread_number() / 32;
  if (row >= s.n) return;
  const int64_t lane = threadIdx.x % 32;
  for (int64_t j = lane; j < d; j += 32) out[row * d + j] = 0.0f;
  __syncwarp(kAllLanes);
  const Index* indices = indices_of<Index>(s, row);
  for (int64_t e = lane; e < s.k; e += 32) {
    if (in_order(indices, e, d))
      out[row * d + indices[e]] = values_of(s, row)[e];
    else
      refuse(call, row);
  }
}

// Half a warp a row and up to eight queries; lane l sums entries l, l + 16, ...
template <class Index, int Q>
__global__ void score_sparse(Sparse s, Group group, Call call) {
  const int64_t row = group.rows.begin + thread_number() / 16, query = static_cast<int64_t>(blockIdx.y) * Q;
  if (row >= group.rows.end) return;
  const int64_t lane = threadIdx.x % 16;
  const Index* indices = indices_of<Index>(s, row);
  float sum[Q] = {}, square = 0.0f;
  EMB_ROLLED for (int64_t e = lane; e < s.k; e += 16) {
    if (!in_order(indices, e, group.d)) {
      refuse(call, row);
      continue;
    }
    const float value = values_of(s, row)[e];
    square += value * value;
    EMB_UNROLL for (int q = 0; q < Q; ++q) if (query + q < group.count) sum[q] +=
        group.queries[(query + q) * group.d + indices[e]] * value;
  }
  const unsigned mask = half_warp();
  square = sum16(square, mask);
  float mine = 0.0f;
  EMB_UNROLL for (int q = 0; q < Q; ++q) {
    const float total = sum16(sum[q], mask);
    mine = lane == q ? total : mine;
  }
  const int64_t q = query + lane;
  if (lane < Q && q < group.count && group.allowed(row))
    offer(group, q, finish_sparse_score(mine, group.metric, group.squares[q], square), row);
}

template <class Index>
int64_t search_sparse(const Sparse& s, const Search& search, const Call& call) {
  return search_rows(s.n, search, call, [&](const Group& group) {
    constexpr int kMany = 8;
    const unsigned blocks = blocks_for(16 * (group.rows.end - group.rows.begin), kBlock);
    if (group.count < kMany / 2)
      EMB_LAUNCH((score_sparse<Index, 1>), dim3(blocks, blocks_for(group.count, 1)), kBlock, 0, call.stream, s, group,
                 call);
    else
      EMB_LAUNCH((score_sparse<Index, kMany>), dim3(blocks, blocks_for(group.count, kMany)), kBlock, 0, call.stream, s,
                 group, call);
    check(cudaGetLastError());
  });
}

}  // namespace

int64_t topk_encode(const Rows& x, int64_t k, const SparseOut& out, const Call& call) {
  if (x.n == 0) return 0;
  const unsigned blocks = blocks_for(x.n, 1);
  if (out.wide)
    EMB_LAUNCH((encode_sparse<uint32_t>), blocks, kBlock, 0, call.stream, x, k, static_cast<uint32_t*>(out.indices),
               out.values, call);
  else
    EMB_LAUNCH((encode_sparse<uint16_t>), blocks, kBlock, 0, call.stream, x, k, static_cast<uint16_t*>(out.indices),
               out.values, call);
  check(cudaGetLastError());
  return 0;
}

int64_t topk_decode(const Sparse& s, int64_t d, float* out, const Call& call) {
  if (s.n == 0) return 0;
  if (s.wide)
    EMB_LAUNCH((decode_sparse<uint32_t>), blocks_for(32 * s.n, kBlock), kBlock, 0, call.stream, s, d, out, call);
  else
    EMB_LAUNCH((decode_sparse<uint16_t>), blocks_for(32 * s.n, kBlock), kBlock, 0, call.stream, s, d, out, call);
  check(cudaGetLastError());
  return 0;
}

int64_t sparse_topk(const Sparse& s, const Search& search, const Call& call) {
  return s.wide ? search_sparse<uint32_t>(s, search, call) : search_sparse<uint16_t>(s, search, call);
}

}  // namespace cuda
}  // namespace embcodec
