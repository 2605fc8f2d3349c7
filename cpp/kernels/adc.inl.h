// The scan over product quantizer codes: sums of lookup table entries (asymmetric distance computation). A score is the
// float32 sum over the subspaces in order, and then the row's centroid's product, on every level. With centroids l2 and
// cosine are those of the decoded row.
#pragma once
#include "adc_bytes.inl.h"
#include "adc_levels.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Squared norms (m, ksub) of the codewords.
inline void norm_table(const Pq& p, float* table) {
  const float* c = p.codebooks;
  for (int64_t j = 0; j < p.m * p.ksub; ++j, c += p.dsub) {
    float sum = 0.0f;
    for (int64_t i = 0; i < p.dsub; ++i) sum = __builtin_fmaf(c[i], c[i], sum);
    table[j] = sum;
  }
}

// The rows of a scan that the mask allows, some at a time.
struct CodeBlock {
  const uint8_t* codes[kAdcRows];
  int64_t ids[kAdcRows];
  float norms[kAdcRows];
  int count;
};

template <int BITS>
EMB_OP void lookup_block(const float* table, const CodeBlock& block, int64_t m, float* sums) {
  int r = 0;
  for (; r + 4 <= block.count; r += 4) lookup<BITS, 4>(table, block.codes + r, m, sums + r);
  for (; r < block.count; ++r) lookup<BITS, 1>(table, block.codes + r, m, sums + r);
}

// Calls use(block) with the rows that the mask allows; `norms`: the table of squared norms, null unless wanted;
// `copies`: room for the codes of kAdcRows rows.
template <int BITS, class Use>
EMB_OP void for_blocks(const Codes& codes, const Scan& scan, Range rows, int64_t m, const float* norms, uint8_t* copies,
                       Use use) {
  const int64_t bytes = (m * BITS + 7) / 8;
  CodeBlock block;
  for (int64_t row = rows.begin; row < rows.end;) {
    for (block.count = 0; row < rows.end && block.count < kAdcRows; ++row) {
      if (scan.mask && !scan.mask[row]) continue;
      block.codes[block.count] = code_of(codes, row, bytes, copies + block.count * bytes);
      block.ids[block.count++] = row;
    }
    if (norms) {
      lookup_block<BITS>(norms, block, m, block.norms);
      for (int r = 0; r < block.count; ++r) block.norms[r] = __builtin_sqrtf(block.norms[r]);
    }
    use(block);
  }
}

template <int BITS>
EMB_OP void scan_query(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t q, const float* norms,
                       const float* table, const Bases& bases, uint8_t* copies) {
  for_blocks<BITS>(codes, scan, rows, p.m, norms, copies, [&](const CodeBlock& block) {
    float sums[kAdcRows];
    lookup_block<BITS>(table, block, p.m, sums);
    bases.add_to(sums, block.ids, block.count);
    for (int r = 0; r < block.count; ++r)
      keep(scan.best[q], finish_score(sums[r], scan.metric, scan.queries.norm[q], norms ? block.norms[r] : 0.0f),
           block.ids[r]);
  });
}

#if EMB_BYTE_TABLES

// Of a block's rows, transposed: a gather looks up an entry for each of 16.
EMB_OP void gather_sums(const float* table, const PlaneBlock& block, int64_t m, float* sums) {
  for (int r = 0; r < kPlaneRows; r += 16) {
    f32x16 sum = splat(0.0f);
    for (int64_t s = 0; s < m; ++s)
      sum = add(sum, gather(table + 256 * s, load_u8(block.planes + s * block.stride + r)));
    store(sums + r, sum);
  }
}

