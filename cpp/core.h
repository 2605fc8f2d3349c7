// The plain data that every part of the native code shares: no code, no std::, so that a file compiled for one
// instruction set can include it without emitting anything another file could pick up.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define EMB_HD __host__ __device__ inline
#else
#define EMB_HD inline __attribute__((always_inline))
#endif

namespace embcodec {

enum class Dtype : int { f32 = 0, f16 = 1, bf16 = 2, f64 = 3 };
enum class Metric : int { ip = 0, l2 = 1, cosine = 2 };

// A matrix as the caller holds it: any strides (in bytes), any of the four element types.
struct Rows {
  const char* data;
  int64_t n, d;
  int64_t row_stride, col_stride;
  Dtype dtype;
};

// Queries prepared for a scan: float32, each row padded with zeros to `stride` floats (a multiple of 16).
struct Queries {
  const float* data;
  const float* square;  // squared length of each query
  const float* norm;    // its root
  int64_t n, d, stride;
};

// The best rows of one query so far: a min-heap of keys (row/order.h). `floor` is the worst kept score once full.
struct TopK {
  uint64_t* keys;
  int32_t k, count;
  float floor;
};

struct Scan {
  Queries queries;
  Metric metric;
  const uint8_t* mask;  // one byte a row, 0 = never returned; null = all rows
  TopK* best;           // one for each query
};

// A half-open range of rows (or of queries), the share of one task.
struct Range {
  int64_t begin, end;
};

constexpr int64_t kAllFinite = -1;  // what an encoder returns when no row held a NaN or an infinity

static constexpr int64_t padded16(int64_t d) { return (d + 15) / 16 * 16; }

}  // namespace embcodec
