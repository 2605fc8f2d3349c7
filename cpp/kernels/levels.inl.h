// Quantization to levels: code = the number of midpoints below x / step; decoded = levels[code] * step:
// docs/formats.md.
#pragma once
#include "code_scan.inl.h"
#include "decoded_scan.inl.h"
#include "packing.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// How many midpoints are below x: one comparison with each up to 4 bits, bisection from there.
template <int BITS>
EMB_OP i32x16 nearest_level(f32x16 x, const float* midpoints) {
  i32x16 code = splat_i32(0);
  if (BITS <= 4)
    for (int i = 0; i < (1 << BITS) - 1; ++i)
      code = add_i32(code, select_i32(less(splat(midpoints[i]), x), splat_i32(1), splat_i32(0)));
  else
    for (int step = 1 << (BITS - 1); step > 0; step /= 2) {
      const mask16 above = less(gather(midpoints, add_i32(code, splat_i32(step - 1))), x);
      code = select_i32(above, add_i32(code, splat_i32(step)), code);
    }
  return code;
}

template <int BITS>
EMB_OP void levels_encode_row(const float* x, const LevelsParams& p, uint8_t* out) {
  int64_t j = 0;
  for (; j + 16 <= p.d; j += 16)
    put_codes<BITS>(out, j, nearest_level<BITS>(mul(load(x + j), load(p.inverse + j)), p.midpoints), 16);
  if (j == p.d) return;
  const int64_t count = p.d - j;
  const i32x16 codes = nearest_level<BITS>(mul(load_tail(x + j, count), load_tail(p.inverse + j, count)), p.midpoints);
  put_codes<BITS>(out, j, select_i32(mask_of((1u << count) - 1u), codes, splat_i32(0)), count);
}

// The levels of `count` <= 16 dimensions from j on; anything in the lanes beyond. `few`: the levels, if 16 at most.
// PLAIN: they are 0, 1, .., as behind centroids, and need no gather.
template <int BITS, bool PLAIN>
EMB_OP f32x16 levels_of(const uint8_t* codes, const float* levels, f32x16 few, int64_t j, int64_t count) {
  if (PLAIN) return to_f32(get_codes<BITS>(codes, j, count));
  if (BITS > 4) return gather(levels, get_codes<BITS>(codes, j, count));
  if (BITS > 1) return pick(few, get_codes<BITS>(codes, j, count));
  const uint64_t bits = load_word(codes + j / 8, count > 8 ? 2 : 1);
  return select(mask_of(static_cast<uint32_t>(bits)), splat(levels[1]), splat(levels[0]));
}

// The values of `count` <= 16 dimensions from j on; zeros in the lanes beyond.
template <int BITS, bool PLAIN>
EMB_OP f32x16 levels_at(const uint8_t* codes, const LevelsParams& p, f32x16 few, int64_t j, int64_t count) {
  return mul(levels_of<BITS, PLAIN>(codes, p.levels, few, j, count), lanes_of(p.step + j, count));
}

// Into `out`, which has room for a multiple of 16 when `pad` is set: the lanes beyond d then are zeros.
template <int BITS, bool PLAIN = false>
EMB_OP void levels_decode_row(const uint8_t* codes, const LevelsParams& p, float* out, bool pad) {
  const f32x16 few = BITS > 4 ? splat(0.0f) : lanes_of(p.levels, 1 << BITS);
  int64_t j = 0;
  for (; j + 16 <= p.d; j += 16) store(out + j, levels_at<BITS, PLAIN>(codes, p, few, j, 16));
  if (j == p.d) return;
  const f32x16 last = levels_at<BITS, PLAIN>(codes, p, few, j, p.d - j);
  if (pad)
    store(out + j, last);
  else
    store_tail(out + j, last, p.d - j);
}

int64_t levels_encode(const Rows& x, const LevelsParams& p, CodesOut out, Range r, float* scratch) {
  int64_t bad = kAllFinite;
  for_bits(p.bits, [&](auto bits) {
    for (int64_t i = r.begin; i < r.end && bad == kAllFinite; ++i) {
      const float* row = load_row(x, i, scratch);
      if (row)
        levels_encode_row<bits()>(row, p, out.data + i * out.stride);
      else
        bad = i;
    }
  });
  return bad;
}

void levels_decode(const Codes& codes, const LevelsParams& p, RowsOut out, Range r, float*) {
  for_bits(p.bits, [&](auto bits) {
    put_rows(out, p.d, r,
             [&](int64_t i, float* to) { levels_decode_row<bits()>(codes.data + i * codes.stride, p, to, false); });
  });
}

