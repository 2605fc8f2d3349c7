// The nearest of 256 codewords of few dimensions, by tensor cores. With codeword 0 as the origin, that of a row x has
// the least score |c|^2 / 2 - x c: the product of two rows of bfloat16,
//   x_hi     x_hi     x_mid    1 1 1,
//   -c_hi    -c_mid   -c_hi    |c|^2 / 2 in three parts.
// Of the scores only the least of each group of 8 codewords is kept, and it nominates the group; then float32 chooses
// within it as nearest.cuh does. Where another group is closer than errors could tell, float32 goes through all
// codewords, and float64 where that is not certain either. So the result is that of nearest.cuh.
#pragma once
#include "nearest.cuh"
#include "rounding.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kTensorCodewords = 256, kTiles = kTensorCodewords / 8;  // 8 codewords are a tile
constexpr int kLeastDimensions = 4, kMostDimensions = 16;             // below 4 few rows are certain
constexpr int kEvery = 4, kGroup = kTiles / kEvery;                   // a group: one column of tiles i, i + kEvery, ...
constexpr int kTensorWarps = 4, kWarpRows = 32;  // rows of a warp at a time: each of its codewords serves 32
constexpr int kRounds = 16;                      // for which a block keeps the codewords that it has converted

// Products of 16 columns each: parts of EIGHTS times 8 dimensions, and 8 columns for |c|^2 / 2.
template <int EIGHTS>
constexpr int kProducts = (3 * EIGHTS + 2) / 2;

// Word t of eight columns (numbered by `eight`) of a codeword, where the lane that multiplies it finds it.
template <int EIGHTS>
__device__ inline void store_columns(uint2* fragments, int codeword, int eight, int t, uint32_t word) {
  uint2& place = fragments[(codeword / 8 * kProducts<EIGHTS> + eight / 2) * 32 + codeword % 8 * 4 + t];
  (eight % 2 ? place.y : place.x) = word;
}

template <int EIGHTS>
__device__ inline void convert_codeword(const Assignment& a, int64_t s, int number, uint2* fragments) {
  const float* origin = a.codebooks + s * kTensorCodewords * a.d;
  const float* codeword = origin + number * a.d;
  float square[2] = {};
  EMB_UNROLL for (int i = 0; i < 4 * EIGHTS; ++i) {
    float v[2];
    EMB_UNROLL for (int j = 0; j < 2; ++j) {
      v[j] = 2 * i + j < a.d ? origin[2 * i + j] - codeword[2 * i + j] : 0.0f;
      square[0] += v[j] * v[j];
    }
    const uint32_t hi = take_two(v), mid = take_two(v);
    store_columns<EIGHTS>(fragments, number, i / 4, i % 4, hi);
    store_columns<EIGHTS>(fragments, number, EIGHTS + i / 4, i % 4, mid);
    store_columns<EIGHTS>(fragments, number, 2 * EIGHTS + i / 4, i % 4, hi);
  }
  square[0] *= 0.5f;
  const uint32_t hi = take_bf16(square[0]), mid = take_bf16(square[0]), lo = take_bf16(square[0]);
  EMB_UNROLL for (int eight = 3 * EIGHTS; eight < 2 * kProducts<EIGHTS>; ++eight)
      EMB_UNROLL for (int t = 0; t < 4; ++t) {
    const bool first = eight == 3 * EIGHTS;
    store_columns<EIGHTS>(fragments, number, eight, t, first && t == 0 ? hi | mid << 16 : first && t == 1 ? lo : 0);
  }
}

// What a lane has of the warp's rows group, group + 8, ... for group = lane / 4: dimensions 2 t and 2 t + 1, for
// t = lane % 4, of each eight.
template <int EIGHTS>
struct WarpRows {
  float x[kWarpRows / 8][EIGHTS][2];
  float square[kWarpRows / 8];  // squared lengths from codeword 0
  uint32_t parts[kWarpRows / 16][kProducts<EIGHTS>][4];

