// What decodes rows for a scan, a source, has them eight dimensions at a time:
//   value(row, j): one dimension;
//   Row at(row): where a row is, and what it has beside its code, such as a factor;
//   readable(at): raw() may read the row;
//   Raw raw(at, j, count): what codes dimensions j .. j+count-1, j a multiple of 8, count <= 8, from memory;
//   decode<ALL, R>(raw, at, table, j, count, x): the dimensions of R rows; ALL: there are eight, and aligned() says
//   that parameters are too, so that these come as whole vectors; kTable, fill(table): floats in shared memory for
//   decode(), filled by all threads of a block; kBlocks: how many blocks of nominate_tiles a multiprocessor has
//   registers for.
#pragma once
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

#if defined(EMB_HOPPER)
constexpr int kNominatingBlocks = 2, kFewBlocks = 4;
#else
constexpr int kNominatingBlocks = 1, kFewBlocks = 3;
#endif

// The eight codes of `bits` bits in a word, each below what `above` has in its upper bytes.
__device__ inline void codes_of(uint64_t word, int bits, uint32_t* codes, uint32_t above = 0) {
  if (bits == 8) {
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = byte_of(static_cast<uint32_t>(word >> i / 4 * 32), i % 4, above);
  } else if (bits == 4) {
    const uint32_t low = static_cast<uint32_t>(word) & 0x0f0f0f0fu,
                   high = static_cast<uint32_t>(word) >> 4 & 0x0f0f0f0fu;
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = byte_of(i % 2 ? high : low, i / 2, above);
  } else {
    const uint32_t mask = (1u << bits) - 1u;
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = above | (static_cast<uint32_t>(word >> i * bits) & mask);
  }
}
// ... as floats: behind the highest bits of 2^23 a code is its lowest.
__device__ inline void codes_of(uint64_t word, int bits, float* codes) {
  uint32_t with[8];
  codes_of(word, bits, with, 0x4b000000u);
  EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = f32_from_bits(with[i]) - 8388608.0f;
}

// A row of codes, read in whole words; null where these would reach beyond the array, which its first and its last row
// can.
struct CodeRow {
  const uint8_t* code;
  // `count` <= 64 bits from number `first` on in the lowest ones, and whatever follows.
  __device__ uint64_t bits(int first, int count) const {
    const uint8_t* p = code + first / 8;
    const int before = static_cast<int>(reinterpret_cast<uintptr_t>(p) % 4), shift = 8 * before + first % 8;
    const uint32_t* from = reinterpret_cast<const uint32_t*>(p - before);
    const bool there = code;
    uint32_t words[3] = {};
    if (there) words[0] = from[0];
    if (there && shift + count > 32) words[1] = from[1];
    if (there && shift + count > 64) words[2] = from[2];
    const auto shifted = [&](int i) {
      return static_cast<uint32_t>((static_cast<uint64_t>(words[i + 1]) << 32 | words[i]) >> shift);
    };
    return static_cast<uint64_t>(shifted(1)) << 32 | shifted(0);
  }
};
__device__ inline CodeRow row_of(const Codes& codes, int64_t bytes, int64_t row) {
  const int64_t last = (codes.n - 1) * codes.stride;
  const uint8_t *begin = codes.data + (last < 0 ? last : 0), *end = codes.data + (last < 0 ? 0 : last) + bytes;
  const uint8_t* code = codes.data + row * codes.stride;
  const uintptr_t first = reinterpret_cast<uintptr_t>(code) / 4 * 4;
  const uintptr_t behind = (reinterpret_cast<uintptr_t>(code) + bytes + 3) / 4 * 4;
  const bool whole = first >= reinterpret_cast<uintptr_t>(begin) && behind <= reinterpret_cast<uintptr_t>(end);
  return {whole ? code : nullptr};
}

// Up to eight floats that lie side by side, the same for all lanes.
template <bool ALL>
__device__ inline void load_eight(const float* p, int count, float* v) {
  if (ALL) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    const float eight[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    EMB_UNROLL for (int i = 0; i < 8; ++i) v[i] = eight[i];
  } else {
    EMB_UNROLL for (int i = 0; i < 8; ++i) v[i] = i < count ? p[i] : 0.0f;
  }
}

// The source of codes that lie side by side in a row, `bits` a dimension.
struct CodeSource {
  static constexpr bool kMayBeBad = false;
  static constexpr int kTable = 0, kBlocks = kNominatingBlocks;
  using Raw = uint64_t;
  using Row = CodeRow;
  Codes from;
  int64_t dims;
  int bits;
  __device__ Codes codes() const { return from; }
  __device__ void fill(float*) const {}
  __device__ CodeRow at(int64_t row) const { return row_of(from, (dims * bits + 7) / 8, row); }
  __device__ bool readable(const CodeRow& at) const { return at.code; }
  __device__ Raw raw(const CodeRow& at, int64_t j, int count) const {
    const bool eights = (reinterpret_cast<uintptr_t>(from.data) | static_cast<uintptr_t>(from.stride)) % 8 == 0;
    if (bits == 8 && count == 8 && eights) return at.code ? *reinterpret_cast<const uint64_t*>(at.code + j) : 0;
    return at.bits(static_cast<int>(j) * bits, count * bits);
  }
};

}  // namespace
}  // namespace cuda
}  // namespace embcodec
