// Trellis-coded quantization (Marcellin and Fischer, 1990) over the bit-shift trellis of QTIP (Tseng et al., 2024): the
// encoder is Viterbi's algorithm over 256 states, 16 of them to a vector.
#pragma once
#include "../row/trellis.h"
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The encoder numbers a state by its window with the bits reversed. The 2^shift states that can go before state s then
// are (s >> shift) + b * groups, groups = 256 >> shift: whole vectors apart, and the same for 2^shift neighbours.
EMB_OP int reversed8(int window) {
  int number = 0;
  for (int bit = 0; bit < 8; ++bit) number |= (window >> bit & 1) << (7 - bit);
  return number;
}

// least[t]: the least cost among states t + b * groups; choice[t]: the first b that has it.
EMB_OP void trellis_least(const float* cost, int shift, float* least, uint8_t* choice) {
  const int groups = kTrellisStates >> shift;
  int t = 0;
  for (; t + 16 <= groups; t += 16) {
    f32x16 low = load(cost + t);
    i32x16 which = splat_i32(0);
    for (int b = 1; b < 1 << shift; ++b) {
      const f32x16 other = load(cost + t + b * groups);
      const mask16 better = less(other, low);
      low = select(better, other, low);
      which = select_i32(better, splat_i32(b), which);
    }
    store(least + t, low);
    store_u8(choice + t, which);
  }
  for (; t < groups; ++t) {
    int which = 0;
    for (int b = 1; b < 1 << shift; ++b)
      if (cost[t + b * groups] < cost[t + which * groups]) which = b;
    least[t] = cost[t + which * groups];
    choice[t] = static_cast<uint8_t>(which);
  }
}

EMB_OP f32x16 weighted_error(const float* levels, f32x16 x, f32x16 weight) {
  const f32x16 t = sub(x, load(levels));
  return mul(weight, mul(t, t));
}

// cost[s] = least[s >> shift] + the weighted error of state s in this step's component or pair of components.
EMB_OP void trellis_extend(const float* least, int shift, bool pair, const float* levels, const float* x,
                           const float* weight, float* cost) {
  const f32x16 x0 = splat(x[0]), w0 = splat(weight[0]);
  const f32x16 x1 = splat(pair ? x[1] : 0.0f), w1 = splat(pair ? weight[1] : 0.0f);
  for (int s = 0; s < kTrellisStates; s += 16) {
    f32x16 error = weighted_error(levels + s, x0, w0);
    if (pair) error = add(error, weighted_error(levels + kTrellisStates + s, x1, w1));
    store(cost + s, add(spread(least + (s >> shift), shift), error));
  }
}

// An encoder's scratch memory, trellis_scratch(d) floats.
struct TrellisWork {
  float* row;       // components in units of their step
  float* levels;    // the codebooks as float32, in the order of the states' numbers
  float* cost;      // of each state
  float* least;     // of each group of predecessors
  uint8_t* choice;  // 256 a step
};

inline TrellisWork trellis_work(const TrellisParams& p, float* scratch) {
  TrellisWork w;
  w.row = scratch;
  w.levels = w.row + 2 * padded16(p.d);
  w.cost = w.levels + kTrellisBooks * kTrellisStates;
  w.least = w.cost + kTrellisStates;
  w.choice = reinterpret_cast<uint8_t*>(w.least + kTrellisStates);
  for (int book = 0; book < kTrellisBooks; ++book)
    for (int window = 0; window < kTrellisStates; ++window)
      w.levels[book * kTrellisStates + reversed8(window)] = p.codebooks[book * kTrellisStates + window];
  return w;
}

EMB_OP int lowest_state(const float* cost) {
  int best = 0;
  for (int s = 1; s < kTrellisStates; ++s)
    if (cost[s] < cost[best]) best = s;
  return best;
}

// From the last state back to the first, each window into its place of the bit string, which was zeroed.
inline void trellis_trace(const TrellisParams& p, const TrellisWork& w, int state, uint8_t* out) {
  int64_t at = p.last_window;
  for (int64_t j = p.coded; j > 0;) {
    j -= p.rates[j - 1] == 1 ? 2 : 1;
    const uint32_t bits = static_cast<uint32_t>(reversed8(state)) << (at % 8);
    out[at / 8] |= static_cast<uint8_t>(bits);
    if (at % 8) out[at / 8 + 1] |= static_cast<uint8_t>(bits >> 8);
    if (j == 0) break;
    const int shift = trellis_shift(p.rates[j]), group = state >> shift;
    state = group + w.choice[j * kTrellisStates + group] * (kTrellisStates >> shift);
    at -= shift;
  }
}

int64_t trellis_encode(const Rows& x, const TrellisParams& p, CodesOut out, Range r, float* scratch) {
  const TrellisWork w = trellis_work(p, scratch);
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, w.row);
    if (!row) return i;
    float* scaled = w.row + padded16(p.d);
    for (int64_t j = 0; j < p.coded; ++j) scaled[j] = row[j] * p.inverse[j];
    for (int t = 0; t < kTrellisStates; ++t) w.least[t] = 0.0f;  // any window may come first
    for (int64_t j = 0; j < p.coded;) {
      const int rate = p.rates[j], shift = trellis_shift(rate);
      const float* levels = w.levels + kTrellisStates * trellis_book(rate);
      if (j > 0) trellis_least(w.cost, shift, w.least, w.choice + j * kTrellisStates);
      trellis_extend(w.least, shift, rate == 1, levels, scaled + j, p.weight + j, w.cost);
      j += rate == 1 ? 2 : 1;
    }
    uint8_t* to = out.data + i * out.stride;
    for (int64_t b = 0; b < p.bytes; ++b) to[b] = 0;
    trellis_trace(p, w, lowest_state(w.cost), to);
  }
  return kAllFinite;
}

void trellis_decode(const Codes& codes, const TrellisParams& p, float* out, Range r, float*) {
  for (int64_t i = r.begin; i < r.end; ++i) trellis_decode_row(codes.data + i * codes.stride, p, out + i * p.d);
}

void trellis_topk(const Codes& codes, const TrellisParams& p, const RowExtras& e, const Scan& scan, Range rows,
                  Range queries, float* scratch) {
  const int64_t stride = scan.queries.stride;
  scan_rows(scan, rows, queries, scratch, [&](int64_t row, float* buffer) {
    trellis_decode_row(codes.data + row * codes.stride, p, buffer);
    for (int64_t j = p.d; j < stride; ++j) buffer[j] = 0.0f;
    add_extras(e, row, buffer, p.coded, stride);
    return static_cast<const float*>(buffer);
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
