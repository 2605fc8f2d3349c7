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
  uint8_t* bytes;  // (m, ksub), and one more for half a byte without a code
  double low, unit;
};

EMB_OP ByteTable byte_table(const float* table, int64_t m, int64_t ksub, float sign, uint8_t* bytes) {
  float widest = 0.0f;
  double low = 0.0, sizes = 0.0;
  for (int64_t s = 0; s < m; ++s) {
    float least = sign * table[s * ksub], most = least;
    for (int64_t j = 0; j < ksub; ++j) {
      const float entry = sign * table[s * ksub + j];
      least = entry < least ? entry : least;
      most = entry > most ? entry : most;
    }
    widest = most - least > widest ? most - least : widest;
    low += static_cast<double>(least);
    sizes += static_cast<double>(__builtin_fmaxf(__builtin_fabsf(least), __builtin_fabsf(most)));
  }
  for (int64_t j = 0; j < ksub; ++j) bytes[m * ksub + j] = 0;
  if (!(sizes < 1e15) || !(widest > 1e-25f)) return {bytes, 0.0, 0.0};  // nothing is excluded
  const float unit = widest / 126.0f, inverse = 1.0f / unit;
  for (int64_t s = 0; s < m; ++s) {
    float least = sign * table[s * ksub];
    for (int64_t j = 0; j < ksub; ++j) {
      const float entry = sign * table[s * ksub + j];
      least = entry < least ? entry : least;
    }
    for (int64_t j = 0; j < ksub; ++j)  // the remainder makes good what the product may lose
      bytes[s * ksub + j] =
          static_cast<uint8_t>(static_cast<int>((sign * table[s * ksub + j] - least) * inverse + 0.999f + 1e-3f));
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
EMB_OP int64_t next_planes(const Codes& codes, int64_t bytes, const Scan& scan, int64_t row, int64_t end,
                           uint8_t* copies, uint8_t* planes, PlaneBlock& block) {
  const int64_t read = (bytes + 15) / 16 * 16, readable = (codes.n - 1) * codes.stride + bytes;
  if (!scan.mask && row + kPlaneRows <= end && (row + kPlaneRows - 1) * codes.stride + read <= readable) {
    block.codes = codes.data + row * codes.stride;
    block.stride = codes.stride;
    block.count = kPlaneRows;
    for (int n = 0; n < kPlaneRows; ++n) block.ids[n] = row + n;
    // The next but one block: a transpose reads too many places at a time for the machine to see the order.
    const uint8_t* ahead = block.codes + 2 * kPlaneRows * codes.stride;
    for (int64_t b = 0; b < kPlaneRows * codes.stride && codes.stride < 2 * bytes; b += 64)
      __builtin_prefetch(ahead + b);
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
  }
  for (int64_t b = 0; b < bytes; b += 16) transpose_bytes(block.codes + b, block.stride, planes + b * kPlaneRows);
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
  rows_reaching<BITS, Q>(planes, (p.m * BITS + 7) / 8, query[0].bytes, size + p.ksub, least, wanted);
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
                          entries + i * (size + p.ksub));
  PlaneBlock block = {};
  for (int64_t row = rows.begin; row < rows.end;) {
    row = next_planes(codes, bytes, scan, row, rows.end, copies, planes, block);
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
