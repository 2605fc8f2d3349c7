// 4 x 4 blocks in the compiler's own 128-bit vectors, which every level has; 16 x 4 where a level has something wider.
#pragma once

namespace embcodec {
namespace EMB_ISA {
namespace {

typedef float quad __attribute__((vector_size(16)));

// 4 rows of 4 values to 4 columns, written `stride` floats apart.
//   a0 a1 a2 a3        a0 b0 a1 b1   a2 b2 a3 b3        a0 b0 c0 d0
//   b0 b1 b2 b3   ->   c0 d0 c1 d1   c2 d2 c3 d3   ->   a1 b1 c1 d1 ...
EMB_OP void transpose4(const float* const* rows, int64_t j, float* columns, int64_t stride) {
  quad a, b, c, d;
  __builtin_memcpy(&a, rows[0] + j, 16);
  __builtin_memcpy(&b, rows[1] + j, 16);
  __builtin_memcpy(&c, rows[2] + j, 16);
  __builtin_memcpy(&d, rows[3] + j, 16);
  const quad ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const quad cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const quad column[4] = {
      __builtin_shufflevector(ab01, cd01, 0, 1, 4, 5), __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7),
      __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5), __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) __builtin_memcpy(columns + i * stride, &column[i], 16);
}

#if !EMB_WIDE_TRANSPOSE
// 16 rows of 4 values, `stride` floats apart, to 4 columns side by side.
EMB_OP void transpose16(const float* row, int64_t stride, float* columns) {
  for (int r = 0; r < 16; r += 4) {
    const float* const rows[4] = {row + r * stride, row + (r + 1) * stride, row + (r + 2) * stride,
                                  row + (r + 3) * stride};
    transpose4(rows, 0, columns + r, 16);
  }
}
#endif

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
