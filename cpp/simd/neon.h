// AArch64 NEON: 16 lanes as four 128-bit registers.
#pragma once
#include <arm_neon.h>

#include "../row/bits.h"

#define EMB_OP inline __attribute__((always_inline))

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTileRows = 2, kTileQueries = 2;
constexpr int kColumnRows = 6, kColumnVectors = 1;  // 24 of the 32 registers
constexpr int kPanelRows = 6, kPanelVectors = 1;
constexpr int kGroup = 4, kShortGroup = 4;  // codewords compared at a time with 16 rows; of few dimensions

struct f32x16 {
  float32x4_t v[4];
};
struct i32x16 {
  int32x4_t v[4];
};
struct mask16 {
  uint32x4_t v[4];
};

#define EMB_LANES(TYPE, EXPR)                  \
  TYPE r;                                      \
  for (int i = 0; i < 4; ++i) r.v[i] = (EXPR); \
  return r;

EMB_OP f32x16 load(const float* p){EMB_LANES(f32x16, vld1q_f32(p + 4 * i))} EMB_OP void store(float* p, f32x16 a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.v[i]);
}
EMB_OP f32x16 splat(float x){EMB_LANES(f32x16, vdupq_n_f32(x))} EMB_OP i32x16
    splat_i32(int32_t x){EMB_LANES(i32x16, vdupq_n_s32(x))}

EMB_OP f32x16 add(f32x16 a, f32x16 b){EMB_LANES(f32x16, vaddq_f32(a.v[i], b.v[i]))} EMB_OP f32x16
    sub(f32x16 a, f32x16 b){EMB_LANES(f32x16, vsubq_f32(a.v[i], b.v[i]))} EMB_OP f32x16
    mul(f32x16 a, f32x16 b){EMB_LANES(f32x16, vmulq_f32(a.v[i], b.v[i]))} EMB_OP f32x16
    div(f32x16 a, f32x16 b){EMB_LANES(f32x16, vdivq_f32(a.v[i], b.v[i]))} EMB_OP f32x16
    muladd(f32x16 a, f32x16 b, f32x16 c){EMB_LANES(f32x16, vfmaq_f32(c.v[i], a.v[i], b.v[i]))} EMB_OP f32x16
    fused(f32x16 a, f32x16 b, f32x16 c){EMB_LANES(f32x16, vfmaq_f32(c.v[i], a.v[i], b.v[i]))}
// vminq and vmaxq return NaN for NaN; the contract wants the second operand.
EMB_OP f32x16
    min(f32x16 a, f32x16 b){EMB_LANES(f32x16, vbslq_f32(vcltq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]))} EMB_OP f32x16
    max(f32x16 a, f32x16 b){EMB_LANES(f32x16, vbslq_f32(vcgtq_f32(a.v[i], b.v[i]), a.v[i], b.v[i]))} EMB_OP f32x16
    abs(f32x16 a){EMB_LANES(f32x16, vabsq_f32(a.v[i]))}

EMB_OP f32x16 negate(f32x16 a){EMB_LANES(f32x16, vnegq_f32(a.v[i]))}

EMB_OP mask16 less(f32x16 a, f32x16 b){EMB_LANES(mask16, vcltq_f32(a.v[i], b.v[i]))} EMB_OP mask16
    less_i32(i32x16 a, i32x16 b){EMB_LANES(mask16, vcltq_s32(a.v[i], b.v[i]))} EMB_OP mask16
    equal(f32x16 a, f32x16 b){EMB_LANES(mask16, vceqq_f32(a.v[i], b.v[i]))} EMB_OP mask16
    both(mask16 a, mask16 b){EMB_LANES(mask16, vandq_u32(a.v[i], b.v[i]))} EMB_OP mask16
    either(mask16 a, mask16 b){EMB_LANES(mask16, vorrq_u32(a.v[i], b.v[i]))} EMB_OP f32x16
    select(mask16 m, f32x16 a, f32x16 b){EMB_LANES(f32x16, vbslq_f32(m.v[i], a.v[i], b.v[i]))} EMB_OP i32x16
    select_i32(mask16 m, i32x16 a, i32x16 b){EMB_LANES(i32x16, vbslq_s32(m.v[i], a.v[i], b.v[i]))} EMB_OP i32x16
    add_i32(i32x16 a, i32x16 b){EMB_LANES(i32x16, vaddq_s32(a.v[i], b.v[i]))}