EMB_OP bool are_plain(const LevelsParams& p) {
  for (int i = 0; i < 1 << p.bits; ++i)
    if (p.levels[i] != static_cast<float>(i)) return false;
  return true;
}

// Levels as bytes, level = low + unit * byte, and how far off the worst is. Two levels need no table, and more than 16,
// for which there is none, serve where they lie evenly, so that a code is its own byte.
struct LevelBytes {
  uint8_t table[16];
  int largest;
  float low, unit, off;
  bool serve;
};

EMB_OP LevelBytes level_bytes(const LevelsParams& p) {
  const int count = 1 << p.bits;
  const bool tabled = p.bits > 1 && p.bits <= 4;
  LevelBytes t = {{}, tabled ? kLargestValue : count - 1, p.levels[0], 0.0f, 0.0f, true};
  const float most = static_cast<float>(t.largest);
  t.unit = (p.levels[count - 1] - t.low) / most;
  for (int i = 0; i < count; ++i) {
    float byte = static_cast<float>(i);
    if (tabled) {
      byte = t.unit > 0.0f ? __builtin_rintf((p.levels[i] - t.low) / t.unit) : 0.0f;
      byte = byte < most ? byte : most;
      t.table[i] = static_cast<uint8_t>(byte);
    }
    const float off = __builtin_fabsf(p.levels[i] - (t.low + t.unit * byte));
    t.off = off > t.off ? off : t.off;
  }
  t.serve = p.bits <= 4 || t.off <= 0.01f * t.unit;
  return t;
}

void levels_topk(const Codes& codes, const LevelsParams& p, const RowExtras& e, const Scan& scan, Range rows,
                 Range queries, float* scratch) {
  const int64_t size = (p.d * p.bits + 7) / 8;
  uint8_t* copy = reinterpret_cast<uint8_t*>(scratch);
  scratch += padded16(p.d);
  const LevelBytes bytes = level_bytes(p);
  const float most = __builtin_fmaxf(__builtin_fabsf(p.levels[0]), __builtin_fabsf(p.levels[(1 << p.bits) - 1]));
  const auto form_of = [&](const float* x, float* folded) {
    CodeForm form = {};
    for (int64_t j = 0; j < p.d; ++j) {
      const float scaled = x[j] * p.step[j], along = e.shift.data ? x[j] * e.direction[j] : 0.0f;
      folded[j] = scaled * bytes.unit;
      form.constant += scaled * bytes.low;
      form.sizes += 2.0f * __builtin_fabsf(scaled) * most;
      form.extra += along;
      form.extra_sizes += __builtin_fabsf(along);
      form.off += scaled * scaled;
    }
    form.off = bytes.off * __builtin_sqrtf(form.off * static_cast<float>(p.d));
    return form;
  };
  const auto terms_of = [&](const int64_t* ids, int count, float* factor, float* addend) {
    if (!e.factor.data || !e.shift.data) plain_terms(ids, count, factor, addend);
    if (e.factor.data) column_values(e.factor, ids, count, factor);
    if (!e.shift.data) return;
    column_values(e.shift, ids, count, addend);
    for (int n = 0; n < count; n += 16) store(addend + n, mul(load(addend + n), load(factor + n)));
  };
  for_bits(p.bits, [&](auto bits) {
    const uint8_t* table = bits() > 1 && bits() <= 4 ? bytes.table : nullptr;
    const bool wide = scan.queries.d > p.d;  // with centroids; sums of the codes alone say nothing of the rest
    const int used = bytes.serve && !wide ? bits() : 0;
    const bool plain = are_plain(p);
    const auto values_of = [&](int64_t row, float* buffer) {
      const uint8_t* code = code_of(codes, row, size, copy);
      if (plain)
        levels_decode_row<bits(), true>(code, p, buffer, true);
      else
        levels_decode_row<bits()>(code, p, buffer, true);
      for (int64_t j = padded16(p.d); j < scan.queries.stride; ++j) buffer[j] = 0.0f;
      add_extras(e, row, buffer, scan.queries.stride);
      return static_cast<const float*>(buffer);
    };
#if EMB_WORD_PRODUCTS
    const PlainCodes steps = {nullptr, p.step, p.d};
    if (plain && !e.factor.data && !e.shift.data && plain_codes_serve(steps, e.coarse, scan, rows, queries))
      return scan_plain_codes<bits()>(codes, steps, e.coarse, scan, rows, queries, scratch, values_of);
#endif
    scan_codes(codes, {p.d, used, false, table, bytes.largest}, e.coarse, scan, rows, queries, scratch, form_of,
               terms_of, values_of);
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
