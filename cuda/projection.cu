// Rows times a matrix: a block has 128 rows by 64 or 128 columns, a thread 8 by 4 or 8 of them, and shared memory both
// operands of 16 dimensions, while those of the next 16 are on their way. A value is one fused multiply-add a
// dimension, in order.
#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kSide = 16, kThreadRows = 8;  // threads of a side, rows of one of them
constexpr int kTileRows = kSide * kThreadRows, kStep = 16, kBroughtRows = kBlock / kStep;
static_assert(kSide * kSide == kBlock, "");

// What a thread brings of a tile: of rows one dimension, kBroughtRows apart; of the matrix one column.
template <int kColumns>
struct Brought {
  static constexpr int kTileColumns = kSide * kColumns, kBroughtDims = kBlock / kTileColumns;
  float x[kTileRows / kBroughtRows], matrix[kStep / kBroughtDims];
};

// kColumns: of a thread, 4 or 8, in fours that are 64 apart, so that threads side by side read other banks.
template <Dtype D, int kColumns>
__global__ void __launch_bounds__(kBlock, 2) project_rows(Rows x, Projection p, float* out, Call call) {
  using Part = Brought<kColumns>;
  constexpr int kTileColumns = Part::kTileColumns, kBroughtDims = Part::kBroughtDims, kFours = kColumns / 4;
  constexpr int kRowFours = kTileRows / 4 + 1;  // one more, so that rows of a tile begin in other banks
  EMB_SHARED(float4, rows, [2][kStep][kRowFours]);
  EMB_SHARED(float4, matrix, [2][kStep][kTileColumns / 4]);
  const int thread = static_cast<int>(threadIdx.x), tx = thread % kSide, ty = thread / kSide;
  // Blocks of the same rows follow each other, so that all but one of them find the rows in the cache.
  const int64_t tiles = (p.columns + kTileColumns - 1) / kTileColumns;
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) / tiles * kTileRows;
  const int64_t first_column = static_cast<int64_t>(blockIdx.x) % tiles * kTileColumns;

  // Rows and columns beyond the last one are that one again: nobody writes what comes of them.
  const int last = x.n - first_row < kTileRows ? static_cast<int>(x.n - first_row) - 1 : kTileRows - 1;
  const int64_t column = first_column + thread % kTileColumns;
  const char* from = x.data + first_row * x.row_stride + thread % kStep * x.col_stride;
  const float* values = p.matrix + thread / kTileColumns * p.columns + (column < p.columns ? column : p.columns - 1);
  float flaw = 0.0f;  // NaN if a value is none or infinite
  const auto bring = [&](int dims) {
    Part b = {};
    const float less = p.mean && thread % kStep < dims ? p.mean[p.d - dims + thread % kStep] : 0.0f;
    EMB_UNROLL for (int i = 0; i < kTileRows / kBroughtRows; ++i) {
      const int r = thread / kStep + i * kBroughtRows;
      if (thread % kStep < dims) b.x[i] = value_at<D>(from + (r < last ? r : last) * x.row_stride);
      flaw = __builtin_fmaf(b.x[i], 0.0f, flaw);
      if (p.mean) b.x[i] -= less;
    }
    EMB_UNROLL for (int i = 0; i < kStep / kBroughtDims; ++i) if (thread / kTileColumns + i * kBroughtDims < dims)
        b.matrix[i] = values[i * kBroughtDims * p.columns];
    from += kStep * x.col_stride, values += kStep * p.columns;
    return b;
  };

  float sum[kThreadRows][kColumns] = {};
  int left = static_cast<int>(p.d), now = 0;  // of two tiles, since some threads still read the one before
  Part next = bring(left);
  EMB_ROLLED while (left > 0) {
    float* const row_floats = reinterpret_cast<float*>(rows[now]) + thread % kStep * 4 * kRowFours + thread / kStep;
    float* const matrix_floats = reinterpret_cast<float*>(matrix[now]) + thread;
    EMB_UNROLL for (int i = 0; i < kTileRows / kBroughtRows; ++i) row_floats[i * kBroughtRows] = next.x[i];
    EMB_UNROLL for (int i = 0; i < kStep / kBroughtDims; ++i) matrix_floats[i * kBlock] = next.matrix[i];
    __syncthreads();
    if (left > kStep) next = bring(left - kStep);
    const auto add = [&](int i) {
      const float4 low = rows[now][i][2 * ty], high = rows[now][i][2 * ty + 1];
      const float a[] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      EMB_UNROLL for (int f = 0; f < kFours; ++f) {
        const float4 four = matrix[now][i][f * kSide + tx];
        const float b[] = {four.x, four.y, four.z, four.w};
        EMB_UNROLL for (int r = 0; r < kThreadRows; ++r) EMB_UNROLL for (int c = 0; c < 4; ++c) sum[r][4 * f + c] =
            __builtin_fmaf(a[r], b[c], sum[r][4 * f + c]);
      }
    };
    if (left >= kStep) {
      EMB_UNROLL for (int i = 0; i < kStep; ++i) add(i);
    } else {
      EMB_ROLLED for (int i = 0; i < left; ++i) add(i);
    }
    left -= kStep;
    now = 1 - now;
  }
  const int columns = static_cast<int>(p.columns - first_column) - 4 * tx;
  EMB_UNROLL for (int r = 0; r < kThreadRows; ++r) {
    if (kThreadRows * ty + r > last) break;
    float* const to = out + (first_row + kThreadRows * ty + r) * p.columns + first_column + 4 * tx;
    EMB_UNROLL for (int c = 0; c < kColumns; ++c) {
      const int beside = c / 4 * 4 * kSide + c % 4;
      if (beside < columns) to[beside] = sum[r][c];
    }
  }
  if (flaw == 0.0f || first_column) return;
  EMB_ROLLED for (int r = thread / kStep; r < kTileRows; r += kBroughtRows) {
    if (first_row + r >= x.n) return;
    bool row_finite = true;
    EMB_ROLLED for (int64_t j = thread % kStep; j < p.d; j += kStep) {
      const float v = element(x, first_row + r, j);
      row_finite &= v - v == 0.0f;
    }
    if (!row_finite) refuse(call, first_row + r);
  }
}

template <Dtype D>
void launch(const Rows& x, const Projection& p, float* out, const Call& call) {
  const unsigned blocks = blocks_for(x.n, kTileRows);
  if (p.columns > 4 * kSide)
    EMB_LAUNCH((project_rows<D, 8>), blocks * blocks_for(p.columns, 8 * kSide), kBlock, 0, call.stream, x, p, out,
               call);
  else
    EMB_LAUNCH((project_rows<D, 4>), blocks, kBlock, 0, call.stream, x, p, out, call);
}

}  // namespace

int64_t project(const Rows& x, const Projection& p, float* out, const Call& call) {
  if (x.n == 0) return 0;
  switch (x.dtype) {
    case Dtype::f32:
      launch<Dtype::f32>(x, p, out, call);
      break;
    case Dtype::f64:
      launch<Dtype::f64>(x, p, out, call);
      break;
    case Dtype::f16:
      launch<Dtype::f16>(x, p, out, call);
      break;
    default:
      launch<Dtype::bf16>(x, p, out, call);
  }
  check(cudaGetLastError());
  return 0;
}

}  // namespace cuda
}  // namespace embcodec
