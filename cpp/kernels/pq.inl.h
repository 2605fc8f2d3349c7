// Product quantization: encode, decode and lookup tables.
#pragma once
#include "nearest.inl.h"
#include "scan.inl.h"

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
  uint8_t* codes = reinterpret_cast<uint8_t*>(rest + 16 * padded16(x.d));
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
EMB_OP void pq_decode_rows(const Codes& codes, const Pq& p, float* out, Range r) {
  const int64_t dsub = DSUB ? DSUB : p.dsub;
  for (int64_t i = r.begin; i < r.end; ++i) {
    const uint8_t* row = codes.data + i * codes.stride;
    const float* codebook = p.codebooks;
    float* to = out + i * p.m * dsub;
    for (int64_t s = 0; s < p.m; ++s, codebook += p.ksub * dsub, to += dsub)
      __builtin_memcpy(to, codebook + code_at<BITS>(row, s) * dsub, static_cast<size_t>(dsub) * 4);
  }
}

// A copy of a size known to the compiler takes an instruction or two.
template <int BITS>
EMB_OP void pq_decode_bits(const Codes& codes, const Pq& p, float* out, Range r) {
  switch (p.dsub) {
    case 1:
      return pq_decode_rows<BITS, 1>(codes, p, out, r);
    case 2:
      return pq_decode_rows<BITS, 2>(codes, p, out, r);
    case 4:
      return pq_decode_rows<BITS, 4>(codes, p, out, r);
    case 8:
      return pq_decode_rows<BITS, 8>(codes, p, out, r);
    case 16:
      return pq_decode_rows<BITS, 16>(codes, p, out, r);
    default:
      return pq_decode_rows<BITS, 0>(codes, p, out, r);
  }
}

void pq_decode(const Codes& codes, const Pq& p, float* out, Range r) {
  if (p.ksub == 256)
    pq_decode_bits<8>(codes, p, out, r);
  else
    pq_decode_bits<4>(codes, p, out, r);
}

// The codewords of a subspace as (ksub/16, dsub, 16).
EMB_OP void blocks_of_codewords(const Codebook& c, float* blocks) {
  for (int64_t j = 0; j < c.k; j += 4) {
    const float* rows[4];
    for (int64_t r = 0; r < 4; ++r) rows[r] = c.values + (j + r) * c.d;
    put_columns(rows, c.d, blocks + j / 16 * 16 * c.d + j % 16);
  }
}

// Entries of Q queries for one subspace; queries lie `stride` floats apart, their tables `size`.
template <bool L2, int Q>
EMB_OP void table_rows(const float* query, int64_t stride, const float* blocks, const Pq& p, float* table,
                       int64_t size) {
  for (int64_t j = 0; j < p.ksub; j += 16, blocks += 16 * p.dsub) {
    f32x16 sum[Q];
    for (int q = 0; q < Q; ++q) sum[q] = splat(0.0f);
    for (int64_t i = 0; i < p.dsub; ++i) {
      const f32x16 c = load(blocks + 16 * i);
      for (int q = 0; q < Q; ++q) sum[q] = accumulate<L2>(sum[q], splat(query[q * stride + i]), c);
    }
    for (int q = 0; q < Q; ++q) store(table + q * size + j, sum[q]);
  }
}

template <bool L2>
EMB_OP void fill_tables(const Pq& p, const Queries& queries, float* tables, Range r, float* blocks) {
  constexpr int Q = kColumnRows;
  const int64_t stride = queries.stride, size = p.m * p.ksub, block = p.ksub * p.dsub;
  for (int64_t s = 0; s < p.m; ++s) blocks_of_codewords(subspace(p, s), blocks + s * block);
  for (int64_t i = r.begin; i < r.end; tables += Q * size, i += Q)
    for (int64_t s = 0; s < p.m; ++s) {
      const float *query = queries.data + i * stride + s * p.dsub, *from = blocks + s * block;
      float* table = tables + s * p.ksub;
      if (r.end - i >= Q)
        table_rows<L2, Q>(query, stride, from, p, table, size);
      else
        for (int64_t q = 0; q < r.end - i; ++q)
          table_rows<L2, 1>(query + q * stride, stride, from, p, table + q * size, size);
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