// ... with codes of 8 bits.
inline void scan_query_planes(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t q,
                              const float* norms, const float* table, const Bases& bases, uint8_t* memory) {
  const PlaneRoom room = plane_room(p.m, memory);
  const float sign = scan.metric == Metric::l2 ? -1.0f : 1.0f;
  TopK& best = scan.best[q];
  float sums[kPlaneRows], lengths[kPlaneRows] = {};
  PlaneBlock block = {};
  for (int64_t row = rows.begin; row < rows.end;) {
    row = next_planes<false>(codes, p.m, scan, row, rows.end, room, block);
    if (!block.there) continue;
    gather_sums(table, block, p.m, sums);
    bases.add_to(sums, block.ids, kPlaneRows);
    if (norms) gather_sums(norms, block, p.m, lengths);
    for (uint64_t there = block.there; there; there &= there - 1) {
      const int r = __builtin_ctzll(there);
      if (norms || best.count < best.k || !(sign * sums[r] <= best.floor))
        keep(best, finish_score(sums[r], scan.metric, scan.queries.norm[q], __builtin_sqrtf(lengths[r])), block.ids[r]);
    }
  }
}

#endif

// The tables of up to 16 queries side by side, (m, ksub, 16): one lookup then serves them all. `columns`: the queries,
// transposed to (d, 16).
template <bool L2>
EMB_OP void tile_tables(const Pq& p, const float* columns, float* tables) {
  const float* c = p.codebooks;
  for (int64_t s = 0; s < p.m; ++s, columns += 16 * p.dsub) {
    for (int64_t j = 0; j < p.ksub; ++j, c += p.dsub, tables += 16) {
      f32x16 sum = splat(0.0f);
      for (int64_t i = 0; i < p.dsub; ++i) sum = accumulate_fused<L2>(sum, load(columns + 16 * i), splat(c[i]));
      store(tables, sum);
    }
  }
}

// Sums (rows, 16) of the entries of a tile's tables. Few subspaces at a time, so that their tables stay in L1.
template <int BITS>
EMB_OP void lookup_tile(const float* tables, const CodeBlock& block, int64_t m, float* sums) {
  constexpr int kEntries = 1 << BITS, kStep = 512 / kEntries;
  for (int r = 0; r < block.count; ++r) store(sums + 16 * r, splat(0.0f));
  for (int64_t s = 0; s < m; s += kStep, tables += kStep * kEntries * 16) {
    const int64_t step = m - s < kStep ? m - s : kStep;
    for (int r = 0; r < block.count; ++r) {
      f32x16 sum = load(sums + 16 * r);
      for (int64_t t = 0; t < step; ++t)
        sum = add(sum, load(tables + (t * kEntries + code_at<BITS>(block.codes[r], s + t)) * 16));
      store(sums + 16 * r, sum);
    }
  }
}

// Offers a block's scores to the heaps of `count` queries.
EMB_OP void keep_tile(const Scan& scan, const CodeBlock& block, int64_t q, int count, const float* norms,
                      const float* sums) {
  QueryTile tile = query_tile(scan, q, count);
  const f32x16 query_norms = load(tile.norms);
  for (int r = 0; r < block.count; ++r)
    keep16(tile, finish16(load(sums + 16 * r), scan.metric, query_norms, norms ? block.norms[r] : 0.0f), block.ids[r]);
}

// Not inlined: the compiler then keeps more of it in registers (0.92 of the time of many queries on AVX2).
template <int BITS>
__attribute__((noinline)) void scan_tile(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t q,
                                         int count, const float* norms, const Bases& bases, float* scratch) {
  float *tables = scratch, *columns = tables + 16 * p.m * p.ksub, *sums = columns + 16 * scan.queries.stride;
  query_columns(scan, q, count, columns);
  if (scan.metric == Metric::l2)
    tile_tables<true>(p, columns, tables);
  else
    tile_tables<false>(p, columns, tables);
  uint8_t* copies = reinterpret_cast<uint8_t*>(sums + 16 * kAdcRows);
  for_blocks<BITS>(codes, scan, rows, p.m, norms, copies, [&](const CodeBlock& block) {
    lookup_tile<BITS>(tables, block, p.m, sums);
    bases.add_to_tile(sums, block.ids, block.count);
    keep_tile(scan, block, q, count, norms, sums);
  });
}