  __device__ void load(const Assignment& a, int64_t s, int64_t first_row, const Call& call) {
    if (a.x.dtype == Dtype::f32)  // so that loads follow each other without a branch between them
      read(a, s, first_row, [&](int64_t row, int64_t j) {
        return *reinterpret_cast<const float*>(a.x.data + row * a.x.row_stride + j * a.x.col_stride);
      });
    else
      read(a, s, first_row, [&](int64_t row, int64_t j) { return element(a.x, row, j); });
    const int group = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    const float* origin = a.codebooks + s * kTensorCodewords * a.d;
    EMB_UNROLL for (int r = 0; r < kWarpRows / 8; ++r) {
      square[r] = 0.0f;
      float poison = 0.0f;  // as in all_finite
      EMB_UNROLL for (int e = 0; e < EIGHTS; ++e) {
        float v[2];
        EMB_UNROLL for (int j = 0; j < 2; ++j) {
          const int i = 8 * e + 2 * t + j;
          poison += x[r][e][j] - x[r][e][j];
          v[j] = i < a.d ? x[r][e][j] - origin[i] : 0.0f;
          square[r] += v[j] * v[j];
        }
        const uint32_t hi = take_two(v);
        columns(r, e) = columns(r, EIGHTS + e) = hi;
        columns(r, 2 * EIGHTS + e) = take_two(v);
      }
      if (!(poison == 0.0f)) refuse(call, first_row + 8 * r + group);
      const uint32_t ones = t == 0 ? 0x3f803f80u : t == 1 ? 0x3f80u : 0;
      EMB_UNROLL for (int eight = 3 * EIGHTS; eight < 2 * kProducts<EIGHTS>; ++eight) columns(r, eight) =
          eight == 3 * EIGHTS ? ones : 0;
      square[r] = sum_of_four(square[r]);
    }
  }
  template <class Value>
  __device__ void read(const Assignment& a, int64_t s, int64_t first_row, const Value& value) {
    const int group = static_cast<int>(threadIdx.x) % 32 / 4, t = static_cast<int>(threadIdx.x) % 4;
    EMB_UNROLL for (int k = 0; k < kWarpRows / 4 * EIGHTS; ++k) {
      const int r = k / (2 * EIGHTS), e = k / 2 % EIGHTS, i = 8 * e + 2 * t + k % 2;
      const int64_t row = first_row + 8 * r + group;
      x[r][e][k % 2] = row < a.x.n && i < a.d ? value(row, s * a.d + i) : 0.0f;
    }
  }
  __device__ uint32_t& columns(int r, int eight) { return parts[r / 2][eight / 2][r % 2 + eight % 2 * 2]; }
};

// The group of least score, by its first codeword, and the least score of others. All lanes of a row have the same.
template <int EIGHTS>
__device__ inline void nominate(const WarpRows<EIGHTS>& rows, const uint2* fragments, Best (&best)[kWarpRows / 8]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float infinity = __builtin_inff();
  float least[kWarpRows / 8][kEvery][2];
  EMB_UNROLL for (int i = 0; i < kWarpRows * kEvery / 4; ++i) least[i / 2 / kEvery][i / 2 % kEvery][i % 2] = infinity;
  __syncwarp(kAllLanes);  // a warp multiplies as one
  EMB_ROLLED for (int tile = 0; tile < kTiles; tile += kEvery) {
    EMB_UNROLL for (int g = 0; g < kEvery; ++g) {
      float score[kWarpRows / 16][4] = {};
      EMB_UNROLL for (int p = 0; p < kProducts<EIGHTS>; ++p) {
        const uint2 two = fragments[((tile + g) * kProducts<EIGHTS> + p) * 32 + lane];
        const uint32_t codewords[2] = {two.x, two.y};
        EMB_UNROLL for (int h = 0; h < kWarpRows / 16; ++h) mma_m16n8k16(score[h], rows.parts[h][p], codewords);
      }
      EMB_UNROLL for (int i = 0; i < kWarpRows / 4; ++i) {  // NaN, of a codeword beyond all range, is not the least
        float& to = least[i / 2][g][i % 2];
        to = __builtin_fminf(to, score[i / 4][i % 4]);
      }
    }
  }
  EMB_UNROLL for (int r = 0; r < kWarpRows / 8; ++r) {
    best[r] = {infinity, infinity, 0};
    EMB_UNROLL for (int i = 0; i < 2 * kEvery; ++i) best[r].offer(least[r][i / 2][i % 2],
                                                                  8 * (i / 2) + 2 * (lane % 4) + i % 2);
    best[r].merge(shuffled(best[r], kAllLanes, 1));
    best[r].merge(shuffled(best[r], kAllLanes, 2));
  }
}

// Whether the nearest codeword is in the group of least score. `square` is |x|^2. Of the true nearest and of the
// nominee |c| <= 2 |x|, as codeword 0 has distance |x| and score 0 without error. Their scores lack products below
// 3 2^-16 |x| |c|, and summing C columns, each term cut off at 2^-23 of the largest, loses below
// C 2^-22 (|x| |c| + |c|^2 / 2): twice both are (12 + C / 8) 2^-16 |x|^2, the differences from codeword 0 and |c|^2 far
// less than one unit more. Within the limits nothing overflows and what underflows is less than that.
template <int EIGHTS>
__device__ inline bool separated(const Best& best, float square) {
  constexpr float kError = (13 + 2 * kProducts<EIGHTS>)*1.52587890625e-5f;
  return square > 1e-30f && square < 1e36f && best.distance + kError * square < best.second;
}

