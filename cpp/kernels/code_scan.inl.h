// A scan of few queries over packed codes as they lie: sums of products of a row's codes, or of bytes that a table has
// for them, with the query's bytes. As in many.inl.h, sums only decide which rows cannot be among the best.
#pragma once
#include "bit_tables.inl.h"
#include "byte_scan.inl.h"
#include "packing.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kCodeBlock = 32;
#if !EMB_CODE_PRODUCTS
constexpr int kLargestValue = 127;
#endif

struct CodeBlock32 {
  int count;
  int64_t ids[kCodeBlock];
  const uint8_t* rows[kCodeBlock];
  float factor[kCodeBlock], addend[kCodeBlock];
  BasePlaces base;
};

#if EMB_CODE_PRODUCTS

// Bytes of `count` queries, `stride` apart. Where `finer` is set, those from the products' first fine place on count
// units that are smaller by so many bits.
struct CodeQueries {
  int64_t stride;
  int8_t* bytes;
  int32_t* finer;
  float *unit, *constant, *error, *extra, *extra_error, *slack;  // the unit is that of a sum
  float* base;                                                   // (centroids, count)
};

inline CodeQueries code_queries(int64_t count, int64_t stride, int64_t centroids, Room& room) {
  CodeQueries q = {stride,
                   room.take<int8_t>(count * stride),
                   room.take<int32_t>(count),
                   room.take<float>(count),
                   room.take<float>(count),
                   room.take<float>(count),
                   room.take<float>(count),
                   room.take<float>(count),
                   room.take<float>(count),
                   room.take<float>((centroids ? centroids : 1) * count)};
  for (int64_t i = 0; i < count * stride; ++i) q.bytes[i] = 0;
  return q;
}

template <class Products>
inline void put_code_query(const Products& rows, const CodeForm& form, const float* folded, const CodeQueries& q,
                           int64_t i) {
  float largest[2] = {0.0f, 0.0f};  // of what counts the larger units, and of the rest
  for (int64_t j = 0; j < rows.d; ++j) {
    const float size = __builtin_fabsf(folded[j]);
    float& most = largest[rows.place(j) >= rows.first_fine];
    most = size > most ? size : most;
  }
  const float values = static_cast<float>(rows.largest), most = byte_limit(rows.largest);
  const float rounded = rounding_of(rows.d) * (form.sizes + 1e-30f);
  const bool finite = form.sizes < kLarge && form.extra_sizes < kLarge;
  const float coarse = largest[0] / static_cast<float>(1 << rows.most_finer);
  const float unit = finite ? __builtin_fmaxf(__builtin_fmaxf(largest[1], coarse) / most, 1e-30f) : 1e-30f;
  int finer = 0;
  while (finer < rows.most_finer && largest[0] > unit * most * static_cast<float>(1 << finer)) ++finer;
  double lost = 0.0, rest_sum = 0.0;
  for (int64_t j = 0; finite && j < rows.d; ++j) {
    const int64_t place = rows.place(j);
    const float step = place < rows.first_fine ? unit * static_cast<float>(1 << finer) : unit;
    const float scaled = __builtin_rintf(folded[j] / step);
    const float byte = scaled > most ? most : scaled < -most ? -most : scaled;
    const double rest = static_cast<double>(folded[j]) - static_cast<double>(byte) * static_cast<double>(step);
    q.bytes[i * q.stride + place] = static_cast<int8_t>(byte);
    lost += __builtin_fabs(rest);
    rest_sum += rest;
  }
  // Values lie around values / 2: that much of what the bytes leave out is known.
  q.finer[i] = finer;
  q.unit[i] = unit;
  q.constant[i] = form.constant + static_cast<float>(rest_sum) * values / 2;
  q.error[i] = finite ? kMargin * (static_cast<float>(lost) * values / 2 + form.off + rounded) : __builtin_inff();
  q.extra[i] = form.extra;
  q.extra_error[i] = kMargin * rounding_of(rows.d) * form.extra_sizes;
}

// Which rows may score better than `floor`.
EMB_OP uint32_t promising_codes(const CodeBlock32& block, const CodeQueries& q, int64_t i, const int32_t* sums,
                                float floor) {
  uint32_t wanted = 0;
  for (int r = 0; r < kCodeBlock; r += 16) {
    const f32x16 factor = load(block.factor + r), addend = load(block.addend + r);
    const f32x16 sum = to_f32(load_i32(sums + r));
    f32x16 most = mul(muladd(sum, splat(q.unit[i]), splat(q.constant[i])), factor);
    most = muladd(abs(factor), splat(q.error[i]), most);
    most = muladd(addend, splat(q.extra[i]), muladd(abs(addend), splat(q.extra_error[i]), most));
    most = add(most, add(splat(q.slack[i]), block.base.sums(q.base + i, r)));
    wanted |= (~mask_bits(less(most, splat(floor))) & 0xffffu) << r;  // so that NaN is looked at
  }
  return block.count < 32 ? wanted & ((1u << block.count) - 1u) : wanted;
}

