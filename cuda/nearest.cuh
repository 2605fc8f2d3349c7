// The nearest codeword: a block takes 64 rows through 64 codewords at a time, float32 with fused multiply-add
// nominates, and where the runner-up is closer than rounding could tell, float64 decides. So the result is the nearest
// codeword, ties to the lower id, whatever the data.
#pragma once
#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kSide = 16, kMicro = 4, kTile = kSide * kMicro;  // threads of a side, rows (codewords) of one, of a block
constexpr int kStep = 16;                                      // dimensions at a time
static_assert(kSide * kSide == kBlock, "");

// Codebooks (m, k, d) side by side in a row of x. `ids` takes int32 of the only codebook; `codes` a byte for each, or
// for two of them.
struct Assignment {
  Rows x;
  const float* codebooks;
  int64_t m, k, d;
  int32_t* ids;
  CodesOut codes;
};

struct Best {
  float distance, second;
  int32_t id;

  // Selects: of branches every lane takes both sides. NaN changes nothing.
  __device__ void offer(float other, int32_t other_id) {
    const bool better = other < distance;
    second = __builtin_fminf(second, better ? distance : other);
    distance = better ? other : distance;
    id = better ? other_id : id;
  }
  __device__ void merge(const Best& other) {
    const bool better = other.distance < distance || (other.distance == distance && other.id < id);
    const float worse = better ? distance : other.distance, a = second < other.second ? second : other.second;
    second = worse < a ? worse : a;
    if (!better) return;
    distance = other.distance;
    id = other.id;
  }
  // Each of the two float32 sums of d squares is off by at most (d + 3) 2^-24 of it, or by what underflow takes.
  __device__ bool certain(int64_t d) const {
    const float units = 2.4f * static_cast<float>(d + 5) * 5.9604645e-8f, underflow = static_cast<float>(d) * 2.4e-38f;
    return distance + (units * distance + underflow) < second;
  }
};

__device__ inline Best shuffled(const Best& b, unsigned mask, int width) {
  return {__shfl_xor_sync(mask, b.distance, width), __shfl_xor_sync(mask, b.second, width),
          __shfl_xor_sync(mask, b.id, width)};
}

// Dimensions j .. j + 3 of a row from `start` on, of which `count` are there: less than four, none or fewer.
struct Four {
  const char* start;
  int j, count;
};

// Where subspace s of a row starts, or of the last row for those behind it.
__device__ inline const char* start_of(const Assignment& a, int64_t s, int64_t row) {
  const Rows& x = a.x;
  return x.data + (row < x.n ? row : x.n - 1) * x.row_stride + s * a.d * x.col_stride;
}

// The bytes of a value where every four of every row, from multiples of d on, is one load; else 0.
inline int bytes_of_fours(const Rows& x, int64_t d) {
  const int64_t bytes = x.dtype == Dtype::f32 ? 4 : x.dtype == Dtype::f64 ? 0 : 2;
  if (bytes == 0 || d % 4 || x.col_stride != bytes || x.row_stride % (4 * bytes)) return 0;
  return reinterpret_cast<uintptr_t>(x.data) % static_cast<uintptr_t>(4 * bytes) ? 0 : static_cast<int>(bytes);
}

// Fours of rows, zeros where nothing is there. Loads follow each other without a branch between them.
template <int COUNT, class FourOf>
__device__ inline void load_fours(const Rows& x, int bytes, float (&values)[COUNT][4], const FourOf& four_of) {
  if (bytes == 4) {
    EMB_UNROLL for (int i = 0; i < COUNT; ++i) {
      const Four at = four_of(i);
      float4 v = {};
      if (at.count > 0) v = *reinterpret_cast<const float4*>(at.start + 4 * at.j);
      values[i][0] = v.x, values[i][1] = v.y, values[i][2] = v.z, values[i][3] = v.w;
    }
  } else if (bytes == 2) {
    uint2 halves[COUNT];
    EMB_UNROLL for (int i = 0; i < COUNT; ++i) {
      const Four at = four_of(i);
      halves[i] = {};
      if (at.count > 0) halves[i] = *reinterpret_cast<const uint2*>(at.start + 2 * at.j);
    }
    EMB_UNROLL for (int i = 0; i < 4 * COUNT; ++i) {
      const uint16_t half = static_cast<uint16_t>((i % 4 < 2 ? halves[i / 4].x : halves[i / 4].y) >> (i % 2 * 16));
      values[i / 4][i % 4] = x.dtype == Dtype::bf16 ? f32_from_bf16(half) : f32_from_f16(half);
    }
  } else {
    EMB_UNROLL for (int i = 0; i < 4 * COUNT; ++i) {
      const Four at = four_of(i / 4);
      Rows row = x;
      row.data = at.start;
      values[i / 4][i % 4] = i % 4 < at.count ? element(row, 0, at.j + i % 4) : 0.0f;
    }
  }
}

