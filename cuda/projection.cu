// Rows times a matrix: a block has 128 rows by 64 columns, a thread 8 by 4 of them, and shared memory both operands of
// 16 dimensions, while those of the next are on their way. A value is one fused multiply-add a dimension, in order.
#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kSide = 16, kThreadRows = 8, kThreadColumns = 4;  // threads of a side, what one of them has
constexpr int kTileRows = kSide * kThreadRows, kTileColumns = kSide * kThreadColumns, kStep = 16;
static_assert(kSide * kSide == kBlock, "");

// What a thread brings of a tile: of rows one dimension, kSide rows apart; of the matrix one column, of every fourth
// dimension.
struct Brought {
  float x[kTileRows / kSide], matrix[kStep * kTileColumns / kBlock];
};

__device__ inline Brought bring(const Rows& x, const Projection& p, int64_t first_row, int64_t first_column,
                                int64_t first, bool& finite) {
  const int thread = static_cast<int>(threadIdx.x);
  Brought b;
  const int64_t j = first + thread % kStep;
  const float mean = p.mean && j < p.d ? p.mean[j] : 0.0f;
  EMB_UNROLL for (int i = 0; i < kTileRows / kSide; ++i) {
    const int64_t row = first_row + thread / kStep + i * kSide;
    const float v = row < x.n && j < p.d ? element(x, row, j) : 0.0f;
    finite &= v - v == 0.0f;
    b.x[i] = p.mean ? v - mean : v;
  }
  const int64_t column = first_column + thread % kTileColumns;
  EMB_UNROLL for (int i = 0; i < kStep * kTileColumns / kBlock; ++i) {
    const int64_t dimension = first + thread / kTileColumns + i * (kBlock / kTileColumns);
    b.matrix[i] = dimension < p.d && column < p.columns ? p.matrix[dimension * p.columns + column] : 0.0f;
  }
  return b;
}

__global__ void __launch_bounds__(kBlock) project_rows(Rows x, Projection p, float* out, Call call) {
  constexpr int kRowFours = kTileRows / 4 + 1;  // one more, so that rows of a tile begin in other banks
  EMB_SHARED(float4, rows, [kStep][kRowFours]);
  EMB_SHARED(float4, matrix, [kStep][kTileColumns / 4]);
  float* const row_floats = reinterpret_cast<float*>(rows);
  float* const matrix_floats = reinterpret_cast<float*>(matrix);
  const int thread = static_cast<int>(threadIdx.x), tx = thread % kSide, ty = thread / kSide;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTileRows;
  const int64_t first_column = static_cast<int64_t>(blockIdx.y) * kTileColumns;
  bool finite = true;
  float sum[kThreadRows][kThreadColumns] = {};
  Brought next = bring(x, p, first_row, first_column, 0, finite);
  EMB_ROLLED for (int64_t first = 0; first < p.d; first += kStep) {
    __syncthreads();
    EMB_UNROLL for (int i = 0; i < kTileRows / kSide; ++i)
        row_floats[thread % kStep * 4 * kRowFours + thread / kStep + i * kSide] = next.x[i];
    EMB_UNROLL for (int i = 0; i < kStep * kTileColumns / kBlock; ++i) matrix_floats[thread + i * kBlock] =
        next.matrix[i];
    __syncthreads();
    if (first + kStep < p.d) next = bring(x, p, first_row, first_column, first + kStep, finite);
    const int dims = p.d - first < kStep ? static_cast<int>(p.d - first) : kStep;
    EMB_ROLLED for (int i = 0; i < dims; ++i) {
      const float4 low = rows[i][2 * ty], high = rows[i][2 * ty + 1], four = matrix[i][tx];
      const float a[] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      const float b[] = {four.x, four.y, four.z, four.w};
      EMB_UNROLL for (int r = 0; r < kThreadRows; ++r) EMB_UNROLL for (int c = 0; c < kThreadColumns; ++c) sum[r][c] =
          __builtin_fmaf(a[r], b[c], sum[r][c]);
    }
  }
  const int64_t column = first_column + kThreadColumns * tx;
  EMB_UNROLL for (int r = 0; r < kThreadRows; ++r) {
    const int64_t row = first_row + kThreadRows * ty + r;
    EMB_UNROLL for (int c = 0; c < kThreadColumns; ++c) if (row < x.n && column + c < p.columns)
        out[row * p.columns + column + c] = sum[r][c];
  }
  if (finite || blockIdx.y) return;
  EMB_ROLLED for (int r = thread / kStep; r < kTileRows; r += kSide) {
    if (first_row + r >= x.n) return;
    bool row_finite = true;
    EMB_ROLLED for (int64_t j = thread % kStep; j < p.d; j += kStep) {
      const float v = element(x, first_row + r, j);
      row_finite &= v - v == 0.0f;
    }
    if (!row_finite) refuse(call, first_row + r);
  }
}

}  // namespace

int64_t project(const Rows& x, const Projection& p, float* out, const Call& call) {
  if (x.n == 0) return 0;
  const dim3 grid(blocks_for(x.n, kTileRows), blocks_for(p.columns, kTileColumns));
  EMB_LAUNCH(project_rows, grid, kBlock, 0, call.stream, x, p, out, call);
  check(cudaGetLastError());
  return 0;
}

}  // namespace cuda
}  // namespace embcodec
