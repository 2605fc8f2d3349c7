// Rows and codes, written past the cache where they would not stay in it: a store through the cache reads what it
// overwrites. 100,000 x 384 from bytes take 22 ms through it and 15 past it, but 40 and 52 where the pages were never
// written, since the kernel leaves their zeros in the cache.
#pragma once
#include "table.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int64_t kStreamed = 16384;  // bytes gathered in L1 at a time

#if EMB_STREAMS
// Whole cache lines past the cache, the ends through it.
EMB_OP void stream_bytes(const uint8_t* from, int64_t count, uint8_t* to) {
  const int64_t to_line = static_cast<int64_t>(-reinterpret_cast<uintptr_t>(to) % 64);
  int64_t j = to_line < count ? to_line : count;
  __builtin_memcpy(to, from, static_cast<size_t>(j));
  for (; j + 64 <= count; j += 64)
    stream(reinterpret_cast<float*>(to + j), load(reinterpret_cast<const float*>(from + j)));
  __builtin_memcpy(to + j, from + j, static_cast<size_t>(count - j));
}
#endif

// Rows of `bytes` bytes, side by side from `out` on if they are streamed, else `stride` apart; write(i, to) gives row i.
template <class Write>
EMB_OP void put_streamed(uint8_t* out, int64_t bytes, int64_t stride, bool stream, Range r, Write write) {
#if EMB_STREAMS
  if (stream && bytes <= kStreamed) {
    alignas(64) uint8_t rows[kStreamed];
    const int64_t step = kStreamed / bytes;
    for (int64_t i = r.begin; i < r.end; i += step) {
      const int64_t count = r.end - i < step ? r.end - i : step;
      for (int64_t k = 0; k < count; ++k) write(i + k, rows + k * bytes);
      stream_bytes(rows, count * bytes, out + i * bytes);
    }
    return stream_fence();
  }
#else
  (void)bytes, (void)stream;
#endif
  for (int64_t i = r.begin; i < r.end; ++i) write(i, out + i * stride);
}

// write(i, to) gives row i, d floats at `to`.
template <class Write>
EMB_OP void put_rows(RowsOut out, int64_t d, Range r, Write write) {
  put_streamed(reinterpret_cast<uint8_t*>(out.data), 4 * d, 4 * d, out.stream, r,
               [&](int64_t i, uint8_t* to) { write(i, reinterpret_cast<float*>(to)); });
}

// write(i, to) gives the codes of row i, `bytes` at `to`, or returns false; the first row for which it does.
template <class Write>
EMB_OP int64_t put_code_rows(CodesOut out, int64_t bytes, Range r, Write write) {
  int64_t bad = kAllFinite;
  put_streamed(out.data, bytes, out.stride, out.stream, r, [&](int64_t i, uint8_t* to) {
    if (bad == kAllFinite && !write(i, to)) bad = i;
  });
  return bad;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
