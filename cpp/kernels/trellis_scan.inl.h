// The scan of trellis codes: of one query or two with the levels as they leave the look-up, of more with rows of
// levels.
#pragma once
#include "code_scan.inl.h"
#include "decoded_scan.inl.h"
#include "trellis.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// The values of a row: its components and what each stage adds.
EMB_OP void trellis_values(const TrellisParams& p, const int8_t* levels, float factor, const Coarse& coarse,
                           int64_t row, float* out, int64_t padded) {
  trellis_components(p, levels, factor, coarse.row(row, padded, 0), out, padded);
  for (int s = 1; s < coarse.stages; ++s) {
    const float* centroid = coarse.row(row, padded, s);
    for (int64_t j = 0; j < padded; j += 16) store(out + j, add(load(out + j), load(centroid + j)));
  }
}

#if EMB_WINDOW_PRODUCTS

// Codes as scan_codes_few multiplies them: their values are the levels + 128. Components of most energy count larger
// units of a query than the others: with one unit for all, the bound lets up to two thirds of the rows through.
struct TrellisProducts {
  const TrellisParams& p;
  int64_t d;
  int largest;
  const WindowVector* vectors;
  int64_t count[2][4];  // of larger units and of others: windows of one component, of two, quarters of each
  int32_t* places;      // of each component's byte in a query
  int64_t first_fine, stride;
  int most_finer;

  EMB_OP int64_t bytes() const { return p.bytes; }
  EMB_OP int64_t read() const { return p.bytes + kWindows; }
  EMB_OP int64_t query_stride() const { return stride; }
  EMB_OP int64_t place(int64_t j) const { return places[j]; }
  EMB_OP void sums(const CodeBlock32& block, const int8_t* query, int finer, int32_t* out) const {
    for (int r = 0; r < block.count; r += kCodeTile, out += kCodeTile) {
      const uint8_t* const* rows = block.rows + r;
      const WindowVector* v = vectors;
      const int8_t* at = query;
      CodeSums a = no_sums();
      QuarterSums c = no_quarter_sums();
      for (int group = 0; group < 2; ++group) {
        const int64_t* n = count[group];
        if (group) shift_sums(a, c, finer);
        at = add_windows<false>(rows, v, n[0], at, a);
        at = add_windows<true>(rows, v + n[0], n[1], at, a);
        at = add_quarters<false>(rows, v + n[0] + n[1], n[2], at, c);
        at = add_quarters<true>(rows, v + n[0] + n[1] + n[2], n[3], at, c);
        v += n[0] + n[1] + n[2] + n[3];
      }
      store_sums(a, c, out);
    }
  }
};

constexpr int64_t kCoarse = 48;  // vectors of which the first component comes before it count larger units

// Which windows are looked up together: as many as a vector has, several times where a lane has room, then those that
// would leave half of a vector empty, by quarters.
EMB_OP TrellisProducts trellis_products(const TrellisParams& p, Room& room) {
  int8_t* books = room.take<int8_t>(kTrellisBooks * kTrellisLevels);
  for (int i = 0; i < kTrellisBooks * kTrellisLevels; ++i)
    books[i] = static_cast<int8_t>(static_cast<uint8_t>(p.codebooks[i]) ^ 0x80u);
  WindowVector* v = room.take<WindowVector>(window_vectors(p.d));
  TrellisProducts rows = {p, p.coded, 255, v, {}, room.take<int32_t>(p.coded), 0, 0, 0};
  int64_t at = 0;
  for (int kind = 0; kind < 8; ++kind) {
    const bool fine = kind >= 4, quarter = kind % 4 >= 2;
    const int width = 1 + kind % 2;
    if (kind == 4) rows.first_fine = at;
    for (const TrellisSegment* s = p.segment; s < p.segment + p.segments; ++s) {
      if (trellis_width(s->rate) != width) continue;
      const int64_t all = (s->count + width - 1) / width, whole = (all + kWindows / 2 - 1) / kWindows * kWindows;
      const int shift = trellis_shift(s->rate);
      const int8_t* book = books + kTrellisLevels * trellis_book(s->rate);
      const int64_t begin = quarter ? whole : 0, end = quarter ? all : whole;
      // Windows up to `turn` begin in a vector that is coarse.
      const int64_t lanes = quarter ? kQuarter : kWindows, ahead = kCoarse - s->begin;
      const int64_t vectors = ahead > 0 ? (ahead + width * lanes - 1) / (width * lanes) : 0;
      int64_t turn = vectors * lanes;
      turn = turn < begin ? begin : turn > end ? end : turn;
      for (int64_t i = fine ? turn : begin; i < (fine ? end : turn);) {
        const int64_t left = ((fine ? end : turn) - i + lanes - 1) / lanes, most = quarter ? 1 : window_sets(shift);
        const int sets = static_cast<int>(left < most ? left : most);
        *v++ = window_vector(s->byte + i * shift / 8, p.bytes, shift, sets, book, quarter);
        for (int64_t w = 0; w < sets * lanes && i + w < all; ++w) {
          const int64_t to = at + window_place(w, sets, width, lanes);
          for (int64_t k = 0; k < width && (i + w) * width + k < s->count; ++k)
            rows.places[s->begin + (i + w) * width + k] = static_cast<int32_t>(to + k * lanes);
        }
        i += sets * lanes;
        at += width * sets * lanes;
        ++rows.count[fine][kind % 4];
      }
    }
  }
  rows.stride = (at + kWindows - 1) / kWindows * kWindows;
  const int64_t most = kMostOfBytes - (rows.stride - rows.first_fine);
  while (rows.most_finer < 7 && (rows.first_fine << (rows.most_finer + 1)) <= most) ++rows.most_finer;
  return rows;
}