// By the warp, for one row.
__device__ inline int32_t nearest_of_all(const Assignment& a, int64_t s, int64_t row) {
  Best best = {__builtin_inff(), __builtin_inff(), 0};
  EMB_ROLLED for (int j = static_cast<int>(threadIdx.x) % 32; j < kTensorCodewords; j += 32) {
    const float* codeword = a.codebooks + (s * kTensorCodewords + j) * a.d;
    float sum = 0.0f;
    EMB_ROLLED for (int64_t i = 0; i < a.d; ++i) {
      const float t = element(a.x, row, s * a.d + i) - codeword[i];
      sum = __builtin_fmaf(t, t, sum);
    }
    best.offer(sum, j);
  }
  EMB_UNROLL for (int width = 16; width > 0; width /= 2) best.merge(shuffled(best, kAllLanes, width));
  return best.certain(a.d) ? best.id : nearest_by_double<32>(a, s, row, kAllLanes);
}

template <int EIGHTS>
__device__ inline void assign_warp(const Assignment& a, int64_t s, int64_t first_row, const uint2* fragments,
                                   const Call& call) {
  const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, t = lane % 4;
  WarpRows<EIGHTS> rows;
  rows.load(a, s, first_row, call);
  Best nominee[kWarpRows / 8];
  nominate<EIGHTS>(rows, fragments, nominee);
  EMB_UNROLL for (int r = 0; r < kWarpRows / 8; ++r) {
    Best best = {__builtin_inff(), __builtin_inff(), 0};
    EMB_UNROLL for (int i = 0; i < kGroup; ++i) {
      const int32_t id = nominee[r].id + 8 * kEvery * i;
      const float* codeword = a.codebooks + (s * kTensorCodewords + id) * a.d;
      float sum = 0.0f;
      EMB_UNROLL for (int j = 0; j < 2 * EIGHTS; ++j) {
        const int at = j / 2 * 8 + 2 * t + j % 2;
        const float difference = at < a.d ? rows.x[r][j / 2][j % 2] - codeword[at] : 0.0f;
        sum = __builtin_fmaf(difference, difference, sum);
      }
      best.offer(sum_of_four(sum), id);
    }
    const bool certain = separated<EIGHTS>(nominee[r], rows.square[r]) && best.certain(a.d);
    uint32_t left = __ballot_sync(kAllLanes, t == 0 && !certain && first_row + 8 * r + group < a.x.n);
    EMB_ROLLED for (; left; left &= left - 1) {
      const int other = (__ffs(static_cast<int>(left)) - 1) / 4;
      const int32_t id = nearest_of_all(a, s, first_row + 8 * r + other);
      if (other == group) best.id = id;
    }
    if (t == 0) store_unit(a, first_row + 8 * r + group, s, best.id);
  }
}

template <int EIGHTS>
__global__ void assign_rows_by_tensor_cores(Assignment a, Call call) {
  EMB_SHARED(uint2, fragments, [kTiles * kProducts<EIGHTS> * 32]);
  const int64_t s = blockIdx.x, step = static_cast<int64_t>(gridDim.y) * kTensorWarps * kWarpRows;
  for (int i = static_cast<int>(threadIdx.x); i < kTensorCodewords; i += 32 * kTensorWarps)
    convert_codeword<EIGHTS>(a, s, i, fragments);
  __syncthreads();
  int64_t row = (static_cast<int64_t>(blockIdx.y) * kTensorWarps + threadIdx.x / 32) * kWarpRows;
  EMB_ROLLED for (; row < a.x.n; row += step) assign_warp<EIGHTS>(a, s, row, fragments, call);
}

// Blocks of all subspaces of some rows run together, so that their rows and codes are read and written while in the
// cache.
template <int EIGHTS>
void launch_tensor_cores(const Assignment& a, const Call& call) {
  const unsigned blocks = blocks_for(a.x.n, kTensorWarps * kWarpRows * kRounds);
  const dim3 grid(static_cast<unsigned>(a.m), blocks < 65535 ? blocks : 65535);
  EMB_LAUNCH((assign_rows_by_tensor_cores<EIGHTS>), grid, 32 * kTensorWarps, 0, call.stream, a, call);
  check(cudaGetLastError());
}

// A unit of the output for each codebook.
inline int64_t launch_nearest(const Assignment& a, const Call& call) {
  if (a.k != kTensorCodewords || a.d < kLeastDimensions || a.d > kMostDimensions) return launch_assign<1>(a, call);
  if (a.x.n == 0) return 0;
  if (a.d <= 8)
    launch_tensor_cores<1>(a, call);
  else
    launch_tensor_cores<2>(a, call);
  return 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
