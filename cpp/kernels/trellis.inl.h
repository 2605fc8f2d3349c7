// Trellis-coded quantization (Marcellin and Fischer, 1990) over the bit-shift trellis of QTIP (Tseng et al., 2024): the
// encoder is Viterbi's algorithm over 256 states, 16 of them to a vector.
#pragma once
#include "../row/trellis.h"
#include "scan.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// A state is a window. The encoder goes from the last component to the first: the 2^shift windows that can follow
// window w are (w >> shift) + b * groups, groups = 256 >> shift: whole vectors apart up to a shift of 4, and the same
// for 2^shift neighbours.
constexpr int kStateVectors = kTrellisStates / 16;

// The costs of all states, in registers where there are as many.
struct StateCosts {
  f32x16 of[kStateVectors];
};

// least[t]: the least cost among states t + b * groups. Which b comes first among those that have it, a tournament
// says: its rounds are behind each other in `choice`, and of each match the bits of all groups, set where the second
// wins.
template <int SHIFT>
EMB_OP void least_by_rounds(const StateCosts& cost, float* least, uint8_t* choice) {
  constexpr int kVectors = kStateVectors >> SHIFT;
#pragma GCC unroll 8
  for (int g = 0; g < kVectors; ++g) {
    f32x16 low[1 << SHIFT];
#pragma GCC unroll 16
    for (int b = 0; b < 1 << SHIFT; ++b) low[b] = cost.of[g + b * kVectors];
    uint8_t* to = choice + 2 * g;
#pragma GCC unroll 4
    for (int left = 1 << (SHIFT - 1); left; left /= 2) {
#pragma GCC unroll 8
      for (int i = 0; i < left; ++i, to += 2 * kVectors) {
        const uint16_t second = static_cast<uint16_t>(mask_bits(less(low[2 * i + 1], low[2 * i])));
        __builtin_memcpy(to, &second, 2);
        low[i] = min(low[2 * i + 1], low[2 * i]);
      }
    }
    store(least + 16 * g, low[0]);
  }
}

// Of a match the bit of a group. The words that hold it are loaded before the group is known.
template <int SHIFT>
EMB_OP uint32_t match_bit(const uint8_t* match, int group) {
  constexpr int kGroups = kTrellisStates >> SHIFT;
  if constexpr (kGroups > 64) {
    uint64_t words[2];
    __builtin_memcpy(words, match, sizeof words);
    return (group < 64 ? words[0] : words[1]) >> group % 64 & 1;
  } else {
    uint64_t word = 0;
    __builtin_memcpy(&word, match, kGroups / 8);
    return word >> group & 1;
  }
}

template <int SHIFT>
EMB_OP int choice_by_rounds(const uint8_t* choice, int group) {
  constexpr int kBytes = (kTrellisStates >> SHIFT) / 8;
  const uint8_t* round = choice + ((1 << SHIFT) - 2) * kBytes;  // the final
  uint32_t b = match_bit<SHIFT>(round, group);
#pragma GCC unroll 4
  for (int matches = 2; matches < 1 << SHIFT; matches *= 2) {
    round -= matches * kBytes;
    b = 2 * b + match_bit<SHIFT>(round + b * kBytes, group);
  }
  return static_cast<int>(b);
}

// The same for groups within a vector: choice[t] is that b.
EMB_OP void least_of_few(const StateCosts& cost, int groups, float* least, uint8_t* choice) {
  f32x16 low = cost.of[0];
  i32x16 which = splat_i32(0);
#pragma GCC unroll 16
  for (int v = 1; v < kStateVectors; ++v) {
    const mask16 better = less(cost.of[v], low);
    low = select(better, cost.of[v], low);
    which = select_i32(better, splat_i32(v), which);
  }
  float lanes[16];
  int32_t vector[16];
  store(lanes, low);
  store_i32(vector, which);
  for (int t = 0; t < groups; ++t) {
    int lane = t;
    for (int other = t + groups; other < 16; other += groups)
      if (lanes[other] < lanes[lane] || (lanes[other] == lanes[lane] && vector[other] < vector[lane])) lane = other;
    least[t] = lanes[lane];
    choice[t] = static_cast<uint8_t>((16 * vector[lane] + lane) / groups);
  }
}

