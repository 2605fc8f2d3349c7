// Uniform scalar quantization with a range per dimension (sq) or per row (rowsq), 8, 6 or 4 bits.
// code = rint(clip((x - lo) * inverse, 0, top)); decoded = lo + code * step: docs/formats.md.
#pragma once
#include "../row/scalar.h"
#include "code_scan.inl.h"
#include "decoded_scan.inl.h"
#include "packing.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

EMB_OP i32x16 quantize(f32x16 x, f32x16 lo, f32x16 inverse, f32x16 top) {
  return round_to_i32(min(max(mul(sub(x, lo), inverse), splat(0.0f)), top));
}

// Dimension by dimension, 16 at a time: `lo16(j, count)` and `inverse16(j, count)` give the parameters of 16 lanes.
template <int BITS, class Lo, class Inverse>
EMB_OP void encode_row(const float* x, int64_t d, uint8_t* out, Lo lo16, Inverse inverse16) {
  const f32x16 top = splat(static_cast<float>((1 << BITS) - 1));
  int64_t j = 0;
  for (; j + 16 <= d; j += 16) put_codes<BITS>(out, j, quantize(load(x + j), lo16(j, 16), inverse16(j, 16), top), 16);
  if (j < d) {
    const int64_t count = d - j;
    put_codes<BITS>(out, j, quantize(load_tail(x + j, count), lo16(j, count), inverse16(j, count), top), count);
  }
}

// Into `out`, which has room for a multiple of 16 when `pad` is set: the lanes beyond d then are zeros.
template <int BITS, class Lo, class Step>
EMB_OP void decode_row(const uint8_t* codes, int64_t d, float* out, bool pad, Lo lo16, Step step16) {
  int64_t j = 0;
  for (; j + 16 <= d; j += 16)
    store(out + j, add(lo16(j, 16), mul(to_f32(get_codes<BITS>(codes, j, 16)), step16(j, 16))));
  if (j == d) return;
  const f32x16 last = add(lo16(j, d - j), mul(to_f32(get_codes<BITS>(codes, j, d - j)), step16(j, d - j)));
  if (!pad) return store_tail(out + j, last, d - j);
  float lanes[16];
  store(lanes, last);
  store(out + j, load_tail(lanes, d - j));
}

template <int BITS>
EMB_OP void sq_decode_row(const uint8_t* codes, const SqParams& p, float* out, bool pad) {
  decode_row<BITS>(
      codes, p.d, out, pad, [&](int64_t j, int64_t count) { return lanes_of(p.lo + j, count); },
      [&](int64_t j, int64_t count) { return lanes_of(p.step + j, count); });
}

template <int BITS>
EMB_OP void rowsq_decode_row(const uint8_t* codes, const RowSqParams& p, int64_t row, float* out, bool pad) {
  const f32x16 offset = splat(p.offset[row]), scale = splat(p.scale[row]);
  decode_row<BITS>(
      codes, p.d, out, pad, [&](int64_t, int64_t) { return offset; }, [&](int64_t, int64_t) { return scale; });
}

// Turns a number of bits known at run time into one known to the compiler.
#define EMB_FOR_BITS(BITS_VALUE, CALL) \
  switch (BITS_VALUE) {                \
    case 8: {                          \
      constexpr int BITS = 8;          \
      CALL;                            \
      break;                           \
    }                                  \
    case 6: {                          \
      constexpr int BITS = 6;          \
      CALL;                            \
      break;                           \
    }                                  \
    default: {                         \
      constexpr int BITS = 4;          \
      CALL;                            \
      break;                           \
    }                                  \
  }

int64_t sq_encode(const Rows& x, const SqParams& p, CodesOut out, Range r, float* scratch) {
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, scratch);
    if (!row) return i;
    uint8_t* to = out.data + i * out.stride;
    EMB_FOR_BITS(p.bits, encode_row<BITS>(
                             row, p.d, to, [&](int64_t j, int64_t count) { return lanes_of(p.lo + j, count); },
                             [&](int64_t j, int64_t count) { return lanes_of(p.inverse + j, count); }))
  }
  return kAllFinite;
}

void sq_decode(const Codes& codes, const SqParams& p, RowsOut out, Range r, float*) {
  EMB_FOR_BITS(p.bits, put_rows(out, p.d, r, [&](int64_t i, float* to) {
                 prefetch_ahead(codes.data + i * codes.stride, (p.d * BITS + 7) / 8);
                 sq_decode_row<BITS>(codes.data + i * codes.stride, p, to, false);
               }))
}