EMB_OP uint32_t mask_bits(mask16 m) {
  const uint32_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  uint32x4_t four = vandq_u32(m.v[0], vld1q_u32(weights));
  for (int i = 1; i < 4; ++i) four = vorrq_u32(four, vandq_u32(m.v[i], vld1q_u32(weights + 4 * i)));
  return vaddvq_u32(four);
}
EMB_OP mask16 mask_of(uint32_t bits) {
  const uint32_t weights[4] = {1, 2, 4, 8};
  const uint32x4_t w = vld1q_u32(weights);
  EMB_LANES(mask16, vtstq_u32(vdupq_n_u32(bits >> (4 * i)), w))
}

EMB_OP i32x16 round_to_i32(f32x16 a){EMB_LANES(i32x16, vcvtnq_s32_f32(a.v[i]))} EMB_OP f32x16
    to_f32(i32x16 a){EMB_LANES(f32x16, vcvtq_f32_s32(a.v[i]))}

EMB_OP void store_i32(int32_t* p, i32x16 a) {
  for (int i = 0; i < 4; ++i) vst1q_s32(p + 4 * i, a.v[i]);
}
EMB_OP i32x16 load_i32(const int32_t* p){EMB_LANES(i32x16, vld1q_s32(p + 4 * i))}

EMB_OP int compress_store(float* to, int32_t* indices_to, f32x16 a, i32x16 indices, mask16 m) {
  uint32_t count = 0;
  for (int i = 0; i < 16; ++i) {
    to[count] = a.v[i / 4][i % 4];
    indices_to[count] = indices.v[i / 4][i % 4];
    count += m.v[i / 4][i % 4] & 1;
  }
  return static_cast<int>(count);
}
EMB_OP i32x16 widen_u8(uint8x16_t bytes) {
  const uint16x8_t lo = vmovl_u8(vget_low_u8(bytes)), hi = vmovl_u8(vget_high_u8(bytes));
  i32x16 r;
  r.v[0] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(lo)));
  r.v[1] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(lo)));
  r.v[2] = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(hi)));
  r.v[3] = vreinterpretq_s32_u32(vmovl_u16(vget_high_u16(hi)));
  return r;
}
EMB_OP uint8x16_t narrow_u8(i32x16 a) {
  const uint16x8_t lo = vcombine_u16(vqmovun_s32(a.v[0]), vqmovun_s32(a.v[1]));
  const uint16x8_t hi = vcombine_u16(vqmovun_s32(a.v[2]), vqmovun_s32(a.v[3]));
  return vcombine_u8(vqmovn_u16(lo), vqmovn_u16(hi));
}
EMB_OP i32x16 load_u8(const uint8_t* p) { return widen_u8(vld1q_u8(p)); }
EMB_OP i32x16 load_i8(const int8_t* p) {
  const int8x16_t a = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(a)), high = vmovl_s8(vget_high_s8(a));
  return {{vmovl_s16(vget_low_s16(low)), vmovl_s16(vget_high_s16(low)), vmovl_s16(vget_low_s16(high)),
           vmovl_s16(vget_high_s16(high))}};
}
EMB_OP void store_u8(uint8_t* p, i32x16 a) { vst1q_u8(p, narrow_u8(a)); }
// Bytes (e, o) seen as a word are e + 256*o: e | o << 4 is the word or-ed with itself shifted right by 4, low byte.
EMB_OP void store_u4(uint8_t* p, i32x16 a) {
  const uint16x8_t words = vreinterpretq_u16_u8(narrow_u8(a));
  vst1_u8(p, vmovn_u16(vorrq_u16(words, vshrq_n_u16(words, 4))));
}
EMB_OP i32x16 load_u4(const uint8_t* p) {
  const uint8x8_t bytes = vld1_u8(p);
  const uint8x8x2_t pairs = vzip_u8(vand_u8(bytes, vdup_n_u8(15)), vshr_n_u8(bytes, 4));
  return widen_u8(vcombine_u8(pairs.val[0], pairs.val[1]));
}
// Four 6-bit values of a dword move together to its low 24 bits, then the dwords' three bytes each to 12 in a row.
EMB_OP void store_u6(uint8_t* p, i32x16 a) {
  const uint32x4_t v = vreinterpretq_u32_u8(narrow_u8(a));
  const uint32x4_t low = vorrq_u32(vandq_u32(v, vdupq_n_u32(0x3f)), vshrq_n_u32(vandq_u32(v, vdupq_n_u32(0x3f00)), 2));
  const uint32x4_t high = vorrq_u32(vshrq_n_u32(vandq_u32(v, vdupq_n_u32(0x3f0000)), 4),
                                    vshrq_n_u32(vandq_u32(v, vdupq_n_u32(0x3f000000)), 6));
  const uint8_t order[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255};
  uint8_t packed[16];
  vst1q_u8(packed, vqtbl1q_u8(vreinterpretq_u8_u32(vorrq_u32(low, high)), vld1q_u8(order)));
  __builtin_memcpy(p, packed, 12);
}
// 16 codes of BITS bits, eight from the lowest bits of each word on.
template <int BITS>
EMB_OP i32x16 cut_codes(uint32_t first, uint32_t second) {
  const int32x4_t lanes = {0, -BITS, -2 * BITS, -3 * BITS};
  const auto four = [&](uint32_t word, int from) {
    const uint32x4_t shifted = vshlq_u32(vdupq_n_u32(word >> from * BITS), lanes);
    return vreinterpretq_s32_u32(vandq_u32(shifted, vdupq_n_u32((1u << BITS) - 1)));
  };
  return {{four(first, 0), four(first, 4), four(second, 0), four(second, 4)}};
}
EMB_OP i32x16 load_u6(const uint8_t* p) {
  const uint8_t order[16] = {0, 1, 2, 255, 3, 4, 5, 255, 6, 7, 8, 255, 9, 10, 11, 255};
  uint8_t bytes[16] = {};
  __builtin_memcpy(bytes, p, 12);
  const uint32x4_t v = vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(bytes), vld1q_u8(order)));
  const uint32x4_t low = vorrq_u32(vandq_u32(v, vdupq_n_u32(0x3f)), vandq_u32(vshlq_n_u32(v, 2), vdupq_n_u32(0x3f00)));
  const uint32x4_t high = vorrq_u32(vandq_u32(vshlq_n_u32(v, 4), vdupq_n_u32(0x3f0000)),
                                    vandq_u32(vshlq_n_u32(v, 6), vdupq_n_u32(0x3f000000)));
  return widen_u8(vreinterpretq_u8_u32(vorrq_u32(low, high)));
}
EMB_OP f32x16 load_f16(const uint16_t* p){
    EMB_LANES(f32x16, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))))} EMB_OP f32x16
    load_bf16(const uint16_t* p){
        EMB_LANES(f32x16, vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)))} EMB_OP f32x16
    load_f64(const double* p){EMB_LANES(f32x16, vcombine_f32(vcvt_f32_f64(vld1q_f64(p + 4 * i)),
                                                             vcvt_f32_f64(vld1q_f64(p + 4 * i + 2))))} EMB_OP f32x16
    gather(const float* base, i32x16 index) {
  int32_t at[16];
  float values[16];
  store_i32(at, index);
  for (int i = 0; i < 16; ++i) values[i] = base[at[i]];
  return load(values);
}
// Halves of what is not beyond the largest finite one: row/halves.h.
EMB_OP void store_f16(uint16_t* p, f32x16 a) {
  for (int i = 0; i < 4; ++i) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.v[i])));
}
EMB_OP void store_bf16(uint16_t* p, f32x16 a) {
  for (int i = 0; i < 4; ++i) {
    const uint32x4_t bits = vreinterpretq_u32_f32(a.v[i]), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    vst1_u16(p + 4 * i, vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16));
  }
}
// The lanes of `table` that indices from 0 to 15 name.
EMB_OP f32x16 pick(f32x16 table, i32x16 index) {
  float lanes[16];
  store(lanes, table);
  return gather(lanes, index);
}

