// The nearest of 256 codewords of few dimensions, by tensor cores. Codewords c and rows x are taken from an origin
// amidst the codewords and scaled by a power of two, so that float16 holds them. A row's scores |x|^2 / 2 + |c|^2 / 2 -
// x c, half the squared distances, are the product of
//   c        |c|^2 / 2 in two parts  with
//   -x       1 1,
// added to |x|^2 / 2. Of the scores only the least of each group of 8 codewords is kept. Groups are nominated whose
// least could be the least of all but for errors, and float32 chooses among their codewords. Where that is not certain,
// float32 goes through all codewords as nearest.cuh does, and float64 where that is not certain either. So the result
// is that of nearest.cuh.
#pragma once
#include "nearest.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kTensorCodewords = 256, kTiles = kTensorCodewords / 16;  // 16 codewords are a tile
constexpr int kLeastDimensions = 4, kMostDimensions = 16;              // below 4 few rows are certain
constexpr int kGroup = 8, kGroupTiles = 4, kClasses = kTiles / kGroupTiles;
constexpr int kGroups = kTensorCodewords / kGroup;
constexpr int kTensorWarps = 4;
constexpr int kColumns = 4;         // of a lane at a time: two of each eight of half the rows of a warp
constexpr int kRounds = 32;         // for which a block keeps the codewords that it has converted, at most:
constexpr int kEnoughBlocks = 256;  // fewer would leave a GPU idle

// Codewords from the origin and scaled; all not a number where float16 has no room for them, and so for no row. Each
// group stands there twice, so that a lane can begin with any of its members.
template <int EIGHTS>
struct Centered {
  float4 codewords[kGroups][2 * kGroup][2 * EIGHTS];
  float half_squares[kGroups][3 * kGroup];  // 8 more than twice, so that neighbours have no bank in common
  float4 origin[2 * EIGHTS];
  float largest[kTensorWarps];
  float scale;

  // By the block; who reads has to wait.
  __device__ void fill(const Assignment& a, int64_t s) {
    const int thread = static_cast<int>(threadIdx.x);
    const float* codebook = a.codebooks + s * kTensorCodewords * a.d;
    const auto origin_of = [&](int64_t i) {
      float sum = 0.0f;
      EMB_UNROLL for (int j = 0; j < 4; ++j) sum += codebook[j * (kTensorCodewords / 4) * a.d + i];
      return 0.25f * sum;
    };
    float most = 0.0f;
    EMB_ROLLED for (int64_t i = 0; i < a.d; ++i) {
      const float o = origin_of(i);
      EMB_ROLLED for (int c = thread; c < kTensorCodewords; c += 32 * kTensorWarps) most =
          __builtin_fmaxf(most, __builtin_fabsf(codebook[c * a.d + i] - o));
    }
    EMB_UNROLL for (int width = 16; width > 0; width /= 2) most =
        __builtin_fmaxf(most, __shfl_xor_sync(kAllLanes, most, width));
    if (thread % 32 == 0) largest[thread / 32] = most;
    __syncthreads();
    EMB_UNROLL for (int i = 0; i < kTensorWarps; ++i) most = __builtin_fmaxf(most, largest[i]);
    const bool fits = most > 1e-30f && most < 1e30f;  // it becomes a number from 1/2 to 1
    const float factor = fits ? f32_from_bits((253u - (bits_of_f32(most) >> 23)) << 23) : __builtin_nanf("");
    EMB_ROLLED for (int c = thread; c < kTensorCodewords; c += 32 * kTensorWarps) {
      float square = 0.0f;
      float4 *at = codewords[c / kGroup][c % kGroup], *again = codewords[c / kGroup][c % kGroup + kGroup];
      EMB_ROLLED for (int i = 0; i < 8 * EIGHTS; ++i) {
        const float o = i < a.d ? origin_of(i) * factor : 0.0f;
        const float v = i < a.d ? __builtin_fmaf(codebook[c * a.d + i], factor, -o) : 0.0f;
        reinterpret_cast<float*>(at)[i] = reinterpret_cast<float*>(again)[i] = v;
        if (c == 0) reinterpret_cast<float*>(origin)[i] = o;
        square = __builtin_fmaf(v, v, square);
      }
      half_squares[c / kGroup][c % kGroup] = half_squares[c / kGroup][c % kGroup + kGroup] = 0.5f * square;
    }
    if (thread == 0) scale = factor;
  }
};

constexpr uint32_t kOnes = 0x3c003c00u;  // two of float16

