// The scan over product quantizer codes with lookup tables of bytes, as FAISS's fast scan does it (Andre, Kermarrec and
// Le Scouarnec, 2017), but over codes as they lie: a block of rows is transposed in L1, then a vector of codes looks up
// a vector of entries. Entries are rounded so that their sums are never below a score; what that cannot exclude is
// summed as float32, in the order of the subspaces.
#pragma once
#include "adc_bases.inl.h"
#include "pq.inl.h"

#if EMB_BYTE_TABLES

namespace embcodec {
namespace EMB_ISA {
namespace {

constexpr int kTableQueries = kPlaneRows / 4;  // whose tables stay in L2 while the rows pass by
constexpr int kSharedQueries = 4;              // share the codes that are loaded and cut
constexpr int64_t kStripRows = 4096;           // of a column that are read before the next ones

// A score is at most low + unit * the sum of the query's bytes, and the product with the row's centroid.
struct ByteTable {
  uint8_t* bytes;  // byte_table_size
  double low, unit;
  const float* steps = nullptr;  // of each centroid (put_steps); null without any
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

// What a row's centroid gives, its sum need not reach: whole units, and up to this number of them, for which float32
// adds without rounding. A centroid that gives more leaves nothing out.
constexpr float kMostSteps = 4194304.0f;

// For each centroid, what its product adds to the least sum: never too much, also where the quotient was rounded.
inline void put_steps(ByteTable& table, const float* products, int64_t count, float* steps) {
  const double most = static_cast<double>(kMostSteps), none = -__builtin_inf();
  for (int64_t c = 0; c < count; ++c) {
    const double units = __builtin_ceil(static_cast<double>(products[c]) / table.unit + 1e-6);
    const double step = units <= most ? -units : none;  // and none for NaN
    steps[c] = static_cast<float>(step < most ? step : most);
  }
  table.steps = steps;
}

// least_sum of each row of a block, of which these are the centroids.
EMB_OP void least_sums(const ByteTable& table, const int32_t* centroid, float floor, uint16_t* least) {
  const double most = static_cast<double>(kMostSteps);
  const double sum = __builtin_floor((static_cast<double>(floor) - table.low) / table.unit) + 1.0;
  const bool known = table.unit > 0.0 && sum > -most;
  const f32x16 all = splat(known ? static_cast<float>(sum < most ? sum : most) : -__builtin_inff());
  int32_t sums[kPlaneRows];
  for (int r = 0; r < kPlaneRows; r += 16) {
    const f32x16 wanted = add(all, gather(table.steps, load_i32(centroid + r)));
    store_i32(sums + r, round_to_i32(min(max(wanted, splat(0.0f)), splat(65535.0f))));  // which no row reaches
  }
  for (int r = 0; r < kPlaneRows; ++r) least[r] = static_cast<uint16_t>(sums[r]);
}

// Rows of a scan by byte of their codes: those of all rows side by side, then, `stride` bytes on, those of the next
// byte; or, where FOURS, of each four bytes.
struct PlaneBlock {
  const uint8_t* planes;
  int64_t stride;
  int64_t ids[kPlaneRows];  // ascending, behind count the first again
  int count;
  uint64_t there;  // which of them may be returned
};

// Room for planes, and for codes on their way there.
struct PlaneRoom {
  int64_t padded;  // bytes of a code
  uint8_t *planes, *copies;
};

inline PlaneRoom plane_room(int64_t bytes, uint8_t* memory) {
  const int64_t padded = (bytes + 15) / 16 * 16;
  return {padded, memory, memory + kPlaneRows * padded};
}
inline int64_t plane_room_size(int64_t bytes) { return 2 * kPlaneRows * ((bytes + 15) / 16 * 16); }

// The next rows that may be returned. They are read where they lie, but for a mask, and near the end, where a vector
// would reach beyond the codes: then copied.
template <bool FOURS>
EMB_OP int64_t next_rows(const Codes& codes, int64_t bytes, const Scan& scan, int64_t row, int64_t end,
                         const PlaneRoom& room, PlaneBlock& block) {
  const int64_t read = room.padded, readable = (codes.n - 1) * codes.stride + bytes;
  const uint8_t* from = codes.data + row * codes.stride;
  int64_t stride = codes.stride;
  if (!scan.mask && row + kPlaneRows <= end && (row + kPlaneRows - 1) * codes.stride + read <= readable) {
    block.count = kPlaneRows;
    for (int n = 0; n < kPlaneRows; ++n) block.ids[n] = row + n;
    row += kPlaneRows;
  } else {
    from = room.copies;
    stride = read;
    for (block.count = 0; row < end && block.count < kPlaneRows; ++row) {
      if (scan.mask && !scan.mask[row]) continue;
      __builtin_memcpy(room.copies + block.count * read, codes.data + row * codes.stride, static_cast<size_t>(bytes));
      block.ids[block.count++] = row;
    }
  }
  const int64_t ahead = kPlaneRows * stride / bytes;  // with each of 16 steps of a transpose
  for (int64_t b = 0; b < bytes && block.count; b += 16)
    transpose_codes<FOURS>(from + b, stride, room.planes + b * kPlaneRows, from + b * ahead, ahead);
  block.planes = room.planes;
  block.stride = kPlaneRows;
  block.there = block.count < 64 ? (uint64_t{1} << block.count) - 1 : ~uint64_t{0};
  return row;
}

// The next rows of codes in column order, whose columns are planes already, but for fours, and where the codes end.
template <bool FOURS>
EMB_OP int64_t next_columns(const Codes& codes, int64_t bytes, const Scan& scan, int64_t row, int64_t end,
                            const PlaneRoom& room, PlaneBlock& block) {
  const uint8_t* columns = codes.data + row;
  block.count = static_cast<int>(end - row < kPlaneRows ? end - row : kPlaneRows);
  for (int n = 0; n < block.count; ++n) block.ids[n] = row + n;
  block.there = block.count < 64 ? (uint64_t{1} << block.count) - 1 : ~uint64_t{0};
  for (int n = 0; n < block.count && scan.mask; ++n) block.there &= ~(static_cast<uint64_t>(!scan.mask[row + n]) << n);
  const bool whole = row + kPlaneRows <= codes.n;
  block.planes = FOURS || !whole ? room.planes : columns;
  block.stride = FOURS || !whole ? kPlaneRows : codes.byte_stride;
  if (block.planes == columns) return row + block.count;
  uint8_t last[4 * kPlaneRows] = {};
  for (int64_t b = 0; b < bytes; b += 4) {
    const uint8_t* four[4];
    for (int64_t i = 0; i < 4; ++i) {
      four[i] = columns + (b + i < bytes ? b + i : b) * codes.byte_stride;
      __builtin_prefetch(four[i] + kColumnAhead);
      if (whole) continue;
      __builtin_memcpy(last + i * kPlaneRows, four[i], static_cast<size_t>(block.count));
      four[i] = last + i * kPlaneRows;
    }
    put_columns<FOURS>(four, room.planes + b * kPlaneRows);
  }
  return row + block.count;
}

template <bool FOURS>
EMB_OP int64_t next_planes(const Codes& codes, int64_t bytes, const Scan& scan, int64_t row, int64_t end,
                           const PlaneRoom& room, PlaneBlock& block) {
  row = codes.byte_stride == 1 ? next_rows<FOURS>(codes, bytes, scan, row, end, room, block)
                               : next_columns<FOURS>(codes, bytes, scan, row, end, room, block);
  for (int n = block.count; n < kPlaneRows; ++n) block.ids[n] = block.ids[0];
  return row;
}

// The centroids of a block's rows: where they lie, or together in `copy`.
EMB_OP const int32_t* block_centroids(const Coarse& coarse, const PlaneBlock& block, int32_t* copy) {
  const bool consecutive = block.ids[kPlaneRows - 1] == block.ids[0] + kPlaneRows - 1;  // for they ascend
  if (coarse.centroid && consecutive) return coarse.centroid + block.ids[0];
  for (int r = 0; r < kPlaneRows; ++r) copy[r] = coarse.of(block.ids[r]);
  return copy;
}

// Where sums of entries come from: planes, of codes of 4 bits perhaps by fours, or columns, a strip of rows at a time.
enum class Sums { planes, fours, strips };
template <Sums SUMS>
struct SumsOf {
  constexpr Sums operator()() const { return SUMS; }
};

// Calls scan with the Sums for codes of BITS bits, `bytes` a row, and so many queries. Many columns are best read in
// long runs, and brought together by fours if that pays.
template <int BITS, class ScanCodes>
EMB_OP void with_sums(const Codes& codes, int64_t bytes, int count, const ScanCodes& scan) {
  const bool in_columns = codes.byte_stride != 1, few = count < kSharedQueries;
  if constexpr (BITS == 4 || kLongStrips)
    if (in_columns && few && bytes > kFewColumns) return scan(SumsOf<Sums::strips>());
  if constexpr (BITS == 4 && kFours)
    if (!in_columns || !few) return scan(SumsOf<Sums::fours>());
  scan(SumsOf<Sums::planes>());
}

// The sums of entries of a strip of rows, for one query or a few. Block by block, a line would be read of each of more
// columns than the machine has prefetchers and pages at hand. Of 128 columns of 8 bits, strips take 0.6 of that time,
// of 4 bits 0.9 to 1; of 48 columns 1.0 and 1.15.
template <int BITS>
struct Strips {
  alignas(64) uint16_t sums[(kSharedQueries - 1) * kStripRows];
  int64_t begin = 0, end = 0;

