// Residual quantization: a row is the sum of a codeword from each of m codebooks. A beam of the best paths goes from
// stage to stage. A value is half of what a path adds to the squared length of what is left of the row, a float32 sum
// in a fixed order, and paths of one value are taken in order, so codes are equal on every level.
#pragma once
#include "projection.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The best paths of a stage so far, ascending by value, then by number: beam * kRqWords + codeword. Offered in order of
// their numbers; a value that is none, or infinite, is taken last.
struct Beam {
  float* values;
  int32_t* numbers;
  int64_t count, most;
  float limit;  // what a path's value has to be less than

  EMB_OP void begin() {
    count = 0;
    limit = __builtin_inff();
  }
  EMB_OP void offer(float value, int32_t number) {
    if (!(value < limit)) return;
    int64_t i = count < most ? count++ : most - 1;
    for (; i > 0 && values[i - 1] > value; --i) {
      values[i] = values[i - 1];
      numbers[i] = numbers[i - 1];
    }
    values[i] = value;
    numbers[i] = number;
    if (count == most) limit = values[most - 1];
  }
  // The first of those that were not taken, until there are as many as there should be.
  EMB_OP void fill() {
    for (int32_t number = 0; count < most; ++number) {
      bool taken = false;
      for (int64_t i = 0; i < count; ++i) taken |= numbers[i] == number;
      if (taken) continue;
      values[count] = __builtin_inff();
      numbers[count++] = number;
    }
  }
};

constexpr int kRqVectors = 4;  // of codewords, whose values are summed together
constexpr int64_t kRqLanes = 16 * kRqVectors;

static_assert(kRqWords % kPanel == 0, "");

// The values of each codeword of stage s behind a path, whose own value is `cost`, to `values`; `least`: of each lane
// so far. `alone`: the codewords' values without the path.
EMB_OP void extend_path(const Rq& p, int64_t s, const uint8_t* path, float cost, const float* alone, float* values,
                        float* least) {
  f32x16 lowest[kRqVectors];
  for (int v = 0; v < kRqVectors; ++v) lowest[v] = load(least + 16 * v);
  for (int64_t j = 0; j < kRqWords; j += kRqLanes) {
    f32x16 value[kRqVectors];
    for (int v = 0; v < kRqVectors; ++v) value[v] = load(alone + j + 16 * v);
    for (int64_t t = 0; t < s; ++t) {
      const float* with = p.with(t, path[t], s) + j;
      for (int v = 0; v < kRqVectors; ++v) value[v] = add(value[v], load(with + 16 * v));
    }
    for (int v = 0; v < kRqVectors; ++v) {
      value[v] = add(value[v], splat(cost));
      store(values + j + 16 * v, value[v]);
      lowest[v] = min(value[v], lowest[v]);
    }
  }
  for (int v = 0; v < kRqVectors; ++v) store(least + 16 * v, lowest[v]);
}

// Something that `most` values at least do not exceed: among the lanes' least, not far above as many of them.
EMB_OP float bound_of(const float* least, int64_t most) {
  float low = __builtin_inff(), high = -low;
  for (int64_t i = 0; i < kRqLanes; i += 16) {
    const float least_here = reduce_min(load(least + i)), most_here = reduce_max(load(least + i));
    low = least_here < low ? least_here : low;
    high = most_here > high ? most_here : high;
  }
  if (most > kRqLanes) return __builtin_inff();
  for (int step = 0; step < 6; ++step) {
    const float middle = low + (high - low) * 0.5f;
    int64_t below = 0;
    for (int64_t i = 0; i < kRqLanes; i += 16)
      below += __builtin_popcount(mask_bits(less(load(least + i), splat(middle))));
    (below >= most ? high : low) = middle;
  }
  return high;
}

// Offers the values that do not exceed the bound.
EMB_OP void offer_values(const float* values, int64_t count, float bound, Beam& beam) {
  for (int64_t j = 0; j < count; j += 16) {
    uint32_t worse = mask_bits(less(splat(bound), load(values + j)));
    for (uint32_t rest = ~worse & 0xffffu; rest; rest &= rest - 1u) {
      const int lane = __builtin_ctz(rest);
      beam.offer(values[j + lane], static_cast<int32_t>(j) + lane);
    }
    bound = beam.limit < bound ? beam.limit : bound;
  }
}

