// A scan over codes of one bit through lookup tables of bytes for four dimensions at a time, as over PQ codes of 4 bits
// (adc_bytes.inl.h). Rows have a factor and an addend of their own, with which sums bound scores. What may be among the
// best is scored by the contract's float32 sum.
#pragma once
#include "adc_bytes.inl.h"
#include "code_form.inl.h"

#if EMB_BYTE_TABLES

namespace embcodec {
namespace EMB_ISA {
namespace {

struct BitQuery {
  ByteTable table;
  float low, unit;  // a score without addend is at most factor * (low + sum * unit)
  float extra, extra_error;
  float base;  // the most that the centroid, the same for all rows, gives
};

// `entries`: (2 * bytes, 16) floats, the products of the bits of half a byte.
inline BitQuery bit_query(const PackedCodes& rows, const CodeForm& form, const float* folded, float* entries,
                          uint8_t* bytes) {
  const int64_t halves = (rows.d + 7) / 8 * 2;
  for (int64_t s = 0; s < halves; ++s) {
    float* entry = entries + 16 * s;
    entry[0] = 0.0f;
    for (int t = 0; t < 4; ++t) {
      const int64_t bit = s % 2 * 4 + t, j = s / 2 * 8 + (rows.msb ? 7 - bit : bit);
      for (int c = 0; c < 1 << t; ++c) entry[(1 << t) + c] = entry[c] + (j < rows.d ? folded[j] : 0.0f);
    }
  }
  BitQuery q = {byte_table(entries, halves, 16, 1.0f, bytes), 0.0f, 0.0f, form.extra, 0.0f, 0.0f};
  const float rounding = kMargin * rounding_of(rows.d);
  q.extra_error = rounding * form.extra_sizes;
  q.low =
      static_cast<float>(q.table.low) + form.constant + kMargin * form.off + 2.0f * rounding * (form.sizes + 1e-30f);
  const bool finite = form.sizes < kLarge && form.extra_sizes < kLarge && q.table.unit > 0.0;
  q.unit = finite ? static_cast<float>(q.table.unit) * kMargin : __builtin_nanf("");  // nothing is excluded
  return q;
}

// Of a block's rows: the factor, NaN where nothing can be said, and the addend.
struct BitTerms {
  float factor[kPlaneRows], addend[kPlaneRows];
};

inline void put_bit_terms(const PlaneBlock& block, const TermsOf& terms_of, BitTerms& terms) {
  terms_of(block.ids, kPlaneRows, terms.factor, terms.addend);
  for (int r = 0; r < kPlaneRows; r += 16) {
    const f32x16 f = load(terms.factor + r);
    const mask16 sane = both(less(splat(1e-30f), f), less(f, splat(kLarge)));
    const mask16 known = both(sane, less(abs(load(terms.addend + r)), splat(kLarge)));
    store(terms.factor + r, select(known, f, splat(__builtin_nanf(""))));
  }
}

// Which rows may score better than `floor`.
EMB_OP uint64_t promising_bits(const BitQuery& q, const BitTerms& terms, const uint16_t* sums, float floor) {
  uint64_t wanted = 0;
  for (int r = 0; r < kPlaneRows; r += 16) {
    const f32x16 addend = load(terms.addend + r), sum = to_f32(load_u16(sums + r));
    f32x16 most = muladd(muladd(sum, splat(q.unit), splat(q.low)), load(terms.factor + r), splat(q.base));
    most = muladd(addend, splat(q.extra), muladd(abs(addend), splat(q.extra_error), most));
    wanted |= static_cast<uint64_t>(~mask_bits(less(most, splat(floor))) & 0xffffu) << r;  // NaN is looked at
  }
  return wanted;
}

template <int Q, Sums SUMS>
EMB_OP void offer_bits(const Scan& scan, int64_t first, const PlaneBlock& block, const uint16_t* strip,
                       const BitTerms& terms, int64_t bytes, const BitQuery* query, float* values,
                       const Fetch& values_of) {
  uint16_t sums[Q * kPlaneRows];
  if constexpr (SUMS == Sums::strips)
    finish_sums(strip, ToMemory{sums});
  else
    sum_rows<Q, SUMS == Sums::fours>(block.planes, block.stride, bytes, query[0].table.bytes,
                                     byte_table_size(2 * bytes, 16), sums);
  for (int q = 0; q < Q; ++q) {
    TopK& best = scan.best[first + q];
    const uint64_t promising = promising_bits(query[q], terms, sums + q * kPlaneRows, best.floor);
    for (uint64_t wanted = promising & block.there; wanted; wanted &= wanted - 1) {
      const int64_t id = block.ids[__builtin_ctzll(wanted)];
      const float* x = scan.queries.data + (first + q) * scan.queries.stride;
      keep(best, dot16(x, values_of(id, values), scan.queries.stride), id);
    }
  }
}

inline float most_of_centroid(const Scan& scan, int64_t query, const Coarse& coarse) {
  if (!coarse.count) return 0.0f;
  float sizes;
  const float product = product_and_sizes(scan, query, coarse.centroids, sizes);
  return sizes < kLarge ? product + kMargin * rounding_of(scan.queries.d) * sizes : __builtin_inff();
}

template <Sums SUMS>
EMB_OP void scan_bits(const Codes& codes, int64_t bytes, const Scan& scan, Range range, int64_t first, int count,
                      const BitQuery* query, const PlaneRoom& room, float* values, const TermsOf& terms_of,
                      const Fetch& values_of) {
  constexpr int Q = kSharedQueries;
  PlaneBlock block = {};
  BitTerms terms;
  [[maybe_unused]] Strips<4> strips;
  for (int64_t row = range.begin; row < range.end;) {
    const int64_t from = row;
    row = next_planes<SUMS == Sums::fours>(codes, bytes, scan, row, range.end, room, block);
    if (!block.there) continue;
    put_bit_terms(block, terms_of, terms);
    const uint16_t* sums = nullptr;
    if constexpr (SUMS == Sums::strips)
      sums = strips.of(block, codes, bytes, scan, from, range.end, query[0].table.bytes, byte_table_size(2 * bytes, 16),
                       count);
    int i = 0;
    if constexpr (SUMS != Sums::strips)
      for (; i + Q <= count; i += Q)
        offer_bits<Q, SUMS>(scan, first + i, block, sums, terms, bytes, query + i, values, values_of);
    for (; i < count; ++i, sums += SUMS == Sums::strips ? kStripRows : 0)
      offer_bits<1, SUMS>(scan, first + i, block, sums, terms, bytes, query + i, values, values_of);
  }
}

inline void scan_bit_tables(const Codes& codes, const PackedCodes& rows, const Coarse& coarse, const Scan& scan,
                            Range range, Range queries, float* scratch, const FormOf& form_of, const TermsOf& terms_of,
                            const Fetch& values_of) {
  Room room = {scratch};
  const int64_t stride = scan.queries.stride, bytes = (rows.d + 7) / 8;
  const int64_t size = byte_table_size(2 * bytes, 16);
  const PlaneRoom planes = plane_room(bytes, room.take<uint8_t>(plane_room_size(bytes)));
  uint8_t* tables = room.take<uint8_t>(kTableQueries * size);
  float *folded = room.take<float>(stride), *entries = room.take<float>(32 * bytes);
  float* values = room.take<float>(stride);
  for (int64_t first = queries.begin; first < queries.end; first += kTableQueries) {
    const int count = queries.end - first < kTableQueries ? static_cast<int>(queries.end - first) : kTableQueries;
    BitQuery query[kTableQueries];
    for (int i = 0; i < count; ++i) {
      const CodeForm form = form_of(scan.queries.data + (first + i) * stride, folded);
      query[i] = bit_query(rows, form, folded, entries, tables + i * size);
      query[i].base = most_of_centroid(scan, first + i, coarse);
    }
    with_sums<4>(codes, bytes, count, [&](auto sums) {
      scan_bits<sums()>(codes, bytes, scan, range, first, count, query, planes, values, terms_of, values_of);
    });
  }
}

// Whether they serve: sums of bytes fit 16 bits, making the tables pays, a score has nothing of a row's own beside, and
// no tiles multiply the queries faster.
EMB_OP bool bit_tables_serve(const PackedCodes& rows, const Coarse& coarse, const Scan& scan, Range range,
                             Range queries) {
  if (EMB_TILES && !rows.msb && queries.end - queries.begin >= kLookedUp) return false;
  return rows.bits == 1 && coarse.count <= 1 && scan.metric == Metric::ip && rows.d <= 2048 &&
         range.end - range.begin >= 2048;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#endif