// Rows of a warp, where the lanes that multiply them find them. Lane 8 i + 4 k + j owns column 8 i + 2 j + k of the
// scores. Halves of columns are exchanged in every other four of them, so that eight lanes have no bank in common.
template <int EIGHTS>
struct Staged {
  uint4 columns[32][2];  // of t in two words: 2 t, 2 t + 1 of the eights, or ones for |c|^2 / 2
  float base[2 * 32];    // |x|^2 / 2 and more of two rows, and the same again: what a lane begins to sum with

  __device__ void store(int column, int four, const float (&x)[4]) {
    const uint32_t low = two_f16(x[0], x[1]), high = two_f16(x[2], x[3]);
    if (EIGHTS == 1) {
      columns[column][four ^ column / 4 % 2] = {low, four == 0 ? kOnes : 0, high, 0};
    } else {
      uint32_t* word = reinterpret_cast<uint32_t*>(&columns[column][(four ^ column / 4) % 2]) + four / 2;
      word[0] = low;
      word[2] = high;
    }
  }
};

// What a lane has of the codewords. With group = lane / 4 row group + 8 h of tile 4 k + j is codeword
// 32 group + 8 k + 2 j + h: a group of codewords, number 4 group + k, is what the lane has of four tiles.
template <int EIGHTS>
struct Tiles {
  uint32_t words[kTiles][4];
  // One eight of dimensions leaves room for |c|^2 / 2 in words; with two, lane t has it of tiles 4 k + t.
  uint32_t squares[EIGHTS == 2 ? kClasses : 1][2];
  int t;

  __device__ void load(const Centered<EIGHTS>& centered) {
    const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4;
    t = lane % 4;
    EMB_UNROLL for (int i = 0; i < 2 * kTiles; ++i) {
      const int tile = i / 2, h = i % 2, of = kClasses * group + tile / kGroupTiles, c = i % kGroup;
      EMB_UNROLL for (int e = 0; e < EIGHTS; ++e) {
        const float* two = reinterpret_cast<const float*>(centered.codewords[of][c]) + 8 * e + 2 * t;
        words[tile][2 * e + h] = two_f16(two[0], two[1]);
      }
      const float square = centered.half_squares[of][c];
      const float high = f32_from_f16(static_cast<uint16_t>(two_f16(square, 0.0f)));
      const uint32_t parts = two_f16(high, square - high);
      if (EIGHTS == 1)
        words[tile][2 + h] = t == 0 ? parts : 0;
      else if (t == tile % kGroupTiles)
        squares[EIGHTS == 2 ? tile / kGroupTiles : 0][h] = parts;
    }
  }

  // The product of a tile with eight rows, and `from`.
  __device__ void multiply(int tile, const uint32_t (&columns)[2], const float (&from)[4], float (&score)[4]) const {
    mma_m16n8k16_f16(score, from, words[tile], columns);
    if (EIGHTS == 2)
      mma_m16n8k8_f16(score, score, squares[EIGHTS == 2 ? tile / kGroupTiles : 0], t == tile % kGroupTiles ? kOnes : 0);
  }
};

__device__ inline uint32_t lesser(uint32_t a, uint32_t b) { return a < b ? a : b; }

// The least scores of the groups, as the bits of floats, all of them positive: of columns 2 t + p of each eight i of
// half the rows as [2 i + p], of groups 4 group + k as [k]. NaN, of a codeword that is none, is not the least.
template <int EIGHTS>
__device__ inline void score_groups(const Tiles<EIGHTS>& tiles, const Staged<EIGHTS>& staged, int half,
                                    uint32_t (&least)[kColumns][kClasses]) {
  const int lane = static_cast<int>(threadIdx.x) % 32, group = lane / 4, t = lane % 4;
  EMB_UNROLL for (int i = 0; i < kColumns / 2; ++i) {
    const uint2 two =
        reinterpret_cast<const uint2*>(&staged.columns[16 * half + 8 * i + group][t / 2 ^ group / 4])[t % 2];
    const uint32_t columns[2] = {two.x, two.y};
    const float4 of = *reinterpret_cast<const float4*>(staged.base + 4 * (8 * half + 4 * i + t));
    const float from[4] = {of.x, of.y, of.z, of.w};
    EMB_UNROLL for (int k = 0; k < kClasses; ++k) {
      EMB_UNROLL for (int j = 0; j < kGroupTiles; ++j) {
        float score[4];
        tiles.multiply(kGroupTiles * k + j, columns, from, score);
        EMB_UNROLL for (int p = 0; p < 2; ++p) {
          const uint32_t first = bits_of_f32(score[p]), second = bits_of_f32(score[2 + p]);
          uint32_t& to = least[2 * i + p][k];
          to = j == 0 ? lesser(first, second) : __vimin3_u32(to, first, second);
        }
      }
    }
  }
}