// The next rows that may be returned: those that follow, but for a mask, or near the end of the codes, where those of
// which `read` bytes would reach beyond go to `copies`.
inline int64_t next_codes(const Codes& codes, int64_t bytes, int64_t read, const Scan& scan, int64_t row, int64_t end,
                          uint8_t* copies, CodeBlock32& block) {
  const int64_t readable = (codes.n - 1) * codes.stride + bytes;
  const bool in_place = codes.byte_stride == 1;
  if (in_place && !scan.mask && row + kCodeBlock <= end && (row + kCodeBlock - 1) * codes.stride + read <= readable) {
    block.count = kCodeBlock;
    for (int n = 0; n < kCodeBlock; ++n) block.ids[n] = row + n;
    for (int n = 0; n < kCodeBlock; ++n) block.rows[n] = codes.data + (row + n) * codes.stride;
    row += kCodeBlock;
  } else {
    for (block.count = 0; row < end && block.count < kCodeBlock; ++row) {
      if (scan.mask && !scan.mask[row]) continue;
      const int n = block.count++;
      block.ids[n] = row;
      block.rows[n] = code_of(codes, row, bytes, copies + n * read);
      if (!in_place || row * codes.stride + read <= readable) continue;
      __builtin_memcpy(copies + n * read, block.rows[n], static_cast<size_t>(bytes));
      block.rows[n] = copies + n * read;
    }
    for (int n = block.count; n < kCodeBlock; ++n) block.rows[n] = block.rows[0], block.ids[n] = block.ids[0];
  }
  return row;
}

// The query's bytes lie as a tile meets their codes: of kBytes bytes of codes first the lowest `bits` of each, then the
// next ones.
struct PackedProducts : PackedCodes {
  static constexpr int64_t first_fine = 0;
  static constexpr int most_finer = 0;
  EMB_OP int64_t bytes() const { return (d * bits + 7) / 8; }
  EMB_OP int64_t loads() const { return (bytes() + kBytes - 1) / kBytes; }
  EMB_OP int64_t read() const { return loads() * kBytes; }
  EMB_OP int64_t query_stride() const { return loads() * kBytes * (8 / bits); }
  EMB_OP int64_t place(int64_t j) const {
    const int parts = 8 / bits;
    const int64_t byte = j / parts, part = msb ? parts - 1 - j % parts : j % parts;
    return (byte / kBytes * parts + part) * kBytes + byte % kBytes;
  }
  template <int BITS, bool TABLE>
  EMB_OP void add_up(const CodeBlock32& block, const int8_t* query, int32_t* sums) const {
    const CodeTable values = load_code_table(TABLE ? table : nullptr);
    for (int r = 0; r < block.count; r += kCodeTile)
      code_products<BITS, TABLE>(block.rows + r, loads(), query, values, sums + r);
  }
  EMB_OP void sums(const CodeBlock32& block, const int8_t* query, int, int32_t* out) const {
    switch (table ? -bits : bits) {
      case 8:
        return add_up<8, false>(block, query, out);
      case 4:
        return add_up<4, false>(block, query, out);
      case 1:
        return add_up<1, false>(block, query, out);
      case -4:
        return add_up<4, true>(block, query, out);
      default:
        return add_up<2, true>(block, query, out);
    }
  }
};

inline void put_terms(const TermsOf& terms_of, CodeBlock32& block) {
  terms_of(block.ids, block.count, block.factor, block.addend);
  for (int n = 0; n < kCodeBlock; n += 16) {
    const f32x16 factor = load(block.factor + n), addend = load(block.addend + n);
    const mask16 finite = both(less(abs(factor), splat(kLarge)), less(abs(addend), splat(kLarge)));
    store(block.factor + n, select(finite, factor, splat(__builtin_nanf(""))));  // no bound
  }
}

// Rows that a query may want, until there are enough of them: a score waits for each of its additions.
struct WaitingCodes {
  int64_t ids[kPairs];
  int count;
};

inline void score_waiting(const Scan& scan, int64_t query, WaitingCodes& waiting, float* values,
                          const Fetch& values_of) {
  const int64_t stride = scan.queries.stride;
  const float *x[kPairs], *y[kPairs];
  float scores[kPairs];
  for (int r = 0; r < waiting.count; ++r) x[r] = values_of(waiting.ids[r], values + r * stride);
  for (int r = waiting.count; r < kPairs; ++r) x[r] = x[0];
  for (int r = 0; r < kPairs; ++r) y[r] = scan.queries.data + query * stride;
  dots16<kPairs>(y, x, stride, scores);
  for (int r = 0; r < waiting.count; ++r) keep(scan.best[query], scores[r], waiting.ids[r]);
  waiting.count = 0;
}