// The best paths of a row, (keep, m) bytes. `products`: of the row with all codewords. `scratch`: rq_encode_scratch,
// the second part.
inline void search_paths(const Rq& p, float* products, uint8_t* out, float* scratch) {
  float *values = scratch, *costs = values + p.beam * kRqWords, *best = costs + padded16(p.beam);
  int32_t* numbers = reinterpret_cast<int32_t*>(best + padded16(p.beam));
  uint8_t* paths = reinterpret_cast<uint8_t*>(numbers + padded16(p.beam));
  uint8_t* longer = paths + p.beam * p.m;
  Beam beam = {best, numbers, 0, p.beam, 0.0f};
  int64_t count = 1;
  costs[0] = 0.0f;
  for (int64_t s = 0; s < p.m; ++s) {
    float* alone = products + s * kRqWords;
    const float* half = p.half + s * kRqWords;
    for (int64_t j = 0; j < kRqWords; j += 16) store(alone + j, sub(load(half + j), load(alone + j)));
    float least[kRqLanes];
    for (int64_t i = 0; i < kRqLanes; i += 16) store(least + i, splat(__builtin_inff()));
    for (int64_t b = 0; b < count; ++b)
      extend_path(p, s, paths + b * p.m, costs[b], alone, values + b * kRqWords, least);
    beam.begin();
    offer_values(values, count * kRqWords, bound_of(least, p.beam), beam);
    beam.fill();
    count = p.beam;
    for (int64_t b = 0; b < count; ++b) {
      costs[b] = best[b];
      for (int64_t t = 0; t < s; ++t) longer[b * p.m + t] = paths[numbers[b] / kRqWords * p.m + t];
      longer[b * p.m + s] = static_cast<uint8_t>(numbers[b] % kRqWords);
    }
    uint8_t* const shorter = paths;
    paths = longer;
    longer = shorter;
  }
  __builtin_memcpy(out, paths, static_cast<size_t>(p.keep * p.m));
}

// Codewords as panels, dimension by dimension. 16 at a time: more would be read from as many pages.
void rq_pack(const float* codebooks, int64_t words, int64_t d, float* panels) {
  for (int64_t w = 0; w < words; w += 16, codebooks += 16 * d) {
    float* to = panels + w / kPanel * kPanel * d + w % kPanel;
    for (int64_t j = 0; j < d; ++j)
      for (int64_t i = 0; i < 16; ++i) to[j * kPanel + i] = codebooks[i * d + j];
  }
}

// `scratch`: rq_encode_scratch.
int64_t rq_encode(const Rows& x, const Rq& p, CodesOut out, Range r, float* scratch) {
  const int64_t words = p.m * kRqWords, stride = padded16(p.d);
  float *products = scratch, *rows = products + kProjectedRows * words, *sums = rows + kProjectedRows * stride;
  for (int64_t first = r.begin; first < r.end; first += kProjectedRows) {
    const int64_t count = r.end - first < kProjectedRows ? r.end - first : kProjectedRows;
    const int64_t bad = load_rows(x, nullptr, first, count, rows);
    if (bad != kAllFinite) return bad;
    project_rows(rows, stride, count, p.d, words, sums, products,
                 [&](int64_t i, int64_t j, int64_t) { return p.panels + j * p.d + i * kPanel; });
    for (int64_t i = 0; i < count; ++i)
      search_paths(p, products + i * words, out.data + (first + i) * out.stride, rows);
  }
  return kAllFinite;
}

// The codewords added up in order of the stages.
void rq_decode(const Codes& codes, const Rq& p, RowsOut out, Range r) {
  put_rows(out, p.d, r, [&](int64_t i, float* to) {
    const uint8_t* code = codes.data + i * codes.stride;
    const auto word = [&](int64_t s) { return p.codebooks + (s * kRqWords + code[s]) * p.d; };
    int64_t j = 0;
    for (; j + 16 <= p.d; j += 16) {
      f32x16 sum = load(word(0) + j);
      for (int64_t s = 1; s < p.m; ++s) sum = add(sum, load(word(s) + j));
      store(to + j, sum);
    }
    for (; j < p.d; ++j) {
      float sum = word(0)[j];
      for (int64_t s = 1; s < p.m; ++s) sum += word(s)[j];
      to[j] = sum;
    }
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