EMB_OP f32x16 weighted_error(const float* levels, f32x16 x, f32x16 weight) {
  const f32x16 t = sub(x, load(levels));
  return mul(weight, mul(t, t));
}

// An encoder's scratch memory, trellis_scratch(d) floats.
struct TrellisWork {
  float* row;       // components in units of their step
  float* levels;    // the codebooks as float32, a level for each window
  uint8_t* choice;  // kChoiceBytes for each component, a pair's with its first
};

inline TrellisWork trellis_work(const TrellisParams& p, float* scratch) {
  TrellisWork w;
  w.row = scratch;
  w.levels = w.row + 2 * padded16(p.d);
  w.choice = reinterpret_cast<uint8_t*>(w.levels + kTrellisBooks * kTrellisStates);
  for (int book = 0; book < kTrellisBooks; ++book)
    for (uint32_t window = 0; window < kTrellisStates; ++window)
      w.levels[book * kTrellisStates + static_cast<int>(window)] =
          static_cast<float>(trellis_level(p.codebooks + book * kTrellisLevels, window));
  return w;
}

// From the last component of a segment to the first: cost[s] = least[s >> shift] + the weighted error of state s in the
// component, or pair of them.
template <int SHIFT, bool PAIR>
EMB_OP void segment_costs(const TrellisParams& p, const TrellisSegment& s, const TrellisWork& w, const float* scaled,
                          StateCosts& cost) {
  const float* levels = w.levels + kTrellisStates * trellis_book(s.rate);
  StateCosts now = cost;
  for (int64_t j = s.begin + s.count; j > s.begin;) {
    j -= PAIR ? 2 : 1;
    float least[kTrellisStates / 2];
    if constexpr (SHIFT <= 4)
      least_by_rounds<SHIFT>(now, least, w.choice + j * kChoiceBytes);
    else
      least_of_few(now, kTrellisStates >> SHIFT, least, w.choice + j * kChoiceBytes);
    const f32x16 x0 = splat(scaled[j]), w0 = splat(p.weight[j]);
    const f32x16 x1 = splat(scaled[j + PAIR]), w1 = splat(p.weight[j + PAIR]);
#pragma GCC unroll 16
    for (int v = 0; v < kStateVectors; ++v) {
      f32x16 error = weighted_error(levels + 16 * v, x0, w0);
      if (PAIR) error = add(error, weighted_error(levels + kTrellisStates + 16 * v, x1, w1));
      now.of[v] = add(spread(least + (16 * v >> SHIFT), SHIFT), error);
    }
  }
  cost = now;
}

// call(shift) with the shift of a rate known to the compiler, 0 for pairs.
template <int SHIFT>
struct Shift {
  constexpr int operator()() const { return SHIFT; }
};
template <class Call>
EMB_OP void for_trellis_rate(int rate, const Call& call) {
  switch (rate) {
    case 1:
      return call(Shift<0>());
    case 2:
      return call(Shift<1>());
    case 4:
      return call(Shift<2>());
    case 6:
      return call(Shift<3>());
    case 8:
      return call(Shift<4>());
    case 10:
      return call(Shift<5>());
    default:
      return call(Shift<6>());
  }
}

// The bits that the windows of a segment add to the row's string, from `state` on; the first state behind it.
template <int SHIFT, bool PAIR>
EMB_OP int trace_segment(const TrellisSegment& s, const TrellisWork& w, int state, uint8_t* out) {
  uint64_t bits = 0;
  int held = 0;
  for (int64_t j = s.begin; j < s.begin + s.count; j += PAIR ? 2 : 1) {
    bits |= static_cast<uint64_t>(state & ((1 << SHIFT) - 1)) << held;
    for (held += SHIFT; held >= 8; held -= 8, bits >>= 8) *out++ = static_cast<uint8_t>(bits);
    const int group = state >> SHIFT;
    const uint8_t* choice = w.choice + j * kChoiceBytes;
    int b;
    if constexpr (SHIFT <= 4)
      b = choice_by_rounds<SHIFT>(choice, group);
    else
      b = choice[group];
    state = group + b * (kTrellisStates >> SHIFT);
  }
  if (held) *out = static_cast<uint8_t>(bits);
  return state;
}