template <int BITS>
EMB_OP void sq_topk_bits(const Codes& codes, const SqParams& p, const Scan& scan, Range rows, Range queries,
                         float* scratch) {
  const float top = static_cast<float>((1 << p.bits) - 1);
  const auto form_of = [&](const float* x, float* folded) {
    CodeForm form = {};
    for (int64_t j = 0; j < p.d; ++j) {
      const float low = x[j] * p.lo[j];
      folded[j] = x[j] * p.step[j];
      form.constant += low;
      form.sizes += __builtin_fabsf(low) + __builtin_fabsf(folded[j]) * top;
    }
    return form;
  };
  const auto values_of = [&](int64_t row, float* buffer) {
    sq_decode_row<BITS>(codes.data + row * codes.stride, p, buffer, true);
    return static_cast<const float*>(buffer);
  };
#if EMB_WORD_PRODUCTS
  const PlainCodes plain = {p.lo, p.step, p.d};
  if (plain_codes_serve(plain, {}, scan, rows, queries))
    return scan_plain_codes<BITS>(codes, plain, {}, scan, rows, queries, scratch, values_of);
#endif
  scan_codes(codes, {p.d, BITS, false, nullptr, (1 << BITS) - 1}, {}, scan, rows, queries, scratch, form_of,
             plain_terms, values_of);
}

void sq_topk(const Codes& codes, const SqParams& p, const Scan& scan, Range rows, Range queries, float* scratch) {
  EMB_FOR_BITS(p.bits, sq_topk_bits<BITS>(codes, p, scan, rows, queries, scratch));
}

// The least and greatest value of a row; the tail repeats the first value, so that it changes neither.
EMB_OP void row_range(const float* x, int64_t d, float* lo, float* hi) {
  f32x16 least = splat(x[0]), greatest = least;
  int64_t j = 0;
  for (; j + 16 <= d; j += 16) {
    const f32x16 v = load(x + j);
    least = min(v, least);
    greatest = max(v, greatest);
  }
  float low = reduce_min(least), high = reduce_max(greatest);
  for (; j < d; ++j) {
    low = x[j] < low ? x[j] : low;
    high = x[j] > high ? x[j] : high;
  }
  *lo = low + 0.0f;  // never -0.0, whichever zero came first; nor is the range then
  *hi = high + 0.0f;
}

int64_t rowsq_encode(const Rows& x, int bits, CodesOut out, float* scale, float* offset, Range r, float* scratch) {
  const float top = static_cast<float>((1 << bits) - 1);
  for (int64_t i = r.begin; i < r.end; ++i) {
    const float* row = load_row(x, i, scratch);
    if (!row) return i;
    float lo, hi;
    row_range(row, x.d, &lo, &hi);
    const float step = range_step(lo, hi, top);
    const f32x16 lo16 = splat(lo), inverse16 = splat(inverse_step(step));
    scale[i] = step;
    offset[i] = lo;
    uint8_t* to = out.data + i * out.stride;
    // Lanes beyond d hold 0, whose code may be anything: put_codes writes `count` codes only.
    EMB_FOR_BITS(bits,
                 encode_row<BITS>(
                     row, x.d, to, [&](int64_t, int64_t) { return lo16; }, [&](int64_t, int64_t) { return inverse16; }))
  }
  return kAllFinite;
}

void rowsq_decode(const Codes& codes, const RowSqParams& p, RowsOut out, Range r, float*) {
  EMB_FOR_BITS(p.bits, put_rows(out, p.d, r, [&](int64_t i, float* to) {
                 rowsq_decode_row<BITS>(codes.data + i * codes.stride, p, i, to, false);
               }))
}

void rowsq_topk(const Codes& codes, const RowSqParams& p, const Scan& scan, Range rows, Range queries, float* scratch) {
  const float top = static_cast<float>((1 << p.bits) - 1);
  const auto form_of = [&](const float* x, float* folded) {
    CodeForm form = {};
    for (int64_t j = 0; j < p.d; ++j) {
      folded[j] = x[j];
      form.extra += x[j];
      form.extra_sizes += __builtin_fabsf(x[j]);
    }
    form.sizes = form.extra_sizes * top;
    return form;
  };
  const auto terms_of = [&](const int64_t* ids, int count, float* factor, float* addend) {
    for (int n = 0; n < count; ++n) factor[n] = p.scale[ids[n]], addend[n] = p.offset[ids[n]];
  };
  EMB_FOR_BITS(p.bits, scan_codes(codes, {p.d, BITS, false, nullptr, (1 << BITS) - 1}, {}, scan, rows, queries, scratch,
                                  form_of, terms_of, [&](int64_t row, float* buffer) {
                                    rowsq_decode_row<BITS>(codes.data + row * codes.stride, p, row, buffer, true);
                                    return static_cast<const float*>(buffer);
                                  }))
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
