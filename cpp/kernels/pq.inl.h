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
  float *columns = scratch, *row = columns + 16 * padded16(x.d);
  uint8_t* codes = reinterpret_cast<uint8_t*>(row + row_scratch(x.d));
  for (int64_t i = r.begin; i < r.end; i += 16) {
    const int64_t count = r.end - i < 16 ? r.end - i : 16;
    const int64_t bad = load_columns(x, i, count, columns, row);
    if (bad != kAllFinite) return bad;
    for (int64_t s = 0; s < p.m; ++s) {
      int32_t ids[16] = {};
      nearest(subspace(p, s), columns + 16 * s * p.dsub, count, ids, row);
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

// Turns the width of a code, and that of a codeword, into one known to the compiler (0: any).
#define EMB_FOR_KSUB(KSUB_VALUE, CALL) \
  if (KSUB_VALUE == 256) {             \
    constexpr int BITS = 8;            \
    CALL;                              \
  } else {                             \
    constexpr int BITS = 4;            \
    CALL;                              \
  }
#define EMB_FOR_DSUB(DSUB_VALUE, CALL) \
  switch (DSUB_VALUE) {                \
    case 2: {                          \
      constexpr int DSUB = 2;          \
      CALL;                            \
      break;                           \
    }                                  \
    case 4: {                          \
      constexpr int DSUB = 4;          \
      CALL;                            \
      break;                           \
    }                                  \
    case 8: {                          \
      constexpr int DSUB = 8;          \
      CALL;                            \
      break;                           \
    }                                  \
    case 16: {                         \
      constexpr int DSUB = 16;         \
      CALL;                            \
      break;                           \
    }                                  \
    default: {                         \
      constexpr int DSUB = 0;          \
      CALL;                            \
      break;                           \
    }                                  \
  }

template <int BITS, int DSUB>
EMB_OP void pq_decode_row(const uint8_t* codes, const Pq& p, float* out) {
  const int64_t dsub = DSUB ? DSUB : p.dsub;
  const float* codebook = p.codebooks;
  for (int64_t s = 0; s < p.m; ++s, codebook += p.ksub * dsub, out += dsub)
    __builtin_memcpy(out, codebook + code_at<BITS>(codes, s) * dsub, static_cast<size_t>(dsub) * 4);
}

void pq_decode(const Codes& codes, const Pq& p, float* out, Range r) {
  EMB_FOR_KSUB(p.ksub, EMB_FOR_DSUB(p.dsub, for (int64_t i = r.begin; i < r.end; ++i)(pq_decode_row<BITS, DSUB>(
                                                codes.data + i * codes.stride, p, out + i * p.m * p.dsub))))
}

// The codewords of a subspace, transposed to (dsub, ksub).
EMB_OP void transpose(const Codebook& c, float* out) {
  for (int64_t j = 0; j < c.k; ++j)
    for (int64_t i = 0; i < c.d; ++i) out[i * c.k + j] = c.values[j * c.d + i];
}

template <bool L2>
EMB_OP void query_table(const float* query, const float* transposed, int64_t ksub, int64_t dsub, float* table) {
  for (int64_t j = 0; j < ksub; j += 16) {
    f32x16 sum = splat(0.0f);
    for (int64_t i = 0; i < dsub; ++i) sum = accumulate<L2>(sum, splat(query[i]), load(transposed + i * ksub + j));
    store(table + j, sum);
  }
}

// Tables (m, ksub) of the queries, one after the other. `scratch`: ksub*dsub floats.
void pq_tables(const Pq& p, const Queries& queries, Metric metric, float* tables, Range r, float* scratch) {
  for (int64_t s = 0; s < p.m; ++s) {
    transpose(subspace(p, s), scratch);
    for (int64_t q = r.begin; q < r.end; ++q) {
      const float* query = queries.data + q * queries.stride + s * p.dsub;
      float* table = tables + ((q - r.begin) * p.m + s) * p.ksub;
      if (metric == Metric::l2)
        query_table<true>(query, scratch, p.ksub, p.dsub, table);
      else
        query_table<false>(query, scratch, p.ksub, p.dsub, table);
    }
  }
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