int64_t trellis_encode(const Rows& x, const TrellisParams& p, CodesOut out, Range r, float* scratch) {
  const TrellisWork w = trellis_work(p, scratch);
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, w.row);
    if (!row) return i;
    float* scaled = w.row + padded16(p.d);
    for (int64_t j = 0; j < p.coded; ++j) scaled[j] = row[j] * p.inverse[j];
    StateCosts cost;
    float begin[16] = {};  // nothing but zeros beyond the string
    for (int s = 1; s < 16; ++s) begin[s] = __builtin_inff();
    for (int v = 0; v < kStateVectors; ++v) cost.of[v] = v ? splat(__builtin_inff()) : load(begin);
    for (int n = p.segments; n--;)
      for_trellis_rate(p.segment[n].rate, [&](auto shift) {
        segment_costs<shift() ? shift() : 1, !shift()>(p, p.segment[n], w, scaled, cost);
      });
    float least;
    uint8_t first;
    least_of_few(cost, 1, &least, &first);
    int state = first;
    for (const TrellisSegment* s = p.segment; s < p.segment + p.segments; ++s)
      for_trellis_rate(s->rate, [&](auto shift) {
        state = trace_segment<shift() ? shift() : 1, !shift()>(*s, w, state, out.data + i * out.stride + s->byte);
      });
  }
  return kAllFinite;
}

// -- decode

#if EMB_HALF_WINDOWS
constexpr bool kHalfWindows = true;  // those that half a vector has room for can be of two rows
#else
constexpr bool kHalfWindows = false;
#endif

// Of a segment's windows those that are looked up by whole vectors of one row.
EMB_OP int64_t whole_windows(int64_t windows) {
  return kHalfWindows ? (windows + kWindows / 2 - 1) / kWindows * kWindows : windows;
}

// The levels of one segment of `count` rows, whose bit strings end at `bytes`. Up to a vector too many are written: the
// next segment's come over them.
template <int SHIFT>
EMB_OP void segment_levels(const TrellisParams& p, const TrellisSegment& s, const uint8_t* const* rows, int count,
                           int8_t* out, int64_t stride) {
  const LevelBook book = load_book(p.codebooks + kTrellisLevels * trellis_book(s.rate));
  const int64_t whole = whole_windows(s.count);
  out += s.begin;
  for (int64_t j = 0, at = s.byte; j < whole; j += kWindows, at += kWindows * SHIFT / 8)
    for (int r = 0; r < count; ++r) {
      prefetch_ahead(rows[r] + at);
      store_levels(out + r * stride + j, look_up(book, cut_windows<SHIFT>(rows[r] + at, p.bytes - at)));
    }
#if EMB_HALF_WINDOWS
  const int64_t from = s.byte + whole * SHIFT / 8, left = p.bytes - from;
  for (int r = 0; r < count && whole < s.count; r += 2) {
    const int other = r + 1 < count ? r + 1 : r;
    const windows w = cut_halves<SHIFT>(rows[r] + from, left, rows[other] + from, left);
    store_halves(out + r * stride + whole, out + other * stride + whole, look_up(book, w));
  }
#endif
}

