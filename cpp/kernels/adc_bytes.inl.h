// The scan over product quantizer codes with lookup tables of bytes, as FAISS's fast scan does it (Andre, Kermarrec and
// Le Scouarnec, 2017), but over codes as they lie: a block of rows is transposed in L1, then a vector of codes looks up
// a vector of entries. Entries are rounded so that their sums are never below a score; what that cannot exclude is
// summed as float32, in the order of the subspaces.
#pragma once
#include "pq.inl.h"

#if EMB_BYTE_TABLES

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTableQueries = 16;  // whose tables stay in L2 while the rows pass by

// A score is at most low + unit * the sum of the query's bytes.
struct ByteTable {
  uint8_t* bytes;  // byte_table_size
  double low, unit;
};

// The least and the greatest of a subspace's entries, whose size is infinite if one is not finite.
EMB_OP void entry_range(const float* entries, int64_t ksub, f32x16 sign, float& least, float& most) {
  f32x16 low = mul(load(entries), sign), high = low, poison = sub(low, low);
  for (int64_t j = 16; j < ksub; j += 16) {
    const f32x16 entry = mul(load(entries + j), sign);
    low = min(entry, low);
    high = max(entry, high);
    poison = add(poison, sub(entry, entry));
  }
  least = reduce_min(low);
  most = all_finite(poison) ? reduce_max(high) : __builtin_inff();
}

inline ByteTable byte_table(const float* table, int64_t m, int64_t ksub, float sign, uint8_t* bytes) {
  float widest = 0.0f, least, most;
  double low = 0.0, sizes = 0.0;
  for (int64_t s = 0; s < m; ++s) {
    entry_range(table + s * ksub, ksub, splat(sign), least, most);
    widest = most - least > widest ? most - least : widest;
    low += static_cast<double>(least);
    sizes += static_cast<double>(__builtin_fmaxf(__builtin_fabsf(least), __builtin_fabsf(most)));
  }
  for (int64_t j = 0; j < byte_table_size(m, ksub); j += 16) store_u8(bytes + j, splat_i32(0));
  if (!(sizes < 1e15) || !(widest > 1e-25f)) return {bytes, 0.0, 0.0};  // nothing is excluded
  const float unit = widest / 126.0f;
  const f32x16 inverse = splat(1.0f / unit);
  for (int64_t s = 0; s < m; ++s) {
    entry_range(table + s * ksub, ksub, splat(sign), least, most);
    uint8_t* to = bytes + (ksub == 16 ? short_place(s) : s * ksub);
    for (int64_t j = 0; j < ksub; j += 16) {  // upwards, and what the product may lose beside
      const f32x16 scaled = mul(sub(mul(load(table + s * ksub + j), splat(sign)), splat(least)), inverse);
      store_u8(to + j, round_to_i32(add(scaled, splat(0.501f))));
    }
  }
  const double rounding = static_cast<double>(m) * 7e-8 * sizes;  // of the float32 sum
  return {bytes, low + rounding, static_cast<double>(unit) * (1 + 1e-6)};
}

// The least sum that may mean a score above `floor`; 65536 if none does.
EMB_OP uint32_t least_sum(const ByteTable& table, float floor) {
  if (table.unit == 0.0) return 0;
  const double sum = (static_cast<double>(floor) - table.low) / table.unit;
  return sum < 0 ? 0 : sum < 65535 ? static_cast<uint32_t>(sum) + 1 : 65536;
}

struct PlaneBlock {
  const uint8_t* codes;  // of each row, `stride` bytes apart
  int64_t stride;
  int64_t ids[kPlaneRows];
  int count;
};

