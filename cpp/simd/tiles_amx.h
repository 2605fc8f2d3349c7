// Products of tiles of bytes (AMX-INT8): 16 rows of 64 bytes times 64 x 16, added to 16 x 16 sums of 32 bits.
#pragma once
#if !defined(EMB_EMULATED)
#include <immintrin.h>
#endif

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTileSide = 16, kTileBytes = 64;

#if defined(EMB_EMULATED)

struct Tile {
  int8_t bytes[kTileSide][kTileBytes];
};
thread_local Tile tiles[8];

struct TileUnit {
  TileUnit() {
    for (Tile& tile : tiles) tile = {};
  }
};
template <int T>
EMB_OP void tile_zero() {
  tiles[T] = {};
}
template <int T>
EMB_OP void tile_load(const void* p, int64_t stride) {
  for (int r = 0; r < kTileSide; ++r) __builtin_memcpy(tiles[T].bytes[r], static_cast<const char*>(p) + r * stride, 64);
}
template <int T>
EMB_OP void tile_store(void* p, int64_t stride) {
  for (int r = 0; r < kTileSide; ++r) __builtin_memcpy(static_cast<char*>(p) + r * stride, tiles[T].bytes[r], 64);
}
template <int SUM, int A, int B>
EMB_OP void tile_dot() {
  for (int r = 0; r < kTileSide; ++r)
    for (int c = 0; c < kTileSide; ++c) {
      int32_t sum;
      __builtin_memcpy(&sum, tiles[SUM].bytes[r] + 4 * c, 4);
      for (int k = 0; k < kTileBytes; ++k) sum += tiles[A].bytes[r][k] * tiles[B].bytes[k / 4][4 * c + k % 4];
      __builtin_memcpy(tiles[SUM].bytes[r] + 4 * c, &sum, 4);
    }
}

#else

// A thread's tiles may be used while there is one: eight tiles of 16 rows of 64 bytes.
struct TileUnit {
  TileUnit() {
    struct {
      uint8_t palette, first_row, reserved[14];
      uint16_t row_bytes[16];
      uint8_t rows[16];
    } shape = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~TileUnit() { asm volatile("tilerelease"); }
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
};

// Not the intrinsics: GCC 12's do not say that they read memory, so that stores may be moved behind a load.
template <int T>
EMB_OP void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(T));
}
template <int T>
EMB_OP void tile_load(const void* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
EMB_OP void tile_store(void* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(T) : "memory");
}
template <int SUM, int A, int B>
EMB_OP void tile_dot() {  // A and B with sign
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(SUM), "i"(A), "i"(B));
}

#endif

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
