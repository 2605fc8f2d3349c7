// Hadamard matrices of order m * 2^k: butterflies for the factor 2^k, one of these for m.
#pragma once
#include "../core.h"

namespace embcodec {
namespace {

// Symmetric, by Paley's second construction (1933) over the fields of 5 and 9 elements. Bit j of row i is set where
// the element is +1.
template <int M>
struct Paley;
template <>
struct Paley<1> {
  static constexpr uint32_t rows[1] = {1};
};
template <>
struct Paley<12> {
  static constexpr uint32_t rows[12] = {0xffd, 0x554, 0xc37, 0x691, 0x0df, 0xa45,
                                        0x373, 0x919, 0xdc3, 0x469, 0x70f, 0x1a5};
};
template <>
struct Paley<20> {
  static constexpr uint32_t rows[20] = {0xffffd, 0x55554, 0x0c3f7, 0xa6951, 0x30cdf, 0x9a645, 0xc307f,
                                        0x69a15, 0x0fd0f, 0xa54a5, 0x33733, 0x99199, 0xc1fc3, 0x68569,
                                        0xf430f, 0x529a5, 0xdcc33, 0x46699, 0x7f0c3, 0x15a69};
};

// The m of an allowed size m * 2^k.
EMB_HD int paley_order(int64_t size) { return size % 5 == 0 ? 20 : size % 3 == 0 ? 12 : 1; }

}  // namespace
}  // namespace embcodec
