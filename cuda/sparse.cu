// Sparse codes: the k values of largest magnitude of a row, by ascending index; and the scan of such rows.
#include "scan.cuh"
#include "select.cuh"
#include "warp_rows.cuh"

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

// A row in the registers of a warp. As values of four neighbours of a lane, 128 of the row, are counted together, a
// byte has room for how many of them reach a bound, in a lane and in all lanes.
template <int COUNT>
struct Tally {
  static constexpr int kWords = (COUNT + 15) / 16;
  uint32_t words[kWords] = {};

  __device__ void count(int i) { words[i / 16] += 1u << (i / 4 % 4 * 8); }
  __device__ uint32_t of(int i) const { return words[i / 16] >> (i / 4 % 4 * 8) & 255u; }
  __device__ uint32_t all() const {
    uint32_t sum = 0;
    EMB_UNROLL for (int w = 0; w < kWords; ++w) sum += words[w];
    return __reduce_add_sync(kAllLanes, sum * 0x01010101u >> 24);
  }
};

// What reaches a bound. Bounds are the bits of magnitudes, which are in the same order.
template <int COUNT>
__device__ inline Tally<COUNT> reached(const float (&v)[COUNT], uint32_t bound) {
  Tally<COUNT> tally;
  const float least = f32_from_bits(bound);
  EMB_UNROLL for (int i = 0; i < COUNT; ++i) if (__builtin_fabsf(v[i]) >= least) tally.count(i);
  return tally;
}

// What reaches `low`, at least the k largest; fewer reach `high`.
struct Bounds {
  uint32_t low, high, reach_low;
};

// Bounds that about k values reach the lower of, and which do.
template <int COUNT>
__device__ inline Bounds bound(const float (&v)[COUNT], uint32_t k, Tally<COUNT>& tally) {
  constexpr uint32_t kSpare = 32;
  float most = 0.0f;
  EMB_UNROLL for (int i = 0; i < COUNT; ++i) most = __builtin_fmaxf(most, __builtin_fabsf(v[i]));
  Bounds b = {0, __reduce_max_sync(kAllLanes, bits_of_f32(most)) + 1, 32 * COUNT};
  EMB_UNROLL for (int i = 0; i < COUNT; ++i) tally.count(i);
  uint32_t probe = __reduce_min_sync(kAllLanes, bits_of_f32(most));  // which 32 values reach, one of each lane
  uint32_t step = 1u << 23;                                          // a factor of 2
  int shift = 2;                                                     // towards larger values there are fewer and fewer
  EMB_ROLLED while (b.reach_low > k + kSpare && b.high - b.low > 1) {
    probe = probe > b.low ? probe < b.high ? probe : b.high - 1 : b.low + 1;
    const Tally<COUNT> trial = reached(v, probe);
    const uint32_t reach = trial.all();
    if (reach >= k) {
      b.low = probe;
      b.reach_low = reach;
      tally = trial;
    } else {
      b.high = probe;
    }
    if (b.low) {
      probe = b.low + ((b.high - b.low) >> shift);
      shift = 1;
    } else {
      probe = b.high > step ? b.high - step : 1;
      step *= 2;
    }
  }
  return b;
}

// What may be among the largest, by ascending index.
struct Candidates {
  float* values;
  uint32_t* indices;
};
template <int COUNT>
__device__ inline void gather(const float (&v)[COUNT], uint32_t bound, const Tally<COUNT>& tally, const Candidates& c) {
  const unsigned lane = threadIdx.x % 32;
  const float least = f32_from_bits(bound);
  Tally<COUNT> upto = tally, all;  // of the lanes up to this one
  EMB_UNROLL for (unsigned step = 1; step < 32; step *= 2) {
    EMB_UNROLL for (uint32_t& word : upto.words) {
      const uint32_t before = __shfl_sync(kAllLanes, word, lane - step);
      word += lane >= step ? before : 0;
    }
  }
  EMB_UNROLL for (int w = 0; w < Tally<COUNT>::kWords; ++w) all.words[w] = __shfl_sync(kAllLanes, upto.words[w], 31);
  uint32_t first = 0;
  EMB_UNROLL for (int i = 0; i < COUNT; i += 4) {
    uint32_t at = first + upto.of(i) - tally.of(i);
    EMB_UNROLL for (int j = i; j < i + 4; ++j) {
      const bool is_one = __builtin_fabsf(v[j]) >= least;
      if (is_one) {
        c.values[at] = v[j];
        c.indices[at] = 32 * i + 4 * lane + j - i;
      }
      at += is_one ? 1 : 0;
    }
    first += all.of(i);
  }
}

