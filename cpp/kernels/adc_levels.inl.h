// The scan of many queries over product quantizer codes of 8 bits as one over levels (byte_scan.inl.h), where tiles
// multiply these faster than entries of tables are looked up: codewords are rounded to int8 with a step for each
// dimension, and a row's are put side by side. What the bound cannot exclude is summed as the tables' entries are.
#pragma once
#include "byte_scan.inl.h"
#include "pq.inl.h"

#if EMB_TILES

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int64_t kLevelDims = 12;  // of a subspace: with more, looking up its entry takes less

EMB_OP bool pq_levels_serve(const Pq& p, Range rows, Range queries) {
  return p.ksub == 256 && queries.end - queries.begin >= kLookedUp && p.dsub <= kLevelDims &&
         p.m * p.dsub <= kMostOfBytes && rows.end - rows.begin >= 16 * p.ksub;
}

// A dimension whose step is less counts as 0: divisions by denormal numbers give anything.
constexpr float kLeastStep = 1e-32f;

struct PqLevels {
  float* step;     // (d,)
  int8_t* levels;  // (m, ksub, dsub)
  float off;       // the length, in levels, of what rounding took at most from a row
  float length;    // of a row's levels, about
};

inline PqLevels pq_levels(const Pq& p, Room& room) {
  const int64_t d = p.m * p.dsub;
  PqLevels to = {room.take<float>(d), room.take<int8_t>(p.ksub * d + 64), 0.0f, 0.0f};
  for (int64_t j = 0; j < d; ++j) to.step[j] = 0.0f;
  const float* c = p.codebooks;
  for (int64_t s = 0; s < p.m; ++s)
    for (int64_t j = 0; j < p.ksub; ++j, c += p.dsub)
      for (int64_t i = 0; i < p.dsub; ++i)
        to.step[s * p.dsub + i] = __builtin_fmaxf(to.step[s * p.dsub + i], __builtin_fabsf(c[i]) / 127.0f);
  for (int64_t j = 0; j < d; ++j)
    if (to.step[j] < kLeastStep) to.step[j] = 0.0f;
  c = p.codebooks;
  int8_t* out = to.levels;
  double squares = 0.0, lengths = 0.0;
  for (int64_t s = 0; s < p.m; ++s) {
    double worst = 0.0;
    for (int64_t j = 0; j < p.ksub; ++j, c += p.dsub, out += p.dsub) {
      double square = 0.0;
      for (int64_t i = 0; i < p.dsub; ++i) {
        const float step = to.step[s * p.dsub + i], value = step > 0.0f ? c[i] / step : 0.0f;
        const float level = __builtin_rintf(value), rest = value - level;
        out[i] = static_cast<int8_t>(level > 127.0f ? 127.0f : level < -127.0f ? -127.0f : level);
        square += static_cast<double>(rest * rest);
        lengths += out[i] * out[i];
      }
      worst = square > worst ? square : worst;
    }
    squares += worst;
  }
  to.off = kMargin * static_cast<float>(__builtin_sqrt(squares)) + 1e-3f;  // values have lost up to 127 * 2^-24
  to.length = static_cast<float>(__builtin_sqrt(lengths / static_cast<double>(p.ksub))) + 1.0f;
  return to;
}

// The levels of a row of codes. DSUB: the length of a codeword, 0 if only known at run time.
template <int DSUB>
EMB_OP void put_pq_levels(const Pq& p, const int8_t* levels, const uint8_t* code, int8_t* out) {
  const int64_t dsub = DSUB ? DSUB : p.dsub;
  for (int64_t s = 0; s < p.m; ++s, levels += 256 * dsub, out += dsub)
    __builtin_memcpy(out, levels + code[s] * dsub, static_cast<size_t>(dsub));
}

// The sum of the entries that a row's codes name in the tables of query x, of which none is made.
template <bool L2>
EMB_OP float entry_sum(const Pq& p, const float* x, const uint8_t* code) {
  float sum = 0.0f;
  for (int64_t s = 0; s < p.m; ++s, x += p.dsub) {
    const float* c = p.codebooks + (s * p.ksub + code[s]) * p.dsub;
    float entry = 0.0f;
    for (int64_t i = 0; i < p.dsub; ++i) {
      const float t = x[i] - c[i];
      entry = L2 ? __builtin_fmaf(t, t, entry) : __builtin_fmaf(x[i], c[i], entry);
    }
    sum += entry;
  }
  return sum;
}

