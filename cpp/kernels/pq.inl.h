// Product quantization: encode, decode and lookup tables.
#pragma once
#include "nearest.inl.h"
#include "scan.inl.h"
#include "streaming.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

EMB_OP Codebook subspace(const Pq& p, int64_t s) {
  return {p.codebooks + s * p.ksub * p.dsub, p.packed + s * packed_floats(p.ksub, p.dsub), p.ksub, p.dsub};
}

// Codes of 16 rows, (m, 16) bytes, to the rows' places.
EMB_OP void put_pq_codes(const uint8_t* codes, const Pq& p, int64_t count, uint8_t* out, int64_t stride) {
  for (int64_t lane = 0; lane < count; ++lane, out += stride) {
    if (p.ksub == 256) {
      for (int64_t s = 0; s < p.m; ++s) out[s] = codes[16 * s + lane];
    } else {
      for (int64_t s = 0; s < p.m; s += 2) {
        const uint8_t high = s + 1 < p.m ? codes[16 * (s + 1) + lane] : 0;
        out[s / 2] = static_cast<uint8_t>(codes[16 * s + lane] | high << 4);
      }
    }
  }
}

int64_t pq_encode(const Rows& x, const Pq& p, CodesOut out, Range r, float* scratch) {
  float *columns = scratch, *rest = columns + 16 * padded16(x.d);
  uint8_t* codes = reinterpret_cast<uint8_t*>(rest + 16 * (padded16(x.d) + packed_words(p.ksub)));
  for (int64_t i = r.begin; i < r.end; i += 16) {
    const int64_t count = r.end - i < 16 ? r.end - i : 16;
    const int64_t bad = load_columns(x, i, count, columns, rest);
    if (bad != kAllFinite) return bad;
    for (int64_t s = 0; s < p.m; ++s) {
      int32_t ids[16] = {};
      nearest(subspace(p, s), columns + 16 * s * p.dsub, count, ids, rest);
      store_u8(codes + 16 * s, load_i32(ids));
    }
    put_pq_codes(codes, p, count, out.data + i * out.stride, out.stride);
  }
  return kAllFinite;
}

template <int BITS>
EMB_OP int64_t code_at(const uint8_t* codes, int64_t s) {
  return BITS == 8 ? codes[s] : codes[s / 2] >> (4 * (s % 2)) & 15;
}

template <int BITS, int DSUB>
struct PqRow {
  const Pq& p;
  EMB_OP void operator()(const uint8_t* codes, float* to) const {
    const int64_t dsub = DSUB ? DSUB : p.dsub;
    const float* codebook = p.codebooks;
    for (int64_t s = 0; s < p.m; ++s, codebook += p.ksub * dsub, to += dsub)
      __builtin_memcpy(to, codebook + code_at<BITS>(codes, s) * dsub, static_cast<size_t>(dsub) * 4);
  }
};

// Calls use(decode), decode(codes, to) being what decodes a row: a copy of a size known to the compiler takes an
// instruction or two.
template <int BITS, class Use>
EMB_OP void with_pq_row_of(const Pq& p, const Use& use) {
  switch (p.dsub) {
    case 1:
      return use(PqRow<BITS, 1>{p});
    case 2:
      return use(PqRow<BITS, 2>{p});
    case 4:
      return use(PqRow<BITS, 4>{p});
    case 8:
      return use(PqRow<BITS, 8>{p});
    case 16:
      return use(PqRow<BITS, 16>{p});
    default:
      return use(PqRow<BITS, 0>{p});
  }
}
template <class Use>
EMB_OP void with_pq_row(const Pq& p, const Use& use) {
  if (p.ksub == 256)
    with_pq_row_of<8>(p, use);
  else
    with_pq_row_of<4>(p, use);
}

void pq_decode(const Codes& codes, const Pq& p, RowsOut out, Range r) {
  with_pq_row(p, [&](const auto& decode) {
    put_rows(out, p.m * p.dsub, r, [&](int64_t i, float* to) { decode(codes.data + i * codes.stride, to); });
  });
}

// The codewords of a subspace as (ksub/16, dsub, 16).
EMB_OP void blocks_of_codewords(const Codebook& c, float* blocks) {
  for (int64_t j = 0; j < c.k; j += 16, blocks += 16 * c.d) {
    const float* rows = c.values + j * c.d;
    int64_t i = 0;
    for (; i + 4 <= c.d; i += 4) transpose16(rows + i, c.d, blocks + 16 * i);
    for (; i < c.d; ++i)
      for (int64_t r = 0; r < 16; ++r) blocks[16 * i + r] = rows[r * c.d + i];
  }
}

// A table's entries are one fused multiply-add a dimension, in order.
template <bool L2>
EMB_OP f32x16 accumulate_fused(f32x16 sum, f32x16 q, f32x16 c) {
  if (L2) {
    const f32x16 t = sub(q, c);
    return fused(t, t, sum);
  }
  return fused(q, c, sum);
}

// Codewords of a subspace by some of their dimensions, as 16 V of them are used at a time: for Q queries, `stride`
// floats apart, to tables that lie `size` floats apart.
struct TablePart {
  const float* blocks;  // the first of (ksub/16, dsub, 16)
  int64_t dsub, dims, codewords;
  bool first;  // of the dimensions: nothing has been summed yet
};