// The k largest of the candidates, of equal ones those of lower indices.
__device__ inline void choose(const Candidates& c, Bounds b, uint32_t k, uint16_t* indices, float* values) {
  const uint32_t lane = threadIdx.x % 32, count = b.reach_low;
  const auto magnitude = [&](uint32_t e) { return e < count ? bits_of_f32(c.values[e]) & 0x7fffffffu : 0; };
  const uint32_t mine[2] = {magnitude(lane), magnitude(lane + 32)};  // more there are seldom
  const auto reach = [&](uint32_t bound) {
    uint32_t n = (mine[0] >= bound ? 1 : 0) + (mine[1] >= bound ? 1 : 0);
    EMB_ROLLED for (uint32_t e = lane + 64; e < count; e += 32) n += magnitude(e) >= bound ? 1 : 0;
    return __reduce_add_sync(kAllLanes, n);
  };
  EMB_ROLLED while (b.reach_low != k && b.high - b.low > 1) {
    const uint32_t probe = b.low + (b.high - b.low) / 2, n = reach(probe);
    if (n >= k) {
      b.low = probe;
      b.reach_low = n;
    } else {
      b.high = probe;
    }
  }
  uint32_t certain = b.low, equals = 0;  // what reaches the one, and so many of those that only reach b.low
  if (b.reach_low != k) {
    certain = b.high;
    equals = k - reach(certain);
  }
  const uint32_t before = (1u << lane) - 1u;
  uint32_t written = 0, seen = 0;
  EMB_ROLLED for (uint32_t first = 0; first < count; first += 32) {
    const uint32_t e = first + lane;
    const bool there = e < count;
    const uint32_t bits = magnitude(e);
    const bool equal = there && bits < certain && bits >= b.low;
    const uint32_t equal_votes = __ballot_sync(kAllLanes, equal);
    const bool chosen =
        there && (bits >= certain || (equal && seen + static_cast<uint32_t>(__popc(equal_votes & before)) < equals));
    const uint32_t votes = __ballot_sync(kAllLanes, chosen);
    const uint32_t at = written + static_cast<uint32_t>(__popc(votes & before));
    if (chosen && at < k) {  // of a row with a NaN any number may be chosen
      indices[at] = static_cast<uint16_t>(c.indices[e]);
      values[at] = c.values[e];
    }
    written += static_cast<uint32_t>(__popc(votes));
    seen += static_cast<uint32_t>(__popc(equal_votes));
  }
}

// A warp a row: what is certainly not among the k largest is left aside by all values in registers, the rest is chosen
// from in shared memory.
template <int COUNT>
__global__ void __launch_bounds__(32 * kRowWarps, blocks_at_once(COUNT))
    encode_in_registers(Rows x, bool vectors, uint32_t k, uint16_t* indices, float* values, Call call) {
  EMB_DYN_SHARED(float, memory);
  float* own = memory + threadIdx.x / 32 * (2 * 32 * COUNT);
  const Candidates candidates = {own, reinterpret_cast<uint32_t*>(own + 32 * COUNT)};
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x / 32;
  EMB_ROLLED for (int64_t row = thread_number() / 32; row < x.n; row += step) {
    float v[COUNT];  // zeros behind the row are chosen after those of the row
    load_row<4>(x, vectors, row, 0.0f, candidates.values, v);
    if (!are_finite(v)) refuse(call, row);
    Tally<COUNT> tally;
    const Bounds b = bound(v, k, tally);
    gather(v, b.low, tally, candidates);
    __syncwarp(kAllLanes);
    choose(candidates, b, k, indices + row * k, values + row * k);
    __syncwarp(kAllLanes);
  }
}

// Whether there is a kernel for rows of this size.
template <int COUNT = 8>
bool encode_in_registers(const Rows& x, int64_t k, const SparseOut& out, const Call& call) {
  if (x.d <= 32 * COUNT) {
    constexpr size_t kEach = 32 * COUNT * (sizeof(float) + sizeof(uint32_t));
    const unsigned warps = row_warps(0, kEach);
    EMB_LAUNCH((encode_in_registers<COUNT>), row_blocks(x.n, warps), 32 * warps, warps * kEach, call.stream, x,
               are_vectors<4>(x), static_cast<uint32_t>(k), static_cast<uint16_t*>(out.indices), out.values, call);
    check(cudaGetLastError());
    return true;
  }
  if constexpr (COUNT < 32) return encode_in_registers<COUNT + 8>(x, k, out, call);
  if constexpr (COUNT >= 32 && COUNT < 64) return encode_in_registers<COUNT + 16>(x, k, out, call);
  return false;
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
  if (d % 4 == 0 && aligned<float4>(out))
    for (int64_t j = lane; j < d / 4; j += 32) reinterpret_cast<float4*>(out + row * d)[j] = {0.0f, 0.0f, 0.0f, 0.0f};
  else
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
  if (x.n == 0 || encode_in_registers(x, k, out, call)) return 0;
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