// Half of a warp's values, those of the half that a lane is of, as the least of two lanes.
template <int COUNT>
__device__ inline void halve(uint32_t (&v)[COUNT], int flip) {
  const bool upper = static_cast<int>(threadIdx.x) & flip;
  EMB_UNROLL for (int i = 0; i < COUNT / 2; ++i) {
    const uint32_t mine = upper ? v[i + COUNT / 2] : v[i], other = upper ? v[i] : v[i + COUNT / 2];
    v[i] = lesser(mine, __shfl_xor_sync(kAllLanes, other, flip));
  }
}

// How far off the scores are, for |x|^2 and least score m, all scaled. Rounding to float16 changes x c by (2^-10 +
// 2^-22) |x| |c|. Summing C <= 25 columns, each term cut off at 2^-23 of the largest, loses below C 2^-22 (|x| + |c|)^2
// / 2; |c|^2 / 2, its parts and what is scaled are less than 2^-18 of that square off. Below 2^-14 float16 is 2^-25
// off, and 16 terms with the other's length lose below 2^-20 (1 + |x|) by it.
//
// What is added to |x|^2 / 2 is more than all that for any |c|, at most 4 as no dimension is above 1. So no score is
// below 0, and the codeword of score m is in truth no farther than D, D^2 = 2 m. Neither is the nearest codeword, and
// both have |c| <= |x| + D. With |x| D <= (|x|^2 + D^2) / 2 either's score is less than `error` off, and the nearest
// one's in float16 below m and twice that.
__device__ inline float base_of(float square) { return __builtin_fmaf(0.5022f, square, 2.41e-3f); }
__device__ inline float error_of(float square, float m) {
  return __builtin_fmaf(1.54e-3f, square, __builtin_fmaf(1.02e-3f, m, 1.6e-6f));
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
__device__ inline void assign_warp(const Assignment& a, int64_t s, int64_t first_row, int fours,
                                   const Centered<EIGHTS>& centered, const Tiles<EIGHTS>& tiles, Staged<EIGHTS>& staged,
                                   const Call& call) {
  constexpr int kFours = 2 * EIGHTS;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto row_of = [&](int of) { return first_row + of / 2 + of % 2 * 16; };
  const int64_t row = row_of(lane);
  // Lanes begin with other members of a group, and with other fours of them: eight lanes have no bank in common.
  const int turn = lane % kGroup / kFours + lane % kFours * (kGroup / kFours);
  const int turn_four = lane % 2 * EIGHTS + (EIGHTS == 2 ? lane / 2 % 2 : 0);
  // A line of memory is read for a pair of lanes: each loads half of both their rows and gives one half away.
  const char* starts[2] = {start_of(a, s, first_row + lane / 2), start_of(a, s, first_row + lane / 2 + 16)};
  float x[kFours][4], square = 0.0f;
  load_fours(a.x, fours, x, [&](int i) {
    const int j = 4 * (i % EIGHTS ^ turn_four);
    return Four{starts[i / EIGHTS], j, static_cast<int>(a.d) - j};
  });
  EMB_UNROLL for (int i = 0; i < 4 * EIGHTS; ++i) {
    float &first = x[i / 4][i % 4], &second = x[EIGHTS + i / 4][i % 4];
    const float given = __shfl_xor_sync(kAllLanes, lane % 2 ? first : second, 1);
    first = lane % 2 ? second : first;
    second = given;
  }
  const int mine = lane / 8 * 8 + lane % 4 * 2 + lane / 4 % 2;
  EMB_UNROLL for (int i = 0; i < kFours; ++i) {
    const float4 o = centered.origin[i ^ turn_four];
    const float origin[4] = {o.x, o.y, o.z, o.w};
    EMB_UNROLL for (int j = 0; j < 4; ++j) {
      x[i][j] = __builtin_fmaf(x[i][j], -centered.scale, origin[j]);
      square = __builtin_fmaf(x[i][j], x[i][j], square);
    }
    staged.store(mine, i ^ turn_four, x[i]);
  }
  const bool in_range = square < 6e4f;  // so that float16 does not overflow
  float* base = staged.base + mine / 2 * 4 + mine % 2;
  base[0] = base[2] = base_of(square);
  __syncwarp(kAllLanes);
  float m = 0.0f;
  uint32_t nominated = 0;  // bit 4 i + k: of the lane's columns i groups k are below the limit
  EMB_ROLLED for (int half = 1; half >= 0; --half) {
    uint32_t least[kColumns][kClasses], of_row[kColumns];
    score_groups(tiles, staged, half, least);
    EMB_UNROLL for (int i = 0; i < kColumns; ++i) of_row[i] =
        lesser(__vimin3_u32(least[i][0], least[i][1], least[i][2]), least[i][3]);
    halve<4>(of_row, 8);
    halve<2>(reinterpret_cast<uint32_t (&)[2]>(of_row), 4);
    const float low = f32_from_bits(lesser(of_row[0], __shfl_xor_sync(kAllLanes, of_row[0], 16)));
    const float limit = __builtin_fmaf(2.0f, error_of(square, low), low);
    m = lane / 16 == half ? low : m;  // the other lanes' rows are of the other half
    EMB_UNROLL for (int i = kColumns - 1; i >= 0; --i) {
      const float of = __shfl_sync(kAllLanes, limit, 16 * half + 4 * i + lane % 4);
      EMB_UNROLL for (int k = kClasses - 1; k >= 0; --k) nominated =
          __funnelshift_l(bits_of_f32(f32_from_bits(least[i][k]) - of), nominated, 1);
    }
  }
  __syncwarp(kAllLanes);  // before the next rows are staged
  nominated = exchange_blocks<16>(nominated, 16);
  nominated = exchange_blocks<8>(nominated, 8);
  nominated = exchange_blocks<4>(nominated, 4);  // and now bit 4 group + k of the lane's own row

  Best best = {__builtin_inff(), __builtin_inff(), 0};
  int group = 0;
  EMB_ROLLED for (; nominated; nominated &= nominated - 1) {
    const int nominee = __ffs(static_cast<int>(nominated)) - 1;
    const float before = best.distance;
    EMB_UNROLL for (int i = 0; i < kGroup; ++i) {
      float sum = centered.half_squares[nominee][turn + i];
      EMB_UNROLL for (int j = 0; j < kFours; ++j) {
        const float4 y = (&centered.codewords[nominee][turn][j ^ turn_four])[kFours * i];
        sum = __builtin_fmaf(x[j][0], y.x, sum);
        sum = __builtin_fmaf(x[j][1], y.y, sum);
        sum = __builtin_fmaf(x[j][2], y.z, sum);
        sum = __builtin_fmaf(x[j][3], y.w, sum);
      }
      best.offer(sum, i);
    }
    group = best.distance < before ? nominee : group;
  }
  int32_t id = kGroup * group + (best.id + turn) % kGroup;
  // Each of the two sums of d products is off by at most (2 d + 4) 2^-24 |c| (|x| + |c| / 2).
  const float units = 2.4f * static_cast<float>(2 * a.d + 4) * 5.9604645e-8f;
  const float error = units * __builtin_fmaf(2.5f, square, 3.0f * m) + 1e-30f;
  const bool certain = in_range && best.distance + error < best.second;
  const bool there = row < a.x.n;
  if (there && !in_range) refuse_unless_finite(a, s, row, call);
  uint32_t left = __ballot_sync(kAllLanes, there && !certain);
  EMB_ROLLED for (; left; left &= left - 1) {
    const int other = __ffs(static_cast<int>(left)) - 1;
    const int32_t of_other = nearest_of_all(a, s, row_of(other));
    if (other == lane) id = of_other;
  }
  store_unit(a, row, s, id);
}

template <int EIGHTS>
__global__ void __launch_bounds__(32 * kTensorWarps, 4 - EIGHTS)
    assign_rows_by_tensor_cores(Assignment a, int fours, Call call) {
  EMB_SHARED(Centered<EIGHTS>, centered, [1]);
  EMB_SHARED(Staged<EIGHTS>, staged, [kTensorWarps]);
  const int64_t s = blockIdx.x, step = static_cast<int64_t>(gridDim.y) * kTensorWarps * 32;
  centered[0].fill(a, s);
  __syncthreads();
  Tiles<EIGHTS> tiles;
  tiles.load(centered[0]);
  int64_t row = (static_cast<int64_t>(blockIdx.y) * kTensorWarps + threadIdx.x / 32) * 32;
  EMB_ROLLED for (; row < a.x.n; row += step)
      assign_warp<EIGHTS>(a, s, row, fours, centered[0], tiles, staged[threadIdx.x / 32], call);
}

// Blocks of all subspaces of some rows run together, so that their rows and codes are read and written while in the
// cache.
template <int EIGHTS>
void launch_tensor_cores(const Assignment& a, const Call& call) {
  constexpr int kRows = 32 * kTensorWarps;
  const unsigned all = blocks_for(a.x.n, kRows), enough = blocks_for(kEnoughBlocks, a.m);
  const unsigned kept = blocks_for(a.x.n, kRows * kRounds), blocks = kept > enough ? kept : all < enough ? all : enough;
  const dim3 grid(static_cast<unsigned>(a.m), blocks < 65535 ? blocks : 65535);
  EMB_LAUNCH((assign_rows_by_tensor_cores<EIGHTS>), grid, 32 * kTensorWarps, 0, call.stream, a,
             bytes_of_fours(a.x, a.d), call);
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