// The next rows that may be returned, and their transpose: of each byte of a code, those of all rows side by side. They
// are read where they lie, but for a mask, and near the end, where a vector would reach beyond the codes: then copied.
template <int BITS>
EMB_OP int64_t next_planes(const Codes& codes, int64_t bytes, const Scan& scan, int64_t row, int64_t end,
                           uint8_t* copies, uint8_t* planes, PlaneBlock& block) {
  const int64_t read = (bytes + 15) / 16 * 16, readable = (codes.n - 1) * codes.stride + bytes;
  if (!scan.mask && row + kPlaneRows <= end && (row + kPlaneRows - 1) * codes.stride + read <= readable) {
    block.codes = codes.data + row * codes.stride;
    block.stride = codes.stride;
    block.count = kPlaneRows;
    for (int n = 0; n < kPlaneRows; ++n) block.ids[n] = row + n;
    row += kPlaneRows;
  } else {
    block.codes = copies;
    block.stride = read;
    for (block.count = 0; row < end && block.count < kPlaneRows; ++row) {
      if (scan.mask && !scan.mask[row]) continue;
      __builtin_memcpy(copies + block.count * read, codes.data + row * codes.stride, static_cast<size_t>(bytes));
      block.ids[block.count++] = row;
    }
    if (!block.count) return row;
    for (int n = block.count; n < kPlaneRows; ++n) block.ids[n] = block.ids[0];
  }
  const int64_t ahead = kPlaneRows * block.stride / bytes;  // with each of 16 steps of a transpose
  for (int64_t b = 0; b < bytes; b += 16)
    transpose_codes<BITS>(block.codes + b, block.stride, planes + b * kPlaneRows, block.codes + b * ahead, ahead);
  return row;
}

// Offers a block's rows to the Q queries from `first` on, whose tables lie `size` floats apart.
template <int BITS, int Q>
EMB_OP void offer_planes(const Pq& p, const Scan& scan, int64_t first, const PlaneBlock& block, const uint8_t* planes,
                         const ByteTable* query, const float* tables) {
  const int64_t size = p.m * p.ksub;
  uint16_t least[Q * kPlaneRows];
  uint64_t wanted[Q], there[Q];
  for (int q = 0; q < Q; ++q) {
    const uint32_t sum = least_sum(query[q], scan.best[first + q].floor);
    for (int r = 0; r < kPlaneRows; ++r) least[q * kPlaneRows + r] = static_cast<uint16_t>(sum);
    there[q] = sum > 65535 ? 0 : block.count < 64 ? (uint64_t{1} << block.count) - 1 : ~uint64_t{0};
  }
  rows_reaching<BITS, Q>(planes, (p.m * BITS + 7) / 8, query[0].bytes, byte_table_size(p.m, p.ksub), least, wanted);
  for (int q = 0; q < Q; ++q)
    for (wanted[q] &= there[q]; wanted[q]; wanted[q] &= wanted[q] - 1) {
      const int r = __builtin_ctzll(wanted[q]);
      const uint8_t* code = block.codes + r * block.stride;
      float sum;
      lookup<BITS, 1>(tables + q * size, &code, p.m, &sum);
      keep(scan.best[first + q], finish_score(sum, scan.metric, 0.0f, 0.0f), block.ids[r]);
    }
}

template <int BITS>
EMB_OP void scan_byte_tables(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t first, int count,
                             const float* tables, uint8_t* memory) {
  constexpr int Q = 4;  // share the codes that are loaded and cut
  const int64_t size = p.m * p.ksub, bytes = (p.m * BITS + 7) / 8, padded = (bytes + 15) / 16 * 16;
  uint8_t *planes = memory, *copies = planes + kPlaneRows * padded, *entries = copies + kPlaneRows * padded;
  ByteTable query[kTableQueries];
  for (int i = 0; i < count; ++i)
    query[i] = byte_table(tables + i * size, p.m, p.ksub, scan.metric == Metric::l2 ? -1.0f : 1.0f,
                          entries + i * byte_table_size(p.m, p.ksub));
  PlaneBlock block = {};
  for (int64_t row = rows.begin; row < rows.end;) {
    row = next_planes<BITS>(codes, bytes, scan, row, rows.end, copies, planes, block);
    if (!block.count) break;
    int i = 0;
    for (; i + Q <= count; i += Q)
      offer_planes<BITS, Q>(p, scan, first + i, block, planes, query + i, tables + i * size);
    for (; i < count; ++i) offer_planes<BITS, 1>(p, scan, first + i, block, planes, query + i, tables + i * size);
  }
}

// Whether byte tables serve this scan: sums of bytes fit 16 bits, making the tables pays, no norm of a row is needed.
template <int BITS>
EMB_OP bool byte_tables_serve(const Pq& p, const Scan& scan, Range rows) {
  return (BITS == 4 || kLongTables) && scan.metric != Metric::cosine && p.m <= 512 &&
         rows.end - rows.begin >= 16 * p.ksub;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#endif
