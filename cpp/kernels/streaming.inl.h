// Decoded rows, written past the cache where they would not stay in it: a store through the cache reads what it
// overwrites. 100,000 x 384 from bytes take 22 ms through it and 12 past it, but 40 and 52 where the pages were never
// written, since the kernel leaves their zeros in the cache.
#pragma once
#include "table.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int64_t kStreamedFloats = 4096;  // of the longest row that is written so
// Gathered in L1 at a time: few, since memory would wait meanwhile. With 4,096, decoders took 1.2 times as long.
constexpr int64_t kStreamedChunk = 512;

// write(i, to) gives row i, d floats at `to`.
template <class Write>
EMB_OP void put_rows(RowsOut out, int64_t d, Range r, Write write) {
#if EMB_STREAMS
  if (out.stream && d <= kStreamedFloats) {
    alignas(64) float room[16 + kStreamedFloats + kStreamedChunk];
    float* const rows = room + 16;  // before them lie those floats of the last ones that fill no cache line
    const int64_t step = d < kStreamedChunk ? kStreamedChunk / d : 1;
    float* to = out.data + r.begin * d;
    int64_t head = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % 64) / 4;  // floats up to a line's begin
    int64_t held = 0;
    for (int64_t i = r.begin; i < r.end; i += step) {
      const int64_t count = r.end - i < step ? r.end - i : step, size = count * d;
      for (int64_t k = 0; k < count; ++k) write(i + k, rows + k * d);
      int64_t j = head < size ? head : size;
      __builtin_memcpy(to, rows, static_cast<size_t>(j) * 4);
      head -= j;
      to += j;
      for (j -= held; j + 16 <= size; j += 16, to += 16) stream(to, load(rows + j));
      held = size - j;
      __builtin_memmove(rows - held, rows + j, static_cast<size_t>(held) * 4);
    }
    __builtin_memcpy(to, rows - held, static_cast<size_t>(held) * 4);
    return stream_fence();
  }
#endif
  for (int64_t i = r.begin; i < r.end; ++i) write(i, out.data + i * d);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