// `norms`: of the codewords, unless the metric is ip. `scratch`: pq_levels_scratch.
inline void scan_pq_levels(const Codes& codes, const Pq& p, const Coarse& coarse, const Scan& scan, Range range,
                           Range queries, const float* norms, float* scratch) {
  Room room = {scratch};
  const int64_t d = p.m * p.dsub, stride = levels_stride(d);
  const bool l2 = scan.metric == Metric::l2, cosine = scan.metric == Metric::cosine;
  const PqLevels pq = pq_levels(p, room);
  uint8_t* copies = room.take<uint8_t>(kManyRows * p.m);
  const uint8_t* rows[kManyRows];
  float squares[kManyRows] = {};
  // The score is 2 q.x - |q|^2 - |x|^2, q.x / (|q| |x|) or q.x.
  const auto form_of = [&](const float* x, float* folded) {
    CodeForm form = {};
    float square = 0.0f, sum = 0.0f;
    for (int64_t j = 0; j < d; ++j) square += x[j] * x[j], sum += __builtin_fabsf(x[j]);
    const float scale = l2 ? 2.0f : cosine ? 1.0f / __builtin_fmaxf(__builtin_sqrtf(square), 1e-30f) : 1.0f;
    for (int64_t j = 0; j < d; ++j) {
      folded[j] = scale * x[j] * pq.step[j];
      form.sizes += 256.0f * __builtin_fabsf(folded[j]);
      form.off += folded[j] * folded[j];
    }
    form.off = pq.off * __builtin_sqrtf(form.off) + 128.0f * kLeastStep * scale * sum;
    if (!l2) return form;
    form.constant = -square;
    form.sizes += 4.0f * square;
    form.extra = -1.0f;
    form.extra_sizes = 8.0f;
    return form;
  };
  const auto terms_of = [&](const int64_t* ids, int count, float* factor, float* addend) {
    plain_terms(ids, count, factor, addend);
    for (int n = 0; n < count && norms; ++n) {
      lookup<8, 1>(norms, rows + n, p.m, squares + n);
      if (l2) addend[n] = squares[n];
      if (cosine) factor[n] = 1.0f / __builtin_sqrtf(squares[n]);
    }
  };
  const auto levels_of = [&](const int64_t* ids, int count, int8_t* out) {
    for (int n = 0; n < count; ++n) {
      rows[n] = code_of(codes, ids[n], p.m, copies + n * p.m);
      if (p.dsub == 8)
        put_pq_levels<8>(p, pq.levels, rows[n], out + n * stride);
      else if (p.dsub == 4)
        put_pq_levels<4>(p, pq.levels, rows[n], out + n * stride);
      else
        put_pq_levels<0>(p, pq.levels, rows[n], out + n * stride);
    }
  };
  const auto scores_of = [&](const Pair* pairs, int count, const int64_t* ids, float* scores) {
    for (int n = 0; n < count; ++n) {
      const int r = pairs[n].row;
      const float* x = scan.queries.data + pairs[n].query * scan.queries.stride;
      float sum = l2 ? entry_sum<true>(p, x, rows[r]) : entry_sum<false>(p, x, rows[r]);
      if (coarse.count)
        sum += dot16(x, coarse.centroids + coarse.of(ids[r]) * scan.queries.stride, scan.queries.stride);
      scores[n] = finish_score(sum, scan.metric, scan.queries.norm[pairs[n].query], __builtin_sqrtf(squares[r]));
    }
  };
  // Codewords may be of principal components, but more often are of components alike.
  const ComponentParts parts = component_parts(d);
  float first = 0.0f, rest = 0.0f;
  for (int64_t j = 0; j < d; ++j) {
    float& largest = j < parts.ends[1] ? first : rest;
    largest = __builtin_fmaxf(largest, pq.step[j]);
  }
  const LevelCodes level_codes = {d, stride, 0.0f, pq.length};
  if (first > 2.0f * rest)
    scan_level_codes<3>(level_codes, parts.ends, coarse, scan, range, queries, room.next, form_of, terms_of, levels_of,
                        scores_of);
  else
    scan_level_codes<1>(level_codes, {parts.ends[2]}, coarse, scan, range, queries, room.next, form_of, terms_of,
                        levels_of, scores_of);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#endif
