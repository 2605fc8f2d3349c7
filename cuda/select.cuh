// The k-th largest of different 64-bit keys, found by all threads of a block.
#pragma once
#include "../cpp/core.h"
#include "port.cuh"

namespace embcodec {
namespace cuda {
namespace {

// The bin that holds the `wanted`-th largest of what 256 bins count, and how many are wanted of its own; by the first
// warp. A lane takes eight bins, from the highest down.
__device__ inline void find_bin(const uint32_t* bins, uint32_t wanted, uint32_t* found) {
  const unsigned lane = threadIdx.x;
  const int highest = 255 - 8 * static_cast<int>(lane);
  uint32_t mine = 0;
  for (int i = 0; i < 8; ++i) mine += bins[highest - i];
  uint32_t above = 0;  // what the lanes before count
  for (unsigned other = 0; other < 32; ++other) {
    const uint32_t theirs = __shfl_sync(kAllLanes, mine, other);
    above += other < lane ? theirs : 0;
  }
  if (wanted <= above || wanted > above + mine) return;
  int bin = highest;
  for (; above + bins[bin] < wanted; --bin) above += bins[bin];
  found[0] = static_cast<uint32_t>(bin);
  found[1] = wanted - above;
}

// One more in a bin for each lane of the warp that is `there`. Scores share their highest bits, and so often do all
// lanes their bin: one lane counts for them, as atomics on one address would wait for each other.
__device__ inline void count_in_bin(uint32_t* bins, bool there, uint32_t bin) {
  const uint32_t lanes = __ballot_sync(kAllLanes, there);
  if (lanes == 0) return;
  const int first = __ffs(static_cast<int>(lanes)) - 1;
  const uint32_t common = __shfl_sync(kAllLanes, bin, static_cast<unsigned>(first));
  const uint32_t same = __ballot_sync(kAllLanes, there && bin == common);
  if (static_cast<int>(threadIdx.x % 32) == first) atomicAdd(&bins[common], static_cast<uint32_t>(__popc(same)));
  if (there && bin != common) atomicAdd(&bins[bin], 1u);
}

// A key that exactly k of the `count` keys reach, 1 <= k <= count; the same for all threads of the block, which are
// whole warps. key_at(i) is a key.
template <class KeyAt>
__device__ inline uint64_t kth_largest(int64_t count, int64_t k, const KeyAt& key_at) {
  EMB_SHARED(uint32_t, bins, [256]);
  EMB_SHARED(uint32_t, found, [2]);
  uint64_t prefix = 0;  // of the key, as far as it is known
  uint32_t wanted = static_cast<uint32_t>(k);
  for (int shift = 56; shift >= 0; shift -= 8) {
    for (unsigned bin = threadIdx.x; bin < 256; bin += blockDim.x) bins[bin] = 0;
    __syncthreads();
    for (int64_t first = 0; first < count; first += blockDim.x) {
      const int64_t i = first + threadIdx.x;
      const uint64_t key = i < count ? key_at(i) : 0;
      count_in_bin(bins, i < count && (key ^ prefix) >> shift >> 8 == 0, static_cast<uint32_t>(key >> shift & 255));
    }
    __syncthreads();
    if (threadIdx.x < 32) find_bin(bins, wanted, found);
    __syncthreads();
    prefix |= static_cast<uint64_t>(found[0]) << shift;
    wanted = found[1];
    const bool all = bins[found[0]] == wanted;  // whatever follows the prefix
    __syncthreads();
    if (all) break;
  }
  return prefix;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