// Lane l gets p[l >> shift]; shift is 1 to 6, and only 16 >> shift values of p are read (one at least).
EMB_OP f32x16 spread(const float* p, int shift){
    EMB_LANES(f32x16, vcombine_f32(vdup_n_f32(p[4 * i >> shift]), vdup_n_f32(p[(4 * i + 2) >> shift])))}
#undef EMB_LANES

EMB_OP void butterfly(float32x4_t& a, float32x4_t& b) {
  const float32x4_t sum = vaddq_f32(a, b);
  b = vsubq_f32(a, b);
  a = sum;
}
// Strides 1 and 2: even lanes and odd lanes side by side, twice, then back in order.
EMB_OP void butterfly4(float32x4_t& a, float32x4_t& b) {
  for (int stage = 0; stage < 3; ++stage) {
    const float32x4_t even = vuzp1q_f32(a, b);
    b = vuzp2q_f32(a, b);
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

// Sums in float64 of 16 lanes.
struct f64x16 {
  float64x2_t v[8];
};
EMB_OP f64x16 zero_f64() {
  f64x16 r;
  for (int i = 0; i < 8; ++i) r.v[i] = vdupq_n_f64(0.0);
  return r;
}
EMB_OP f64x16 add_f64(const f64x16& sum, f32x16 a) {
  f64x16 r;
  for (int i = 0; i < 4; ++i) {
    r.v[2 * i] = vaddq_f64(sum.v[2 * i], vcvt_f64_f32(vget_low_f32(a.v[i])));
    r.v[2 * i + 1] = vaddq_f64(sum.v[2 * i + 1], vcvt_high_f64_f32(a.v[i]));
  }
  return r;
}
EMB_OP void store_f64(double* p, const f64x16& a) {
  for (int i = 0; i < 8; ++i) vst1q_f64(p + 2 * i, a.v[i]);
}

EMB_OP float reduce_add(f32x16 a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.v[0], a.v[2]), vaddq_f32(a.v[1], a.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
EMB_OP float reduce_min(f32x16 a) {
  return vminvq_f32(vminq_f32(vminq_f32(a.v[0], a.v[1]), vminq_f32(a.v[2], a.v[3])));
}
EMB_OP float reduce_max(f32x16 a) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.v[0], a.v[1]), vmaxq_f32(a.v[2], a.v[3])));
}
EMB_OP bool all_finite(f32x16 a) {
  const uint32x4_t e = vdupq_n_u32(0x7f800000);
  uint32x4_t bad = vdupq_n_u32(0);
  for (int i = 0; i < 4; ++i) bad = vorrq_u32(bad, vceqq_u32(vandq_u32(vreinterpretq_u32_f32(a.v[i]), e), e));
  return vmaxvq_u32(bad) == 0;
}
template <int R>
EMB_OP void popcount_xor(const uint8_t* a, const uint8_t* const* rows, int64_t bytes, int64_t* counts) {
  uint32x4_t sums[R];
  for (int r = 0; r < R; ++r) sums[r] = vdupq_n_u32(0);
  int64_t j = 0;
  for (; j + 16 <= bytes; j += 16) {
    const uint8x16_t left = vld1q_u8(a + j);
    for (int r = 0; r < R; ++r) {
      const uint8x16_t differ = vcntq_u8(veorq_u8(left, vld1q_u8(rows[r] + j)));
      sums[r] = vpadalq_u16(sums[r], vpaddlq_u8(differ));
    }
  }
  const uint8_t* rest[R];
  for (int r = 0; r < R; ++r) rest[r] = rows[r] + j;
  count_different_bits<R>(a + j, rest, bytes - j, counts);
  for (int r = 0; r < R; ++r) counts[r] += vaddvq_u32(sums[r]);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#include "bytes_neon.h"
