// The portable level: 16 lanes as four 128-bit vectors of the compiler's own, which it maps to whatever the target
// has. It defines what every other level's operations mean, so it is also the level that the others are tested against.
#pragma once
#include "../row/bits.h"
#include "../row/halves.h"

#define EMB_OP inline __attribute__((always_inline))

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTileRows = 2, kTileQueries = 2;  // accumulators of a scan's tile that fit the registers
constexpr int kColumnRows = 2, kColumnVectors = 1;
constexpr int kPanelRows = 2, kPanelVectors = 1;
constexpr int kGroup = 2, kShortGroup = 2;  // codewords compared at a time with 16 rows; of few dimensions

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));

struct f32x16 {
  f32x4 v[4];
};
struct i32x16 {
  i32x4 v[4];
};
struct mask16 {  // all ones in a lane that is set
  i32x4 v[4];
};

EMB_OP f32x16 load(const float* p) {
  f32x16 r;
  __builtin_memcpy(&r, p, 64);
  return r;
}
EMB_OP void store(float* p, f32x16 a) { __builtin_memcpy(p, &a, 64); }
EMB_OP f32x16 splat(float x) {
  f32x16 r;
  for (int i = 0; i < 4; ++i) r.v[i] = f32x4{x, x, x, x};
  return r;
}
EMB_OP i32x16 splat_i32(int32_t x) {
  i32x16 r;
  for (int i = 0; i < 4; ++i) r.v[i] = i32x4{x, x, x, x};
  return r;
}

#define EMB_LANES(TYPE, EXPR)                  \
  TYPE r;                                      \
  for (int i = 0; i < 4; ++i) r.v[i] = (EXPR); \
  return r;

EMB_OP f32x16 add(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] + b.v[i])} EMB_OP f32x16
    sub(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] - b.v[i])} EMB_OP f32x16
    mul(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] * b.v[i])} EMB_OP f32x16
    div(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] / b.v[i])}
// a*b + c with at least the accuracy of two roundings; fused where the level has it (where no result depends on it).
EMB_OP f32x16 muladd(f32x16 a, f32x16 b, f32x16 c){EMB_LANES(f32x16, a.v[i] * b.v[i] + c.v[i])}
// a*b + c with one rounding; a call for each lane where the compiler may not use the instruction.
EMB_OP f32x16 fused(f32x16 a, f32x16 b, f32x16 c) {
  f32x16 r;
  for (int i = 0; i < 16; ++i)
    r.v[i / 4][i % 4] = __builtin_fmaf(a.v[i / 4][i % 4], b.v[i / 4][i % 4], c.v[i / 4][i % 4]);
  return r;
}
// The second operand where the comparison fails, so NaN in `a` gives `b`.
EMB_OP f32x16 min(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] < b.v[i] ? a.v[i] : b.v[i])} EMB_OP f32x16
    max(f32x16 a, f32x16 b){EMB_LANES(f32x16, a.v[i] > b.v[i] ? a.v[i] : b.v[i])} EMB_OP f32x16
    abs(f32x16 a){EMB_LANES(f32x16, (f32x4)((i32x4)a.v[i] & 0x7fffffff))}

EMB_OP f32x16 negate(f32x16 a){EMB_LANES(f32x16, -a.v[i])}

EMB_OP mask16 less(f32x16 a, f32x16 b){EMB_LANES(mask16, a.v[i] < b.v[i])} EMB_OP mask16
    less_i32(i32x16 a, i32x16 b){EMB_LANES(mask16, a.v[i] < b.v[i])} EMB_OP mask16
    equal(f32x16 a, f32x16 b){EMB_LANES(mask16, a.v[i] == b.v[i])} EMB_OP mask16
    both(mask16 a, mask16 b){EMB_LANES(mask16, a.v[i] & b.v[i])} EMB_OP mask16
    either(mask16 a, mask16 b){EMB_LANES(mask16, a.v[i] | b.v[i])} EMB_OP f32x16 select(mask16 m, f32x16 a, f32x16 b){
        EMB_LANES(f32x16, (f32x4)((m.v[i] & (i32x4)a.v[i]) | (~m.v[i] & (i32x4)b.v[i])))} EMB_OP i32x16
    select_i32(mask16 m, i32x16 a, i32x16 b){EMB_LANES(i32x16, (m.v[i] & a.v[i]) | (~m.v[i] & b.v[i]))} EMB_OP i32x16
    add_i32(i32x16 a, i32x16 b){EMB_LANES(i32x16, a.v[i] + b.v[i])}

