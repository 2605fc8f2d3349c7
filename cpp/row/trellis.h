// The bit string of a trellis code and its windows: docs/trellis.md.
#pragma once
#include "../core.h"

namespace embcodec {

constexpr int kTrellisStates = 256;  // a window of 8 bits
// Levels of a codebook: a window w of the other half stands for minus the level of 255 - w.
constexpr int kTrellisLevels = 128;
constexpr int kTrellisUnit = 16;  // components that share a rate; the last unit is what the others leave
constexpr int kTrellisBooks = 8;  // rows of `codebooks`: first and second of a pair at half a bit, then 1 to 6 bits
constexpr int kTrellisRates = 7;  // above 0

// A run of components of one rate. Its bits begin with a byte, since a unit takes `rate` bytes. The last unit's may end
// within one, which zeros fill.
struct TrellisSegment {
  int rate;              // half bits a component
  int64_t begin, count;  // components
  int64_t byte;          // where its bits begin
};

// Fitted parameters. `rates` holds half bits a component: 0, 1, 2, 4, 6, 8, 10 or 12, falling, constant over each unit;
// those at 1 are even in number. A decoded component is level * step.
struct TrellisParams {
  const int8_t* codebooks;  // (kTrellisBooks, kTrellisLevels)
  const float* step;        // (d,)
  const float* inverse;     // 1 / step, 0 where the step is 0; the encoder's alone, as is the weight
  const float* weight;      // (d,) of a squared error in units of the step
  const uint8_t* rates;     // (d,)
  const float* factors;  // (256,) by which a row is multiplied, chosen by the byte behind its bit string; may be null
  int64_t d;
  int64_t coded;  // components with a rate above 0
  int64_t bytes;  // of a row's bit string
  int segments;
  TrellisSegment segment[kTrellisRates];
};

namespace {

// Bits by which the window moves on past a component, or past two at half a bit.
EMB_HD int trellis_shift(int rate) { return rate == 1 ? 1 : rate / 2; }

// Components to a window.
EMB_HD int trellis_width(int rate) { return rate == 1 ? 2 : 1; }

// The codebook of a rate; a pair of components at half a bit has two.
EMB_HD int trellis_book(int rate) { return rate == 1 ? 0 : rate / 2 + 1; }

EMB_HD int trellis_level(const int8_t* book, uint32_t window) {
  return window < kTrellisLevels ? book[window] : -book[kTrellisStates - 1 - window];
}

// What follows from the rates.
EMB_HD void trellis_plan(TrellisParams& p) {
  p.coded = p.bytes = p.segments = 0;
  while (p.coded < p.d && p.rates[p.coded]) {
    TrellisSegment& s = p.segment[p.segments++];
    s = {p.rates[p.coded], p.coded, 0, p.bytes};
    while (p.coded < p.d && p.rates[p.coded] == s.rate) ++p.coded;
    s.count = p.coded - s.begin;
    p.bytes += (s.count * s.rate + kTrellisUnit - 1) / kTrellisUnit;
  }
}

}  // namespace
}  // namespace embcodec