template <class Products>
inline void scan_codes_few(const Codes& codes, const Products& rows, const Coarse& coarse, const Scan& scan,
                           Range range, Range queries, float* scratch, const FormOf& form_of, const TermsOf& terms_of,
                           const Fetch& values_of) {
  Room room = {scratch};
  const int64_t stride = scan.queries.stride, count = queries.end - queries.begin;
  uint8_t* copies = room.take<uint8_t>(kCodeBlock * (rows.d + 64));
  float *values = room.take<float>(kPairs * stride), *folded = room.take<float>(stride);
  const CodeQueries q = code_queries(count, rows.query_stride(), coarse.count, room);
  for (int64_t i = 0; i < count; ++i) {
    const float* x = scan.queries.data + (queries.begin + i) * stride;
    put_code_query(rows, form_of(x, folded), folded, q, i);
  }
  put_bases(scan, queries.begin, count, coarse, q.base, count, q.slack);
  CodeBlock32 block = {};
  block.base = BasePlaces::make(coarse, room);
  WaitingCodes waiting[kManyQueries] = {};
  for (int64_t row = range.begin; row < range.end;) {
    row = next_codes(codes, rows.bytes(), rows.read(), scan, row, range.end, copies, block);
    block.base.put(coarse, block.ids, block.count, count);
    for (int64_t i = 0; i < count && block.count; ++i) {
      TopK& best = scan.best[queries.begin + i];
      int32_t sums[kCodeBlock] = {};
      rows.sums(block, q.bytes + i * q.stride, q.finer[i], sums);
      if (i == 0) put_terms(terms_of, block);  // not before: they lie behind codes that the sums ask for ahead
      for (uint32_t wanted = promising_codes(block, q, i, sums, best.floor); wanted; wanted &= wanted - 1) {
        waiting[i].ids[waiting[i].count++] = block.ids[__builtin_ctz(wanted)];
        if (waiting[i].count == kPairs) score_waiting(scan, queries.begin + i, waiting[i], values, values_of);
      }
    }
  }
  for (int64_t i = 0; i < count; ++i)
    if (waiting[i].count) score_waiting(scan, queries.begin + i, waiting[i], values, values_of);
}

#endif

#if EMB_BYTE_COLUMNS

inline void scan_codes_many(const Codes& codes, const PackedCodes& rows, const Coarse& coarse, const Scan& scan,
                            Range range, Range queries, float* scratch, const FormOf& form_of, const TermsOf& terms_of,
                            const Fetch& values_of) {
  const int64_t stride = levels_stride(rows.d);
  const int centre = (rows.largest + 1) / 2;
  const float least = 0.25f * static_cast<float>(centre) * __builtin_sqrtf(static_cast<float>(rows.d));
  const int64_t bytes = (rows.d * rows.bits + 7) / 8;
  uint8_t* copy = reinterpret_cast<uint8_t*>(scratch);
  scratch += padded16(rows.d);
  const auto levels_of = [&](const int64_t* ids, int count, int8_t* out) {
    for (int n = 0; n < count; ++n, out += stride) {
      const uint8_t* row = code_of(codes, ids[n], bytes, copy);
      for_bits(rows.bits, [&](auto bits) { unpack_levels<bits()>(row, rows.d, rows.table, centre, out); });
    }
  };
  scan_decoded_levels<1>({rows.d, stride, static_cast<float>(centre), least}, {(rows.d + 3) / 4 * 4}, coarse, scan,
                         range, queries, scratch, form_of, terms_of, levels_of, values_of);
}

#endif

// The search over packed codes. `scratch`: code_scan_scratch.
inline void scan_codes(const Codes& codes, const PackedCodes& rows, const Coarse& coarse, const Scan& scan, Range range,
                       Range queries, float* scratch, const FormOf& form_of, const TermsOf& terms_of,
                       const Fetch& values_of) {
#if EMB_CODE_PRODUCTS
#if EMB_BYTE_TABLES
  if (bit_tables_serve(rows, coarse, scan, range, queries))
    return scan_bit_tables(codes, rows, coarse, scan, range, queries, scratch, form_of, terms_of, values_of);
#endif
  const bool few = queries.end - queries.begin < kManyQueries,
             multiply = rows.bits == 8 || rows.bits == 4 || rows.bits == 2 || rows.bits == 1;
  const bool bounded = scan.metric == Metric::ip && rows.d <= kMostOfBytes;
  if (few && multiply && bounded)
    return scan_codes_few(codes, PackedProducts{rows}, coarse, scan, range, queries, scratch, form_of, terms_of,
                          values_of);
#if EMB_BYTE_COLUMNS
  if (!few && rows.bits && !rows.msb && bounded && bases_pay(coarse, range, queries))
    return scan_codes_many(codes, rows, coarse, scan, range, queries, scratch, form_of, terms_of, values_of);
#endif
#else
  (void)codes, (void)rows, (void)coarse, (void)form_of, (void)terms_of;
#endif
  const int64_t bytes = codes.byte_stride != 1 ? 0 : codes.stride < rows.d ? codes.stride : rows.d;
  scan_rows(scan, range, queries, scratch, [&](int64_t row, float* values) {
    prefetch_ahead(codes.data + row * codes.stride, bytes);
    return values_of(row, values);
  });
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