template <bool L2, int Q, int V>
EMB_OP void add_to_tables(const TablePart& part, const float* query, int64_t stride, float* table, int64_t size) {
  const float* blocks = part.blocks;
  for (int64_t j = 0; j < part.codewords; j += 16 * V, blocks += 16 * V * part.dsub, table += 16 * V) {
    f32x16 sum[Q][V];
    for (int q = 0; q < Q; ++q)
      for (int v = 0; v < V; ++v) sum[q][v] = part.first ? splat(0.0f) : load(table + q * size + 16 * v);
    for (int64_t i = 0; i < part.dims; ++i) {
      f32x16 c[V];
      for (int v = 0; v < V; ++v) c[v] = load(blocks + 16 * (v * part.dsub + i));
      for (int q = 0; q < Q; ++q) {
        const f32x16 y = splat(query[q * stride + i]);
        for (int v = 0; v < V; ++v) sum[q][v] = accumulate_fused<L2>(sum[q][v], y, c[v]);
      }
    }
    for (int q = 0; q < Q; ++q)
      for (int v = 0; v < V; ++v) store(table + q * size + 16 * v, sum[q][v]);
  }
}

// V codeword vectors for a tile of queries; a query that is left over takes more, for want of other sums to wait on.
template <bool L2, int Q, int V, int ALONE>
EMB_OP void add_part(const TablePart& part, const float* query, int64_t stride, int64_t count, float* table,
                     int64_t size) {
  int64_t q = 0;
  for (; q + Q <= count; q += Q, query += Q * stride, table += Q * size)
    add_to_tables<L2, Q, V>(part, query, stride, table, size);
  for (; q < count; ++q, query += stride, table += size) add_to_tables<L2, 1, ALONE>(part, query, stride, table, size);
}

// A tile of queries at a time, so that few tables are written side by side; where a subspace's codewords exceed L1,
// many queries pass each part of them. `blocks`: the codebook for the tiles that follow, but if there are none, one
// subspace.
template <bool L2>
EMB_OP void fill_tables(const Pq& p, const Queries& queries, float* tables, Range r, float* blocks) {
  constexpr int64_t kDims = 128, kCodewords = 64, kFloats = 8192;
  const int64_t stride = queries.stride, size = p.m * p.ksub;
  const int64_t dims = p.dsub < kDims ? p.dsub : kDims;
  const bool small = dims * p.ksub <= kFloats;
  const int64_t codewords = small ? p.ksub : kCodewords, tile = small ? kColumnRows * kColumnVectors : 64;
  const int64_t apart = r.end - r.begin > tile ? p.ksub * p.dsub : 0;
  for (int64_t first = r.begin; first < r.end; first += tile, tables += tile * size) {
    const int64_t count = r.end - first < tile ? r.end - first : tile;
    for (int64_t s = 0; s < p.m; ++s) {
      if (first == r.begin) blocks_of_codewords(subspace(p, s), blocks + s * apart);
      for (int64_t i = 0; i < p.dsub; i += dims) {
        const float* query = queries.data + first * stride + s * p.dsub + i;
        const int64_t left = p.dsub - i;
        TablePart part = {blocks + s * apart + 16 * i, p.dsub, left < dims ? left : dims, codewords, i == 0};
        for (int64_t j = 0; j < p.ksub; j += codewords, part.blocks += codewords * p.dsub) {
          float* table = tables + s * p.ksub + j;
          if (p.ksub == 16)
            add_part<L2, kColumnRows * kColumnVectors, 1, 1>(part, query, stride, count, table, size);
          else
            add_part<L2, kColumnRows, kColumnVectors, 4>(part, query, stride, count, table, size);
        }
      }
    }
  }
}

// Tables (m, ksub) of the queries, one after the other. `scratch`: pq_tables_scratch(m, ksub, dsub).
void pq_tables(const Pq& p, const Queries& queries, Metric metric, float* tables, Range r, float* scratch) {
  if (metric == Metric::l2)
    fill_tables<true>(p, queries, tables, r, scratch);
  else
    fill_tables<false>(p, queries, tables, r, scratch);
}

// Sums of R rows' entries of a table (m, ksub). Codes are cut from 64-bit words: a load for each 8 or 16 of them.
template <int BITS, int R>
EMB_OP void lookup(const float* table, const uint8_t* const* codes, int64_t m, float* sums) {
  constexpr int kPerWord = 64 / BITS, kEntries = 1 << BITS;
  float sum[R] = {};
  int64_t s = 0;
  for (; s + kPerWord <= m; s += kPerWord) {
    uint64_t word[R];
    for (int r = 0; r < R; ++r) __builtin_memcpy(&word[r], codes[r] + s * BITS / 8, 8);
    for (int t = 0; t < kPerWord; ++t, table += kEntries) {
      for (int r = 0; r < R; ++r) {
        sum[r] += table[word[r] & (kEntries - 1)];
        word[r] >>= BITS;
      }
    }
  }
  for (; s < m; ++s, table += kEntries)
    for (int r = 0; r < R; ++r) sum[r] += table[code_at<BITS>(codes[r], s)];
  for (int r = 0; r < R; ++r) sums[r] = sum[r];
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
