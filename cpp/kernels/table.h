// One function pointer for each batched kernel: what a level offers. Every function works on the share `r` of its
// task and returns kAllFinite, or the first row with a non-finite value (encoders), or nothing.
#pragma once
#include "../core.h"

namespace embcodec {

// Rows of codes: the bytes of a row are contiguous, rows lie `stride` bytes apart.
struct Codes {
  const uint8_t* data;
  int64_t n, stride;
};
struct CodesOut {
  uint8_t* data;
  int64_t stride;
};

// Uniform scalar quantizer with a range per dimension. `inverse` is 1/step, 0 where the step is 0.
struct SqParams {
  const float* lo;
  const float* step;
  const float* inverse;
  int64_t d;
  int bits;
};
// ... and with a range per row.
struct RowSqParams {
  const float* scale;
  const float* offset;
  int64_t d;
  int bits;
};

// `scratch` is the task's own memory, 64-byte aligned, of the size that the function's caller in bind/ computes with
// the *_scratch function beside the kernel.
struct Kernels {
  int64_t (*sq_encode)(const Rows& x, const SqParams& p, CodesOut out, Range r, float* scratch);
  void (*sq_decode)(const Codes& codes, const SqParams& p, float* out, Range r, float* scratch);
  void (*sq_topk)(const Codes& codes, const SqParams& p, const Scan& scan, Range rows, Range queries, float* scratch);
  int64_t (*rowsq_encode)(const Rows& x, int bits, CodesOut out, float* scale, float* offset, Range r, float* scratch);
  void (*rowsq_decode)(const Codes& codes, const RowSqParams& p, float* out, Range r, float* scratch);
  void (*rowsq_topk)(const Codes& codes, const RowSqParams& p, const Scan& scan, Range rows, Range queries,
                     float* scratch);
  int64_t (*flat_topk)(const Rows& x, const Scan& scan, Range rows, Range queries, float* scratch);
  float (*dot)(const float* a, const float* b, int64_t padded);  // the contract's dot16, for norms of queries
};

constexpr int64_t kScanBlockBytes = 32768;  // decoded rows that wait in L1 and L2 for every query of the tile

// Rows decoded at a time by a scan, a multiple of every level's tile.
constexpr int64_t scan_block_rows(int64_t d) {
  const int64_t rows = kScanBlockBytes / (4 * padded16(d)) / 4 * 4;
  return rows < 4 ? 4 : rows;
}

// Floats of scratch: one converted row (two for codes of a row before and after unpacking).
constexpr int64_t row_scratch(int64_t d) { return 2 * padded16(d); }
// ... and for a scan: the block, a norm for each of its rows, one row.
constexpr int64_t scan_scratch(int64_t d) {
  return scan_block_rows(d) * (padded16(d) + 16) + row_scratch(d);
}

}  // namespace embcodec