// `raised`: added to each level for its value.
EMB_OP CodeForm trellis_form(const TrellisParams& p, const float* x, float raised, float* folded) {
  CodeForm form = {};
  for (int64_t j = 0; j < p.coded; ++j) {
    folded[j] = x[j] * p.step[j];
    form.constant -= raised * folded[j];
    form.sizes += (raised + 128.0f) * __builtin_fabsf(folded[j]);
  }
  return form;
}

// A scan in bytes; more than two queries share what a look-up gives.
EMB_OP void trellis_topk_bytes(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Scan& scan,
                               Range rows, Range queries, float* scratch) {
  const int64_t stride = scan.queries.stride;
  const bool many = queries.end - queries.begin > 2;
  const auto form_of = [&](const float* x, float* folded) { return trellis_form(p, x, many ? 0.0f : 128.0f, folded); };
  const auto terms_of = [&](const int64_t* ids, int count, float* factor, float* addend) {
    for (int n = 0; n < count; ++n) factor[n] = trellis_factor(p, codes.data + ids[n] * codes.stride), addend[n] = 0.0f;
  };
  int8_t* levels = reinterpret_cast<int8_t*>(scratch);
  scratch += levels_scratch(p.d);
  const auto values_of = [&](int64_t row, float* out) {
    float factor;
    trellis_block(codes, p, &row, 1, levels, &factor);
    trellis_values(p, levels, factor, coarse, row, out, stride);
    return static_cast<const float*>(out);
  };
  if (!many) {
    Room room = {scratch};
    const TrellisProducts products = trellis_products(p, room);
    return scan_codes_few(codes, products, coarse, scan, rows, queries, room.next, form_of, terms_of, values_of);
  }
  const auto levels_of = [&](const int64_t* ids, int count, int8_t* out) {
    float factors[kIntBlock];
    trellis_block(codes, p, ids, count, out, factors);
  };
  const float least = 32.0f * __builtin_sqrtf(static_cast<float>(p.coded));
  scan_decoded_levels<3>({p.coded, levels_stride(p.d), 0.0f, least}, component_parts(p.coded).ends, coarse, scan, rows,
                         queries, scratch, form_of, terms_of, levels_of, values_of);
}

#endif

void trellis_topk(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Scan& scan, Range rows,
                  Range queries, float* scratch) {
#if EMB_WINDOW_PRODUCTS
  const int64_t count = queries.end - queries.begin;
  const bool many = count >= kManyQueries && bases_pay(coarse, rows, queries);
  if (scan.metric == Metric::ip && (count <= 2 || many) && p.coded <= kMostOfBytes)
    return trellis_topk_bytes(codes, p, coarse, scan, rows, queries, scratch);
#endif
  const int64_t stride = scan.queries.stride;
  const auto levels_of = [&](const int64_t* ids, int count, int8_t* levels, float* factors) {
    trellis_block(codes, p, ids, count, levels, factors);
  };
  const LevelRows decoded = {p.step, p.coded, levels_stride(p.d)};
  if (decoded_serves(coarse, scan, rows, queries))
    return scan_decoded(decoded, coarse, scan, rows, queries, scratch, levels_of);
  const auto values_of = [&](int64_t row, const int8_t* levels, float factor, float* out) {
    trellis_values(p, levels, factor, coarse, row, out, stride);
  };
  scan_levels(decoded, coarse, scan, rows, queries, scratch, levels_of, values_of);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
