// Decoded rows, written past the cache where they would not stay in it: a store through the cache reads what it
// overwrites. 100,000 x 384 from bytes take 22 ms through it and 15 past it, but 40 and 52 where the pages were never
// written, since the kernel leaves their zeros in the cache.
#pragma once
#include "table.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int64_t kStreamedFloats = 4096;  // gathered in L1 at a time

#if EMB_STREAMS
// Whole cache lines past the cache, the ends through it.
EMB_OP void stream_floats(const float* from, int64_t count, float* to) {
  const int64_t to_line = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % 64) / 4;
  int64_t j = to_line < count ? to_line : count;
  __builtin_memcpy(to, from, static_cast<size_t>(j) * 4);
  for (; j + 16 <= count; j += 16) stream(to + j, load(from + j));
  __builtin_memcpy(to + j, from + j, static_cast<size_t>(count - j) * 4);
}
#endif

// write(i, to) gives row i, d floats at `to`.
template <class Write>
EMB_OP void put_rows(RowsOut out, int64_t d, Range r, Write write) {
#if EMB_STREAMS
  if (out.stream && d <= kStreamedFloats) {
    alignas(64) float rows[kStreamedFloats];
    const int64_t step = kStreamedFloats / d;
    for (int64_t i = r.begin; i < r.end; i += step) {
      const int64_t count = r.end - i < step ? r.end - i : step;
      for (int64_t k = 0; k < count; ++k) write(i + k, rows + k * d);
      stream_floats(rows, count * d, out.data + i * d);
    }
    return stream_fence();
  }
#endif
  for (int64_t i = r.begin; i < r.end; ++i) write(i, out.data + i * d);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
