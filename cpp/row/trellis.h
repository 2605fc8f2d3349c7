// The bit string of a trellis code and its windows: docs/trellis.md.
#pragma once
#include "../core.h"

namespace embcodec {

constexpr int kTrellisStates = 256;  // a window of 8 bits
constexpr int kTrellisUnit = 16;     // components of one rate come in runs of this length
constexpr int kTrellisBooks = 8;     // rows of `codebooks`: first and second of a pair at half a bit, then 1 to 6 bits

// Fitted parameters. `rates` holds half bits a component: 0, 1, 2, 4, 6, 8, 10 or 12, falling, constant over each unit.
// A decoded component is codebook[window] * step.
struct TrellisParams {
  const int8_t* codebooks;  // (kTrellisBooks, 256)
  const float* step;        // (d,)
  const float* inverse;     // 1 / step, 0 where the step is 0; the encoder's alone, as is the weight
  const float* weight;      // (d,) of a squared error in units of the step
  const uint8_t* rates;     // (d,)
  int64_t d;
  int64_t coded;        // components with a rate above 0: a multiple of kTrellisUnit
  int64_t bytes;        // of a row's bit string
  int64_t last_window;  // where the last window begins, in bits
};

namespace {

// Bits by which the window moves on to reach step t, which codes one component, or two at half a bit.
EMB_HD int trellis_shift(int rate) { return rate == 1 ? 1 : rate / 2; }

// The codebook of a rate; a pair of components at half a bit has two.
EMB_HD int trellis_book(int rate) { return rate == 1 ? 0 : rate / 2 + 1; }

// The 8 bits at bit `at` of the row. The row's last byte may be needed alone.
EMB_HD uint32_t trellis_window(const uint8_t* row, int64_t bytes, int64_t at) {
  const int64_t byte = at / 8;
  const uint32_t next = byte + 1 < bytes ? row[byte + 1] : 0u;
  return ((row[byte] | next << 8) >> (at % 8)) & 255u;
}

// `out` gets d components.
EMB_HD void trellis_decode_row(const uint8_t* row, const TrellisParams& p, float* out) {
  int64_t at = 0;
  for (int64_t j = 0; j < p.coded;) {
    const int rate = p.rates[j];
    if (j > 0) at += trellis_shift(rate);
    const uint32_t window = trellis_window(row, p.bytes, at);
    const int8_t* book = p.codebooks + kTrellisStates * trellis_book(rate);
    out[j] = static_cast<float>(book[window]) * p.step[j];
    ++j;
    if (rate != 1) continue;
    out[j] = static_cast<float>(book[kTrellisStates + window]) * p.step[j];
    ++j;
  }
  for (int64_t j = p.coded; j < p.d; ++j) out[j] = 0.0f;
}

}  // namespace
}  // namespace embcodec