EMB_OP uint32_t mask_bits(mask16 m) {  // lane i to bit i
  const i32x4 four = (m.v[0] & i32x4{1, 2, 4, 8}) | (m.v[1] & i32x4{16, 32, 64, 128}) |
                     (m.v[2] & i32x4{256, 512, 1024, 2048}) | (m.v[3] & i32x4{4096, 8192, 16384, 32768});
  return static_cast<uint32_t>((four[0] | four[1]) | (four[2] | four[3]));
}
EMB_OP mask16 mask_of(uint32_t bits) {  // bit i to lane i
  mask16 m;
  for (int i = 0; i < 4; ++i) {
    const i32x4 b = {static_cast<int32_t>(bits >> (4 * i)), static_cast<int32_t>(bits >> (4 * i)),
                     static_cast<int32_t>(bits >> (4 * i)), static_cast<int32_t>(bits >> (4 * i))};
    m.v[i] = (b & i32x4{1, 2, 4, 8}) != 0;
  }
  return m;
}

// Nearest integer, ties to even, of values below 2^22 in magnitude: the addition moves the fraction out of the
// mantissa.
EMB_OP i32x16 round_to_i32(f32x16 a){EMB_LANES(i32x16, (i32x4)(a.v[i] + 12582912.0f) - 0x4b400000)} EMB_OP f32x16
    to_f32(i32x16 a){EMB_LANES(f32x16, __builtin_convertvector(a.v[i], f32x4))}
#undef EMB_LANES

EMB_OP void store_i32(int32_t* p, i32x16 a) {
  __builtin_memcpy(p, &a, 64);
}
EMB_OP i32x16 load_i32(const int32_t* p) {
  i32x16 r;
  __builtin_memcpy(&r, p, 64);
  return r;
}
// The lanes that m sets, and those of `indices`, side by side; how many they are. `to` and `indices_to` have room for
// 16, whatever m sets.
EMB_OP int compress_store(float* to, int32_t* indices_to, f32x16 a, i32x16 indices, mask16 m) {
  int count = 0;
  for (int i = 0; i < 16; ++i) {
    to[count] = a.v[i / 4][i % 4];
    indices_to[count] = indices.v[i / 4][i % 4];
    count -= m.v[i / 4][i % 4];
  }
  return count;
}
EMB_OP i32x16 load_u8(const uint8_t* p) {
  i32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = p[i];
  return r;
}
EMB_OP i32x16 load_i8(const int8_t* p) {
  i32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = p[i];
  return r;
}
EMB_OP void store_u8(uint8_t* p, i32x16 a) {  // lanes are 0..255
  for (int i = 0; i < 16; ++i) p[i] = static_cast<uint8_t>(a.v[i / 4][i % 4]);
}
EMB_OP void store_u4(uint8_t* p, i32x16 a) {  // lanes are 0..15; 8 bytes, the even lane in the low nibble
  for (int i = 0; i < 8; ++i) p[i] = static_cast<uint8_t>(a.v[i / 2][2 * i % 4] | a.v[i / 2][2 * i % 4 + 1] << 4);
}
EMB_OP i32x16 load_u4(const uint8_t* p) {
  i32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = p[i / 2] >> (4 * (i % 2)) & 15;
  return r;
}
EMB_OP void store_u6(uint8_t* p, i32x16 a) {  // lanes are 0..63; 12 bytes, four values in each three
  for (int i = 0; i < 4; ++i, p += 3) {
    const i32x4 v = a.v[i];
    const int32_t packed = v[0] | v[1] << 6 | v[2] << 12 | v[3] << 18;
    __builtin_memcpy(p, &packed, 3);
  }
}
// 16 codes of BITS bits, eight from the lowest bits of each word on.
template <int BITS>
EMB_OP i32x16 cut_codes(uint32_t first, uint32_t second) {
  i32x16 r;
  for (int i = 0; i < 16; ++i)
    r.v[i / 4][i % 4] = static_cast<int32_t>((i < 8 ? first : second) >> i % 8 * BITS & ((1u << BITS) - 1));
  return r;
}
EMB_OP i32x16 load_u6(const uint8_t* p) {
  i32x16 r;
  for (int i = 0; i < 4; ++i, p += 3) {
    int32_t packed = 0;
    __builtin_memcpy(&packed, p, 3);
    r.v[i] = i32x4{packed & 63, packed >> 6 & 63, packed >> 12 & 63, packed >> 18 & 63};
  }
  return r;
}
// Halves may lie anywhere.
EMB_OP f32x16 load_f16(const uint16_t* p) {
  uint16_t halves[16];
  __builtin_memcpy(halves, p, sizeof halves);
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = f32_from_f16(halves[i]);
  return r;
}
EMB_OP f32x16 load_bf16(const uint16_t* p) {
  uint16_t halves[16];
  __builtin_memcpy(halves, p, sizeof halves);
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = f32_from_bf16(halves[i]);
  return r;
}
// Halves of what is not beyond the largest finite one: row/halves.h.
EMB_OP void store_f16(uint16_t* p, f32x16 a) {
  uint16_t halves[16];
  for (int i = 0; i < 16; ++i) halves[i] = f16_from_f32(a.v[i / 4][i % 4]);
  __builtin_memcpy(p, halves, sizeof halves);
}
EMB_OP void store_bf16(uint16_t* p, f32x16 a) {
  uint16_t halves[16];
  for (int i = 0; i < 16; ++i) halves[i] = bf16_from_f32(a.v[i / 4][i % 4]);
  __builtin_memcpy(p, halves, sizeof halves);
}
EMB_OP f32x16 load_f64(const double* p) {
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = static_cast<float>(p[i]);
  return r;
}
EMB_OP f32x16 gather(const float* base, i32x16 index) {
  f32x16 r;
  for (int i = 0; i < 16; ++i) r.v[i / 4][i % 4] = base[index.v[i / 4][i % 4]];
  return r;
}
// The lanes of `table` that indices from 0 to 15 name.
EMB_OP f32x16 pick(f32x16 table, i32x16 index) {
  float lanes[16];
  store(lanes, table);
  return gather(lanes, index);
}