// ... and of the one at half a bit, a window for two components.
EMB_OP void pair_levels(const TrellisParams& p, const TrellisSegment& s, const uint8_t* const* rows, int count,
                        int8_t* out, int64_t stride) {
  const LevelBook first = load_book(p.codebooks), second = load_book(p.codebooks + kTrellisLevels);
  const int64_t whole = 2 * whole_windows((s.count + 1) / 2);
  out += s.begin;
  for (int64_t j = 0, at = s.byte; j < whole; j += 2 * kWindows, at += kWindows / 8)
    for (int r = 0; r < count; ++r) {
      prefetch_ahead(rows[r] + at);
      const windows w = cut_windows<1>(rows[r] + at, p.bytes - at);
      store_pairs(out + r * stride + j, look_up(first, w), look_up(second, w));
    }
#if EMB_HALF_WINDOWS
  const int64_t from = s.byte + whole / 16, left = p.bytes - from;
  for (int r = 0; r < count && whole < s.count; r += 2) {
    const int other = r + 1 < count ? r + 1 : r;
    const windows w = cut_halves<1>(rows[r] + from, left, rows[other] + from, left);
    store_pair_halves(out + r * stride + whole, out + other * stride + whole, look_up(first, w), look_up(second, w));
  }
#endif
}

// The levels of `count` rows, `stride` apart; beyond the coded ones of a row is what nobody may use.
inline void trellis_levels(const TrellisParams& p, const uint8_t* const* rows, int count, int8_t* out, int64_t stride) {
  for (int i = 0; i < p.segments; ++i)
    for_trellis_rate(p.segment[i].rate, [&](auto shift) {
      if constexpr (shift() == 0)
        pair_levels(p, p.segment[i], rows, count, out, stride);
      else
        segment_levels<shift()>(p, p.segment[i], rows, count, out, stride);
    });
}

// Levels times their steps and the factor, 0 for what is not coded, and a centroid, if there is one.
EMB_OP void trellis_components(const TrellisParams& p, const int8_t* row, float factor, const float* centroid,
                               float* out, int64_t size) {
  const float* step = p.step;
  const int64_t coded = p.coded, whole = coded / 16 * 16;
  const f32x16 factor16 = splat(factor);
  if (centroid)
    for (int64_t j = 0; j < whole; j += 16)
      store(out + j, add(mul(mul(to_f32(load_i8(row + j)), load(step + j)), factor16), load(centroid + j)));
  else
    for (int64_t j = 0; j < whole; j += 16)
      store(out + j, mul(mul(to_f32(load_i8(row + j)), load(step + j)), factor16));
  for (int64_t j = whole; j < size; ++j) {
    out[j] = j < coded ? static_cast<float>(row[j]) * step[j] * factor : 0.0f;
    if (centroid) out[j] += centroid[j];
  }
}

EMB_OP float trellis_factor(const TrellisParams& p, const uint8_t* row) {
  return p.factors ? p.factors[row[p.bytes]] : 1.0f;
}

// The levels and factors of rows `ids`. `levels`: levels_scratch(d).
EMB_OP void trellis_block(const Codes& codes, const TrellisParams& p, const int64_t* ids, int count, int8_t* levels,
                          float* factors) {
  const int64_t stride = levels_stride(p.d);
  const uint8_t* rows[kIntBlock];
  for (int n = 0; n < count; ++n) {
    rows[n] = codes.data + ids[n] * codes.stride;
    factors[n] = trellis_factor(p, rows[n]);
    if ((codes.n - 1 - ids[n]) * codes.stride >= kReadBeyond) continue;
    uint8_t* copy = reinterpret_cast<uint8_t*>(levels) + (kIntBlock + n) * stride;
    __builtin_memcpy(copy, rows[n], static_cast<size_t>(p.bytes));
    rows[n] = copy;
  }
  trellis_levels(p, rows, count, levels, stride);
}

void trellis_decode(const Codes& codes, const TrellisParams& p, float* out, Range r, float* scratch) {
  int8_t* levels = reinterpret_cast<int8_t*>(scratch);
  for (int64_t i = r.begin; i < r.end; i += kIntBlock) {
    int64_t ids[kIntBlock];
    float factors[kIntBlock];
    const int count = r.end - i < kIntBlock ? static_cast<int>(r.end - i) : kIntBlock;
    for (int n = 0; n < count; ++n) ids[n] = i + n;
    trellis_block(codes, p, ids, count, levels, factors);
    for (int n = 0; n < count; ++n)
      trellis_components(p, levels + n * levels_stride(p.d), factors[n], nullptr, out + (i + n) * p.d, p.d);
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