__device__ inline void refuse_unless_finite(const Assignment& a, int64_t s, int64_t row, const Call& call) {
  float poison = 0.0f;  // as in load8
  EMB_ROLLED for (int64_t i = 0; i < a.d; ++i) {
    const float v = element(a.x, row, s * a.d + i);
    poison += v - v;
  }
  if (!(poison == 0.0f)) refuse(call, row);
}

// A step of exchanging rows with columns, blocks of BITS, between lanes `flip` apart: the lower lane takes the other's
// even blocks as its odd ones, and gives its odd ones for them.
template <int BITS>
__device__ inline uint32_t exchange_blocks(uint32_t word, int flip) {
  constexpr uint32_t kEven = BITS == 16 ? 0xffffu : BITS == 8 ? 0xff00ffu : 0xf0f0f0fu;
  const bool upper = static_cast<int>(threadIdx.x) & flip;
  const uint32_t other = __shfl_xor_sync(kAllLanes, word, flip), keep = upper ? ~kEven : kEven;
  return (word & keep) | (__funnelshift_l(other, other, upper ? 32 - BITS : BITS) & ~keep);
}

// By the threads that share a row, of which number t has the codewords t, t + THREADS, ...
template <int THREADS>
__device__ inline int32_t nearest_by_double(const Assignment& a, int64_t s, int64_t row, unsigned mask) {
  double best = __builtin_inf();
  int32_t id = 0x7fffffff;
  for (int64_t j = threadIdx.x % THREADS; j < a.k; j += THREADS) {
    const float* codeword = a.codebooks + (s * a.k + j) * a.d;
    double sum = 0.0;
    EMB_ROLLED for (int64_t i = 0; i < a.d; ++i) {
      const double t = static_cast<double>(element(a.x, row, s * a.d + i)) - static_cast<double>(codeword[i]);
      sum += t * t;
    }
    if (!(sum < best)) continue;
    best = sum;
    id = static_cast<int32_t>(j);
  }
  for (int width = THREADS / 2; width > 0; width /= 2) {
    const double other = __shfl_xor_sync(mask, best, width);
    const int32_t other_id = __shfl_xor_sync(mask, id, width);
    if (other > best || (other == best && other_id > id)) continue;
    best = other;
    id = other_id;
  }
  return id < a.k ? id : 0;  // a row that was refused is near to none
}

// Values of 64 rows (of x or of a codebook) in kStep dimensions, to tile[dimension][row].
template <class Value>
__device__ inline void load_tile(float (*tile)[kTile + 1], const Value& value) {
  EMB_UNROLL for (int i = 0; i < kTile * kStep / kBlock; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kBlock;
    tile[at % kStep][at / kStep] = value(at / kStep, at % kStep);
  }
}