EMB_OP void butterfly(f32x4& a, f32x4& b) {
  const f32x4 sum = a + b;
  b = a - b;
  a = sum;
}
// Strides 1 and 2: even lanes and odd lanes side by side, twice, then back in order.
EMB_OP void butterfly4(f32x4& a, f32x4& b) {
  for (int stage = 0; stage < 3; ++stage) {
    const f32x4 even = __builtin_shufflevector(a, b, 0, 2, 4, 6);
    b = __builtin_shufflevector(a, b, 1, 3, 5, 7);
    a = even;
    if (stage < 2) butterfly(a, b);
  }
}
// Butterflies (a + b, a - b) of strides 1, 2, 4 and 8, in this order.
EMB_OP f32x16 hadamard16(f32x16 a) {
  butterfly4(a.v[0], a.v[1]);
  butterfly4(a.v[2], a.v[3]);
  butterfly(a.v[0], a.v[1]);
  butterfly(a.v[2], a.v[3]);
  butterfly(a.v[0], a.v[2]);
  butterfly(a.v[1], a.v[3]);
  return a;
}

// Lane l gets p[l >> shift]; shift is 1 to 6, and only 16 >> shift values of p are read (one at least).
EMB_OP f32x16 spread(const float* p, int shift) {
  f32x16 r;
  for (int i = 0; i < 4; ++i) {
    const float first = p[4 * i >> shift], second = p[(4 * i + 2) >> shift];
    r.v[i] = f32x4{first, first, second, second};
  }
  return r;
}

// The sum in the order that the numeric contract fixes: halves added lane by lane, 16 to 8 to 4 to 2 to 1.
// Sums in float64 of 16 lanes.
struct f64x16 {
  double v[16];
};
EMB_OP f64x16 zero_f64() { return {}; }
EMB_OP f64x16 add_f64(const f64x16& sum, f32x16 a) {
  f64x16 r;
  for (int i = 0; i < 16; ++i) r.v[i] = sum.v[i] + static_cast<double>(a.v[i / 4][i % 4]);
  return r;
}
EMB_OP void store_f64(double* p, const f64x16& a) { __builtin_memcpy(p, a.v, sizeof a.v); }

EMB_OP float reduce_add(f32x16 a) {
  const f32x4 s = (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
EMB_OP float reduce_min(f32x16 a) {
  float r = a.v[0][0];
  for (int i = 1; i < 16; ++i) r = a.v[i / 4][i % 4] < r ? a.v[i / 4][i % 4] : r;
  return r;
}
EMB_OP float reduce_max(f32x16 a) {
  float r = a.v[0][0];
  for (int i = 1; i < 16; ++i) r = a.v[i / 4][i % 4] > r ? a.v[i / 4][i % 4] : r;
  return r;
}
EMB_OP bool all_finite(f32x16 a) {
  i32x4 bad = {0, 0, 0, 0};
  for (int i = 0; i < 4; ++i) bad |= ((i32x4)a.v[i] & 0x7f800000) == 0x7f800000;
  return (bad[0] | bad[1] | bad[2] | bad[3]) == 0;
}
// The number of bits in which `a` differs from each of R rows.
template <int R>
EMB_OP void popcount_xor(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  count_different_bits<R>(a, rows, bytes, counts);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#include "bytes_scalar.h"
