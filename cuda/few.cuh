// The nearest of 16 codewords of few dimensions. A thread takes some rows through the codewords of its subspace, and
// eight lanes have eight neighbouring subspaces: one row's 4 bytes of codes. With codeword 0 as the origin, the nearest
// codeword of a row x has the least score |c|^2 / 2 - x c, which float32 computes; where that is not certain, float64
// decides as nearest.cuh has it.
#pragma once
#include "nearest.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kFewCodewords = 16, kFewSubspaces = 8, kFewDimensions = 16;
constexpr int kFewRounds = 16;  // how often a block takes rows

// Rows of a thread at a time, as many as registers hold.
template <int EIGHTS>
constexpr int kFewRows = 4 / EIGHTS;
template <int EIGHTS>
constexpr int kFewBlockRows = kBlock / kFewSubspaces * kFewRows<EIGHTS>;

template <int EIGHTS>
__global__ void __launch_bounds__(kBlock, 2) assign_to_few(Assignment a, int fours, Call call) {
  constexpr int kFours = 2 * EIGHTS, kRows = kFewRows<EIGHTS>;
  // One more in the end of each subspace, so that neighbours have no bank in common.
  EMB_SHARED(float4, codewords, [kFewSubspaces][kFewCodewords * kFours + 1]);
  EMB_SHARED(float, half_squares, [kFewSubspaces][kFewCodewords + 4]);
  const int thread = static_cast<int>(threadIdx.x), q = thread % kFewSubspaces;
  const int64_t first_subspace = static_cast<int64_t>(blockIdx.x) * kFewSubspaces;
  const auto subspace = [&](int64_t i) { return first_subspace + i < a.m ? first_subspace + i : a.m - 1; };
  if (thread < kFewSubspaces * kFewCodewords) {
    const int i = thread / kFewCodewords, c = thread % kFewCodewords;
    const float* of = a.codebooks + subspace(i) * kFewCodewords * a.d;
    float square = 0.0f;
    EMB_UNROLL for (int j = 0; j < 4 * kFours; ++j) {
      const float v = j < a.d ? of[c * a.d + j] - of[j] : 0.0f;
      reinterpret_cast<float*>(codewords[i] + c * kFours)[j] = v;
      square = __builtin_fmaf(v, v, square);
    }
    half_squares[i][c] = 0.5f * square;
  }
  __syncthreads();
  const int64_t s = subspace(q);
  float origin[4 * kFours];
  EMB_UNROLL for (int j = 0; j < 4 * kFours; ++j) origin[j] = j < a.d ? a.codebooks[s * kFewCodewords * a.d + j] : 0.0f;
  // The nearest codeword, and what has the least score, are no longer than 2 |x|, as codeword 0 has score 0. So each of
  // the two scores is off by at most (6 d + 10) 2^-24 |x|^2.
  const float units = 2.2f * static_cast<float>(6 * a.d + 10) * 5.9604645e-8f;

  int64_t block_row = static_cast<int64_t>(blockIdx.y) * kFewBlockRows<EIGHTS>;
  EMB_ROLLED for (; block_row < a.x.n; block_row += static_cast<int64_t>(gridDim.y) * kFewBlockRows<EIGHTS>) {
    // Four lanes' rows side by side, then the next of each.
    const int64_t first_row = block_row + thread / 32 * 4 * kRows + thread % 32 / kFewSubspaces;
    float x[kRows * kFours][4];
    load_fours(a.x, fours, x, [&](int i) {
      const int j = 4 * (i % kFours);
      return Four{start_of(a, s, first_row + 4 * (i / kFours)), j, static_cast<int>(a.d) - j};
    });
    float square[kRows] = {};
    EMB_UNROLL for (int i = 0; i < kRows * kFours * 4; ++i) {
      float& v = x[i / 4][i % 4];
      v -= origin[i % (4 * kFours)];
      square[i / (4 * kFours)] = __builtin_fmaf(v, v, square[i / (4 * kFours)]);
    }
    Best best[kRows];
    EMB_UNROLL for (int r = 0; r < kRows; ++r) best[r] = {__builtin_inff(), __builtin_inff(), 0};
    EMB_UNROLL for (int c = 0; c < kFewCodewords; ++c) {
      float sum[kRows];
      EMB_UNROLL for (int r = 0; r < kRows; ++r) sum[r] = half_squares[q][c];
      EMB_UNROLL for (int i = 0; i < kFours; ++i) {
        const float4 y = codewords[q][c * kFours + i];
        EMB_UNROLL for (int r = 0; r < kRows; ++r) {
          const float* v = x[r * kFours + i];
          sum[r] = __builtin_fmaf(-v[0], y.x, sum[r]);
          sum[r] = __builtin_fmaf(-v[1], y.y, sum[r]);
          sum[r] = __builtin_fmaf(-v[2], y.z, sum[r]);
          sum[r] = __builtin_fmaf(-v[3], y.w, sum[r]);
        }
      }
      EMB_UNROLL for (int r = 0; r < kRows; ++r) best[r].offer(sum[r], c);
    }
    uint32_t ids = 0, left = 0;  // a byte, and a bit, for each row
    EMB_UNROLL for (int r = 0; r < kRows; ++r) {
      ids |= static_cast<uint32_t>(best[r].id) << (8 * r);
      const float limit = best[r].distance + (units * square[r] + 1e-36f);
      const float reach = square[r] < 1e36f ? best[r].second : -__builtin_inff();  // NaN is beyond all range too
      left |= (limit < reach ? 0u : 1u) << r;
    }
    if (first_subspace + q >= a.m) left = 0;
    EMB_ROLLED for (; left; left &= left - 1) {
      const int r = __ffs(static_cast<int>(left)) - 1;
      if (first_row + 4 * r >= a.x.n) continue;
      refuse_unless_finite(a, s, first_row + 4 * r, call);
      const uint32_t id = static_cast<uint32_t>(nearest_by_double<1>(a, s, first_row + 4 * r, 0u));
      ids = (ids & ~(0xffu << (8 * r))) | id << (8 * r);
    }
    if (first_subspace + q >= a.m) ids = 0;
    ids <<= 4 * (q % 2);
    ids |= __shfl_xor_sync(kAllLanes, ids, 1);
    ids = exchange_blocks<8>(ids, 2);
    ids = exchange_blocks<16>(ids, 4);  // now four bytes of row q / 2
    const int64_t row = first_row + 4 * (q / 2), bytes = (a.m + 1) / 2 - first_subspace / 2;
    if (q % 2 == 0 && q / 2 < kRows && row < a.x.n)
      store_word(a.codes.data + row * a.codes.stride + first_subspace / 2, ids,
                 static_cast<int>(bytes < 4 ? bytes : 4));
  }
}

template <int EIGHTS>
void launch_few(const Assignment& a, const Call& call) {
  const unsigned blocks = blocks_for(a.x.n, kFewBlockRows<EIGHTS> * kFewRounds);
  const dim3 grid(blocks_for(a.m, kFewSubspaces), blocks < 65535 ? blocks : 65535);
  EMB_LAUNCH((assign_to_few<EIGHTS>), grid, kBlock, 0, call.stream, a, bytes_of_fours(a.x, a.d), call);
  check(cudaGetLastError());
}

// Two codes of 4 bits to a byte.
inline int64_t launch_nibbles(const Assignment& a, const Call& call) {
  if (a.k != kFewCodewords || a.d > kFewDimensions) return launch_assign<2>(a, call);
  if (a.x.n == 0) return 0;
  if (a.d <= 8)
    launch_few<1>(a, call);
  else
    launch_few<2>(a, call);
  return 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