// Squared distances of the block's rows to codewords first_code .. first_code + 63, of which each thread has 16.
__device__ inline void distances(const Assignment& a, int64_t s, int64_t first_row, int64_t first_code,
                                 const Call& call, float (*sum)[kMicro]) {
  EMB_SHARED(float, rows, [kStep][kTile + 1]);
  EMB_SHARED(float, codewords, [kStep][kTile + 1]);
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  EMB_ROLLED for (int64_t first = 0; first < a.d; first += kStep) {
    __syncthreads();
    load_tile(rows, [&](int r, int i) {
      if (first_row + r >= a.x.n || first + i >= a.d) return 0.0f;
      const float v = element(a.x, first_row + r, s * a.d + first + i);
      if (first_code == 0 && !(v - v == 0.0f)) refuse(call, first_row + r);
      return v;
    });
    load_tile(codewords, [&](int c, int i) {
      const bool there = first_code + c < a.k && first + i < a.d;
      return there ? a.codebooks[(s * a.k + first_code + c) * a.d + first + i] : 0.0f;
    });
    __syncthreads();
    EMB_ROLLED for (int i = 0; i < kStep; ++i) {
      float x[kMicro];
      EMB_UNROLL for (int r = 0; r < kMicro; ++r) x[r] = rows[i][ty + kSide * r];
      EMB_UNROLL for (int c = 0; c < kMicro; ++c) {
        const float y = codewords[i][tx + kSide * c];
        EMB_UNROLL for (int r = 0; r < kMicro; ++r) {
          const float t = x[r] - y;
          sum[r][c] = __builtin_fmaf(t, t, sum[r][c]);
        }
      }
    }
  }
}

// The ids of the thread's rows ty, ty + 16, ... of the block in codebook s; all 16 threads of a row have the same.
__device__ inline void nearest(const Assignment& a, int64_t s, int64_t first_row, const Call& call, int32_t* ids) {
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  const float infinity = __builtin_inff();
  Best best[kMicro];
  EMB_UNROLL for (int r = 0; r < kMicro; ++r) best[r] = {infinity, infinity, 0};
  for (int64_t first_code = 0; first_code < a.k; first_code += kTile) {
    float sum[kMicro][kMicro] = {};
    distances(a, s, first_row, first_code, call, sum);
    EMB_UNROLL for (int c = 0; c < kMicro; ++c) {
      const int64_t code = first_code + tx + kSide * c;
      if (code >= a.k) continue;
      EMB_UNROLL for (int r = 0; r < kMicro; ++r) best[r].offer(sum[r][c], static_cast<int32_t>(code));
    }
  }
  const unsigned mask = 0xffffu << (threadIdx.x % 32 / kSide * kSide);
  EMB_UNROLL for (int r = 0; r < kMicro; ++r) {
    for (int width = kSide / 2; width > 0; width /= 2) best[r].merge(shuffled(best[r], mask, width));
    const int64_t row = first_row + ty + kSide * r;
    ids[r] = best[r].id;
    if (row < a.x.n && !best[r].certain(a.d)) ids[r] = nearest_by_double<kSide>(a, s, row, mask);
  }
}

// One unit of the output is an id, a byte of one code, or of two.
__device__ inline void store_unit(const Assignment& a, int64_t row, int64_t unit, int32_t value) {
  if (row >= a.x.n) return;
  if (a.ids)
    a.ids[row] = value;
  else
    a.codes.data[row * a.codes.stride + unit] = static_cast<uint8_t>(value);
}

template <int PER_UNIT>
__global__ void assign_rows(Assignment a, Call call) {
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile, units = (a.m + PER_UNIT - 1) / PER_UNIT;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  for (int64_t unit = blockIdx.y; unit < units; unit += gridDim.y) {
    int32_t ids[kMicro], high[kMicro] = {};
    nearest(a, unit * PER_UNIT, first_row, call, ids);
    if (PER_UNIT == 2 && unit * 2 + 1 < a.m) nearest(a, unit * 2 + 1, first_row, call, high);
    if (tx != 0) continue;
    EMB_UNROLL for (int r = 0; r < kMicro; ++r) store_unit(a, first_row + ty + kSide * r, unit, ids[r] | high[r] << 4);
  }
}

template <int PER_UNIT>
int64_t launch_assign(const Assignment& a, const Call& call) {
  if (a.x.n == 0) return 0;
  const int64_t units = (a.m + PER_UNIT - 1) / PER_UNIT;
  const dim3 grid(blocks_for(a.x.n, kTile), static_cast<unsigned>(units < 65535 ? units : 65535));
  EMB_LAUNCH((assign_rows<PER_UNIT>), grid, kBlock, 0, call.stream, a, call);
  check(cudaGetLastError());
  return 0;
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
