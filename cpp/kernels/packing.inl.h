// 16 codes of BITS bits at a time between lanes and the packed row (row/pack.h), where they are 2 * BITS whole bytes.
#pragma once
#include "../row/pack.h"
#include "rows.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Turns a number of bits known at run time into one known to the compiler.
template <int BITS>
struct Bits {
  constexpr int operator()() const { return BITS; }
};
template <class Call>
EMB_OP void for_bits(int bits, Call call) {
  switch (bits) {
    case 1:
      return call(Bits<1>());
    case 2:
      return call(Bits<2>());
    case 3:
      return call(Bits<3>());
    case 4:
      return call(Bits<4>());
    case 5:
      return call(Bits<5>());
    case 6:
      return call(Bits<6>());
    case 7:
      return call(Bits<7>());
    default:
      return call(Bits<8>());
  }
}

// 16 codes to their place in the row; `count` < 16 for the last ones, whose unused lanes must be 0.
template <int BITS>
EMB_OP void put_codes(uint8_t* out, int64_t j, i32x16 codes, int64_t count) {
  uint8_t* at = out + j * BITS / 8;
  if (BITS == 8 && count == 16) return store_u8(at, codes);
  if (BITS == 6 && count == 16) return store_u6(at, codes);
  if (BITS == 4 && count == 16) return store_u4(at, codes);
  uint8_t bytes[16];
  store_u8(bytes, codes);
  if (count < 16) return pack_bits(bytes, count, BITS, at);
  for (int half = 0; half < 2; ++half) {
    uint64_t word;
    __builtin_memcpy(&word, bytes + 8 * half, 8);
    word = gather8<BITS>(word);
    __builtin_memcpy(at + half * BITS, &word, BITS);
  }
}

template <int BITS>
EMB_OP i32x16 get_codes(const uint8_t* codes, int64_t j, int64_t count) {
  const uint8_t* at = codes + j * BITS / 8;
  if (BITS == 8 && count == 16) return load_u8(at);
  if (BITS == 6 && count == 16) return load_u6(at);
  if (BITS == 4 && count == 16) return load_u4(at);
  if ((BITS == 2 || BITS == 3) && count == 16) {
    const auto word = [](const uint8_t* p) {  // a copy of three bytes would go through memory
      return uint32_t{p[0]} | uint32_t{p[1]} << 8 | (BITS == 3 ? uint32_t{p[2]} << 16 : 0);
    };
    return cut_codes<BITS % 4>(word(at), word(at + BITS));
  }
  uint8_t bytes[16] = {};
  if (count < 16) {
    unpack_bits(at, count, BITS, bytes);
    return load_u8(bytes);
  }
  for (int half = 0; half < 2; ++half) {
    uint64_t word = 0;
    __builtin_memcpy(&word, at + half * BITS, BITS);
    word = spread8<BITS>(word);
    __builtin_memcpy(bytes + 8 * half, &word, 8);
  }
  return load_u8(bytes);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
