// Rows times a matrix. A value is one fused multiply-add a dimension, in order, whatever the level and the batch.
#pragma once
#include "rows.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int64_t kPanel = 16 * kPanelVectors;  // columns of the matrix that a tile takes
static_assert(kPanel <= kWidestPanel && kProjectedRows % kPanelRows == 0, "");

// Some dimensions of a panel as a tile reads them: side by side, zeros behind the last column.
EMB_OP void pack_panel(const float* from, int64_t row_stride, int64_t columns, int64_t dims, float* panel) {
  const int64_t count = columns < kPanel ? columns : kPanel;
  for (int64_t i = 0; i < dims; ++i, from += row_stride, panel += kPanel)
    for (int64_t j = 0; j < kPanel; j += 16) {
      const int64_t left = count - j < 16 ? count - j : 16;
      store(panel + j, left > 0 ? lanes_of(from + j, left) : splat(0.0f));
    }
}

// Adds some dimensions of V vectors of a panel to the sums of kPanelRows rows, `stride` floats apart.
template <int V>
EMB_OP void project_tile(const float* x, int64_t stride, const float* panel, int64_t dims, float* sums) {
  f32x16 sum[kPanelRows][V];
  for (int r = 0; r < kPanelRows; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = load(sums + r * kPanel + 16 * v);
  for (int64_t i = 0; i < dims; ++i, panel += kPanel) {
    f32x16 m[V];
    for (int v = 0; v < V; ++v) m[v] = load(panel + 16 * v);
    for (int r = 0; r < kPanelRows; ++r) {
      const f32x16 y = splat(x[r * stride + i]);
      for (int v = 0; v < V; ++v) sum[r][v] = fused(y, m[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kPanelRows; ++r)
    for (int v = 0; v < V; ++v) store(sums + r * kPanel + 16 * v, sum[r][v]);
}

// A panel of which V vectors may have columns: no more of them are multiplied than have.
template <int V>
inline void project_tiles(const float* x, int64_t stride, int64_t tiles, int64_t columns, const float* panel,
                          int64_t dims, float* sums) {
  if constexpr (V > 1)
    if (columns <= 16 * (V - 1)) return project_tiles<V - 1>(x, stride, tiles, columns, panel, dims, sums);
  for (int64_t t = 0; t < tiles; ++t)
    project_tile<V>(x + t * kPanelRows * stride, stride, panel, dims, sums + t * kPanelRows * kPanel);
}

// The values of `count` rows, at most kProjectedRows and `stride` floats apart with zeros up to a whole tile.
// panel(i, j, dims): `dims` dimensions from i on of the panel that begins with column j, as project_tile reads them.
template <class Panel>
EMB_OP void project_rows(const float* rows, int64_t stride, int64_t count, int64_t d, int64_t columns, float* sums,
                         float* out, const Panel& panel) {
  const int64_t tiles = (count + kPanelRows - 1) / kPanelRows;
  for (int64_t j = 0; j < columns; j += kPanel) {
    const int64_t width = columns - j < kPanel ? columns - j : kPanel;
    for (int64_t i = 0; i < tiles * kPanelRows * kPanel; i += 16) store(sums + i, splat(0.0f));
    for (int64_t i = 0; i < d; i += kPanelDims) {
      const int64_t dims = d - i < kPanelDims ? d - i : kPanelDims;
      project_tiles<kPanelVectors>(rows + i, stride, tiles, width, panel(i, j, dims), dims, sums);
    }
    for (int64_t i = 0; i < count; ++i)
      __builtin_memcpy(out + i * columns + j, sums + i * kPanel, static_cast<size_t>(width) * 4);
  }
}

constexpr int64_t kFewRows = 3;  // do not pay for packing
constexpr int64_t kFewDims = 8;  // of a row, that registers hold

// DIMS dimensions of a row from i on, added to its values.
template <int DIMS>
EMB_OP void add_dimensions(const Projection& p, const float* x, int64_t i, float* out) {
  const float* matrix = p.matrix + i * p.columns;
  f32x16 y[DIMS];
  for (int t = 0; t < DIMS; ++t) y[t] = splat(x[i + t]);
  int64_t j = 0;
  for (; j + 16 <= p.columns; j += 16) {
    f32x16 sum = i ? load(out + j) : splat(0.0f);
    for (int t = 0; t < DIMS; ++t) sum = fused(y[t], load(matrix + t * p.columns + j), sum);
    store(out + j, sum);
  }
  const int64_t left = p.columns - j;
  if (left == 0) return;
  f32x16 sum = i ? load_tail(out + j, left) : splat(0.0f);
  for (int t = 0; t < DIMS; ++t) sum = fused(y[t], load_tail(matrix + t * p.columns + j, left), sum);
  store_tail(out + j, sum, left);
}

// Few rows read the matrix once, from its begin to its end: as tiles take them, its values lie pages apart.
inline void project_few(const Projection& p, const float* x, int64_t stride, int64_t rows, float* out) {
  int64_t i = 0;
  for (; i + kFewDims <= p.d; i += kFewDims)
    for (int64_t r = 0; r < rows; ++r) add_dimensions<kFewDims>(p, x + r * stride, i, out + r * p.columns);
  for (; i < p.d; ++i)
    for (int64_t r = 0; r < rows; ++r) add_dimensions<1>(p, x + r * stride, i, out + r * p.columns);
}

// Rows from `first` on less the mean, which may be null, and zeros up to a whole tile; or the first that is not finite.
inline int64_t load_rows(const Rows& x, const float* mean, int64_t first, int64_t count, float* out) {
  const int64_t stride = padded16(x.d);
  for (int64_t i = 0; i < count; ++i, out += stride) {
    const float* row = load_row(x, first + i, out);
    if (!row) return first + i;
    if (row == out && !mean) continue;
    for (int64_t j = 0; j < x.d; j += 16) {
      const int64_t left = x.d - j < 16 ? x.d - j : 16;
      const f32x16 value = lanes_of(row + j, left);
      store(out + j, mean ? sub(value, lanes_of(mean + j, left)) : value);
    }
  }
  for (int64_t i = 0; i < (kPanelRows - count % kPanelRows) % kPanelRows * stride; ++i) out[i] = 0.0f;
  return kAllFinite;
}

// `scratch`: projection_scratch(d).
int64_t project(const Rows& x, const Projection& p, float* out, Range r, float* scratch) {
  const int64_t stride = padded16(p.d);
  float *sums = scratch + kProjectedRows * stride, *panel = sums + kProjectedRows * kPanel;
  for (int64_t first = r.begin; first < r.end; first += kProjectedRows) {
    const int64_t count = r.end - first < kProjectedRows ? r.end - first : kProjectedRows;
    const int64_t bad = load_rows(x, p.mean, first, count, scratch);
    if (bad != kAllFinite) return bad;
    if (count <= kFewRows) {
      project_few(p, scratch, stride, count, out + first * p.columns);
      continue;
    }
    project_rows(scratch, stride, count, p.d, p.columns, sums, out + first * p.columns,
                 [&](int64_t i, int64_t j, int64_t dims) {
                   pack_panel(p.matrix + i * p.columns + j, p.columns, p.columns - j, dims, panel);
                   return panel;
                 });
  }
  return kAllFinite;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