  // For finish_sums, those of the first query for the block from `row` on, of the others kStripRows on. A new strip
  // ends before `last`, and before a block of which no row may be returned. Tables lie `size` bytes apart.
  EMB_OP const uint16_t* of(const PlaneBlock& block, const Codes& codes, int64_t bytes, const Scan& scan, int64_t row,
                            int64_t last, const uint8_t* tables, int64_t size, int count) {
    if (row >= end) {
      begin = row;
      end = row + kPlaneRows;
      const bool in_place = block.stride == codes.byte_stride;
      while (in_place && end < last && end + kPlaneRows <= codes.n && end - begin < kStripRows && any(scan.mask, end))
        end += kPlaneRows;
      for (int i = 0; i < count; ++i)
        sum_columns<BITS>(block.planes, block.stride, end - begin, bytes, tables + i * size, sums + i * kStripRows);
    }
    return sums + (row - begin);
  }

 private:
  static EMB_OP bool any(const uint8_t* mask, int64_t from) {
    bool found = !mask;
    for (int n = 0; n < kPlaneRows && !found; ++n) found = mask[from + n];
    return found;
  }
};

// Rows for a query that wait for others: four are summed at a time, since a sum waits for each of its additions.
struct WaitingRows {
  int count;
  int64_t ids[4];
  const uint8_t* rows[4];
  uint8_t* copies;  // room for four codes
};

template <int BITS, bool BASES>
EMB_OP void offer_waiting(const Pq& p, Metric metric, const float* table, const Bases& bases, WaitingRows& waiting,
                          TopK& best) {
  float sums[4];
  for (int r = waiting.count; r < 4; ++r) waiting.rows[r] = waiting.rows[0];
  lookup<BITS, 4>(table, waiting.rows, p.m, sums);
  if (BASES) bases.add_to(sums, waiting.ids, waiting.count);
  for (int r = 0; r < waiting.count; ++r) keep(best, finish_score(sums[r], metric, 0.0f, 0.0f), waiting.ids[r]);
  waiting.count = 0;
}

// Rows of a block that a query may want.
template <int BITS, bool BASES>
EMB_OP void offer_rows(const Codes& codes, const Pq& p, Metric metric, const PlaneBlock& block, uint64_t wanted,
                       const float* table, const Bases& bases, WaitingRows& waiting, TopK& best) {
  const int64_t bytes = (p.m * BITS + 7) / 8;
  for (; wanted; wanted &= wanted - 1) {
    const int64_t id = block.ids[__builtin_ctzll(wanted)];
    waiting.ids[waiting.count] = id;
    waiting.rows[waiting.count] = code_of(codes, id, bytes, waiting.copies + waiting.count * bytes);
    if (++waiting.count == 4) offer_waiting<BITS, BASES>(p, metric, table, bases, waiting, best);
  }
}

// Offers a block's rows to the Q queries from `first` on, whose tables lie `size` floats apart. `sums`: theirs, of a
// strip; `centroid`: of each row, where there are any (BASES).
template <int BITS, int Q, Sums SUMS, bool BASES>
EMB_OP void offer_planes(const Codes& codes, const Pq& p, const Scan& scan, int64_t first, const PlaneBlock& block,
                         const uint16_t* sums, const int32_t* centroid, const ByteTable* query, const float* tables,
                         const Bases& bases, WaitingRows* waiting) {
  const int64_t size = p.m * p.ksub, bytes = (p.m * BITS + 7) / 8;
  uint16_t least[Q * kPlaneRows];
  uint64_t wanted[Q] = {}, there[Q];
  for (int q = 0; q < Q; ++q) {
    const float floor = scan.best[first + q].floor;
    there[q] = block.there;
    if (BASES) {
      least_sums(query[q], centroid, floor, least + q * kPlaneRows);
    } else {
      const uint32_t sum = least_sum(query[q], floor);
      for (int r = 0; r < kPlaneRows; ++r) least[q * kPlaneRows + r] = static_cast<uint16_t>(sum);
      if (sum > 65535) there[q] = 0;
    }
  }
  if constexpr (SUMS == Sums::strips)
    finish_sums(sums, AtLeast{least, wanted});
  else
    rows_reaching<BITS, Q, SUMS == Sums::fours>(block.planes, block.stride, bytes, query[0].bytes,
                                                byte_table_size(p.m, p.ksub), least, wanted);
  for (int q = 0; q < Q; ++q)
    offer_rows<BITS, BASES>(codes, p, scan.metric, block, wanted[q] & there[q], tables + q * size, bases.of(q),
                            waiting[q], scan.best[first + q]);
}

// Not inlined: the compiler then does without registers for centroids where there are none (2 to 4 % of 16 queries).
template <int BITS, Sums SUMS, bool BASES>
__attribute__((noinline)) void scan_tables(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t first,
                                           int count, const ByteTable* query, const float* tables, const Bases& bases,
                                           uint8_t* memory) {
  constexpr int Q = kSharedQueries;
  const int64_t size = p.m * p.ksub, bytes = (p.m * BITS + 7) / 8;
  const PlaneRoom room = plane_room(bytes, memory);
  PlaneBlock block = {};
  [[maybe_unused]] Strips<BITS> strips;
  WaitingRows waiting[kTableQueries];  // copied, if codes lie in column order, to room that these do not need
  for (int i = 0; i < count; ++i) waiting[i].count = 0, waiting[i].copies = room.copies + 4 * i * bytes;
  for (int64_t row = rows.begin; row < rows.end;) {
    const int64_t from = row;
    row = next_planes<SUMS == Sums::fours>(codes, bytes, scan, row, rows.end, room, block);
    if (!block.there) continue;
    int32_t copy[kPlaneRows];
    const int32_t* centroid = BASES ? block_centroids(bases.coarse, block, copy) : nullptr;
    const uint16_t* sums = nullptr;
    if constexpr (SUMS == Sums::strips)
      sums = strips.of(block, codes, bytes, scan, from, rows.end, query[0].bytes, byte_table_size(p.m, p.ksub), count);
    int i = 0;
    if constexpr (SUMS != Sums::strips)
      for (; i + Q <= count; i += Q)
        offer_planes<BITS, Q, SUMS, BASES>(codes, p, scan, first + i, block, sums, centroid, query + i,
                                           tables + i * size, bases.of(i), waiting + i);
    for (; i < count; ++i, sums += SUMS == Sums::strips ? kStripRows : 0)
      offer_planes<BITS, 1, SUMS, BASES>(codes, p, scan, first + i, block, sums, centroid, query + i, tables + i * size,
                                         bases.of(i), waiting + i);
  }
  for (int i = 0; i < count; ++i)
    if (waiting[i].count)
      offer_waiting<BITS, BASES>(p, scan.metric, tables + i * size, bases.of(i), waiting[i], scan.best[first + i]);
}

template <int BITS, bool BASES>
EMB_OP void scan_byte_tables(const Codes& codes, const Pq& p, const Scan& scan, Range rows, int64_t first, int count,
                             const float* tables, const Bases& bases, uint8_t* memory) {
  const float sign = scan.metric == Metric::l2 ? -1.0f : 1.0f;
  const int64_t size = p.m * p.ksub, bytes = byte_table_size(p.m, p.ksub);
  ByteTable query[kTableQueries];
  for (int i = 0; i < count; ++i, memory += bytes) query[i] = byte_table(tables + i * size, p.m, p.ksub, sign, memory);
  for (int i = 0; i < count && BASES; ++i, memory += 4 * padded16(bases.coarse.count))
    put_steps(query[i], bases.of(i).products, bases.coarse.count, reinterpret_cast<float*>(memory));
  with_sums<BITS>(codes, (p.m * BITS + 7) / 8, count, [&](auto sums) {
    scan_tables<BITS, sums(), BASES>(codes, p, scan, rows, first, count, query, tables, bases, memory);
  });
}

// Whether byte tables serve this scan: sums of bytes fit 16 bits, making the tables pays, no norm of a row is needed.
template <int BITS>
EMB_OP bool byte_tables_serve(const Pq& p, const Scan& scan, Range rows, Range queries) {
  return (BITS == 4 || queries.end - queries.begin <= kLongTableQueries) && scan.metric != Metric::cosine &&
         p.m <= 512 && rows.end - rows.begin >= 16 * p.ksub;
}

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec

#endif