template <int BITS>
EMB_OP void scan_queries(const Codes& codes, const Pq& p, const Coarse& coarse, const Scan& scan, Range rows,
                         Range queries, const float* norms, float* scratch) {
  const int64_t size = p.m * p.ksub, centroids = coarse.count;
  float* products = centroids ? scratch : nullptr;
  scratch += 16 * centroids;
  const Bases bases = {coarse, products};
  int64_t q = queries.begin;
#if EMB_BYTE_TABLES
  if (byte_tables_serve<BITS>(p, scan, rows, queries)) {
    float* tables = scratch;
    scratch += kTableQueries * size;
    for (; q < queries.end; q += kTableQueries) {
      const int count = queries.end - q < kTableQueries ? static_cast<int>(queries.end - q) : kTableQueries;
      pq_tables(p, scan.queries, scan.metric, tables, {q, q + count}, scratch);
      put_products(scan, q, count, coarse, products, centroids, 1);
      uint8_t* memory = reinterpret_cast<uint8_t*>(scratch);
      if (centroids)
        scan_byte_tables<BITS, true>(codes, p, scan, rows, q, count, tables, bases, memory);
      else
        scan_byte_tables<BITS, false>(codes, p, scan, rows, q, count, tables, bases, memory);
    }
    return;
  }
#endif
  for (; queries.end - q >= kFewQueries; q += 16) {
    const int count = queries.end - q < 16 ? static_cast<int>(queries.end - q) : 16;
    put_products(scan, q, count, coarse, products, 1, 16);
    scan_tile<BITS>(codes, p, scan, rows, q, count, norms, bases, scratch);
  }
  if (q >= queries.end) return;
  put_products(scan, q, queries.end - q, coarse, products, centroids, 1);
  pq_tables(p, scan.queries, scan.metric, scratch, {q, queries.end}, scratch + kFewQueries * size);
  uint8_t* memory = reinterpret_cast<uint8_t*>(scratch + kFewQueries * size);
#if EMB_BYTE_TABLES
  if (BITS == 8) {
    for (int64_t i = 0; q + i < queries.end; ++i)
      scan_query_planes(codes, p, scan, rows, q + i, norms, scratch + i * size, bases.of(i), memory);
    return;
  }
#endif
  for (int64_t i = 0; q + i < queries.end; ++i)
    scan_query<BITS>(codes, p, scan, rows, q + i, norms, scratch + i * size, bases.of(i), memory);
}

// The scan of rows with centroids by a metric that needs their lengths: these do not add up from tables.
inline void scan_pq_rows(const Codes& codes, const Pq& p, const Coarse& coarse, const Scan& scan, Range rows,
                         Range queries, float* scratch) {
  const int64_t d = p.m * p.dsub, stride = scan.queries.stride, bytes = (p.m * (p.ksub == 256 ? 8 : 4) + 7) / 8;
  uint8_t* copy = reinterpret_cast<uint8_t*>(scratch);
  with_pq_row(p, [&](const auto& decode) {
    scan_rows(scan, rows, queries, scratch + padded16((bytes + 3) / 4), [&](int64_t row, float* out) {
      const uint8_t* code = code_of(codes, row, bytes, copy);
      if (codes.byte_stride == 1) prefetch_ahead(code, bytes);
      decode(code, out);
      for (int64_t j = d; j < stride; ++j) out[j] = 0.0f;
      const float* centroid = coarse.row(row, stride, 0);
      for (int64_t j = 0; j < stride; j += 16) store(out + j, add(load(out + j), load(centroid + j)));
      return static_cast<const float*>(out);
    });
  });
}

void pq_topk(const Codes& codes, const Pq& p, const Coarse& coarse, const Scan& scan, Range rows, Range queries,
             float* scratch) {
  if (coarse.count && scan.metric != Metric::ip) return scan_pq_rows(codes, p, coarse, scan, rows, queries, scratch);
  float *room = scratch, *norms = nullptr;
  scratch += padded16(p.m * p.ksub);
#if EMB_TILES
  if (pq_levels_serve(p, rows, queries)) {
    if (scan.metric != Metric::ip) norm_table(p, norms = room);
    return scan_pq_levels(codes, p, coarse, scan, rows, queries, norms, scratch);
  }
#endif
  if (scan.metric == Metric::cosine) norm_table(p, norms = room);
  if (p.ksub == 256)
    scan_queries<8>(codes, p, coarse, scan, rows, queries, norms, scratch);
  else
    scan_queries<4>(codes, p, coarse, scan, rows, queries, norms, scratch);
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
