// One function pointer for each batched kernel: what a level offers. Every function works on the share `r` of its
// task and returns kAllFinite, or the first row with a non-finite value (encoders), or nothing.
#pragma once
#include "../core.h"
#include "../row/halves.h"
#include "../row/trellis.h"

namespace embcodec {

// Rows of codes: the bytes of a row are contiguous, rows lie `stride` bytes apart.
// Codes of n rows. In row order a code's bytes lie side by side and `stride` leads to the next row; in column order,
// which scans through lookup tables take (code_of), `byte_stride` leads to the next byte and rows lie side by side.
struct Codes {
  const uint8_t* data;
  int64_t n, stride;
  int64_t byte_stride = 1;
};
struct CodesOut {
  uint8_t* data;
  int64_t stride;
};
// Decoded rows, contiguous; `stream`: past the cache (kernels/streaming.inl.h).
struct RowsOut {
  float* data;
  bool stream;
};

// Uniform scalar quantizer with a range per dimension. `inverse` is 1/step, 0 where the step is 0.
struct SqParams {
  const float* lo;
  const float* step;
  const float* inverse;
  int64_t d;
  int bits;
};
// ... and with a range per row.
struct RowSqParams {
  const float* scale;
  const float* offset;
  int64_t d;
  int bits;
};

// One bit a dimension: the value low[j] or high[j]. `msb`: dimension 0 is the highest bit of its byte.
struct BitsParams {
  const float* low;
  const float* high;
  int64_t d;
  bool msb;
};

// Randomised Hadamard rotation to `size` values; scale = 1 / sqrt(size).
struct Rotation {
  const float* signs;
  int64_t size;
  float scale;
  bool inverse;
};

// A matrix (d, columns) for rows less the mean (d,), which may be null.
struct Projection {
  const float* matrix;
  const float* mean;
  int64_t d, columns;
};

// A codebook (k, d) as given, and as codebook_pack lays it out for the search of the nearest codeword.
struct Codebook {
  const float* values;
  const float* packed;
  int64_t k, d;
};
// Codebooks (m, ksub, dsub), ksub 256 (codes of 8 bits) or 16 (4 bits); `packed` holds m packed codebooks.
struct Pq {
  const float* codebooks;
  const float* packed;
  int64_t m, ksub, dsub;
};

constexpr int64_t kRqWords = 256;  // codewords of a stage
// Codebooks (m, 256, d) that add up. The encoder's alone: these as rq_pack lays them out, half their squared lengths
// (m, 256), and the inner products of codewords of any two stages; how many paths a beam has, and how many are written.
struct Rq {
  const float* codebooks;
  const float* panels;
  const float* half;
  const float* products;  // (m * (m - 1) / 2, 256, 256)
  int64_t m, d, beam, keep;
  // The products of a codeword of stage t with those of a later stage s.
  EMB_HD const float* with(int64_t t, int64_t word, int64_t s) const {
    return products + ((s * (s - 1) / 2 + t) * kRqWords + word) * kRqWords;
  }
};

// k entries a row; those of a row are contiguous, rows lie any stride (in bytes) apart. Indices are uint16, or uint32
// where `wide`.
struct Sparse {
  const char* indices;
  const char* values;
  int64_t n, k, index_stride, value_stride;
  bool wide;
};
struct SparseOut {
  void* indices;
  float* values;
  bool wide;
};

// Centroids that a scan adds to decoded rows, one of each stage, in their order; none where count is 0.
struct Coarse {
  const float* centroids;   // (count, padded d)
  const int32_t* centroid;  // (n,); null: there is one, for every row
  int64_t count;
  // Of stages of kRqWords centroids: which of its own each adds, (n, stages), rows `stride` bytes apart.
  const uint8_t* words = nullptr;
  int64_t stride = 0;
  int stages = 1;
  // For kernels that take no words.
  EMB_HD int32_t of(int64_t row) const { return centroid ? centroid[row] : 0; }
  EMB_HD int32_t of(int64_t row, int stage) const {
    return words ? static_cast<int32_t>(kRqWords) * stage + words[row * stride + stage] : of(row);
  }
  // What a stage adds to a row, rows being `padded` floats apart; null: nothing.
  EMB_HD const float* row(int64_t row, int64_t padded, int stage) const {
    return count ? centroids + of(row, stage) * padded : nullptr;
  }
};

// Levels that all dimensions share: the value is levels[code] * step. `midpoints`, between neighbouring levels, and
// `inverse`, 1 / step or 0 where the step is 0, are the encoder's alone.
struct LevelsParams {
  const float* levels;  // (2**bits,), ascending
  const float* midpoints;
  const float* step;  // (d,)
  const float* inverse;
  int64_t d;
  int bits;
};

// Levels for rows that are scaled to their length first, and a direction. On the CPU step, inverse and direction are
// padded with zeros.
struct ShapeParams {
  LevelsParams levels;
  const float* direction;  // (d,)
  const float* scales;     // (scale_count,) tried on a row; the encoder's alone
  int64_t scale_count;
};

// A number of each row, where the caller has it, beside the codes perhaps: float32, float16 or int8, `stride` bytes
// apart.
struct Column {
  enum Kind : int { f32, f16, i8 } kind;
  const char* data;  // null: there is none
  int64_t stride;
  // A float16 that is not finite counts as 0, so that bytes from anywhere decode to something.
  EMB_HD float at(int64_t row) const {
    const char* p = data + row * stride;
    if (kind == i8) return static_cast<float>(static_cast<signed char>(*p));
    if (kind == f16) {
      uint16_t half;
      __builtin_memcpy(&half, p, 2);
      return (half & 0x7c00u) == 0x7c00u ? 0.0f : f32_from_f16(half);
    }
    float value;
    __builtin_memcpy(&value, p, 4);
    return value;
  }
};

// What becomes of a decoded row in a scan: (row + shift * direction) * factor + centroid, each where there is one.
struct RowExtras {
  Column factor;
  Coarse coarse;
  Column shift;
  const float* direction;  // (padded d,)
};

// `scratch` is the task's own memory, 64-byte aligned, of the size that the function's caller in bind/ computes with
// the *_scratch function beside the kernel.
struct Kernels {
  int64_t (*sq_encode)(const Rows& x, const SqParams& p, CodesOut out, Range r, float* scratch);
  void (*sq_decode)(const Codes& codes, const SqParams& p, RowsOut out, Range r, float* scratch);
  void (*sq_topk)(const Codes& codes, const SqParams& p, const Scan& scan, Range rows, Range queries, float* scratch);
  int64_t (*rowsq_encode)(const Rows& x, int bits, CodesOut out, float* scale, float* offset, Range r, float* scratch);
  void (*rowsq_decode)(const Codes& codes, const RowSqParams& p, RowsOut out, Range r, float* scratch);
  void (*rowsq_topk)(const Codes& codes, const RowSqParams& p, const Scan& scan, Range rows, Range queries,
                     float* scratch);
  // `half`: Dtype::f16 or Dtype::bf16.
  int64_t (*half_encode)(const Rows& x, Dtype half, CodesOut out, Range r, float* scratch);
  void (*half_decode)(const Codes& codes, int64_t d, Dtype half, RowsOut out, Range r);
  int64_t (*flat_topk)(const Rows& x, const Scan& scan, Range rows, Range queries, float* scratch);

  int64_t (*levels_encode)(const Rows& x, const LevelsParams& p, CodesOut out, Range r, float* scratch);
  void (*levels_decode)(const Codes& codes, const LevelsParams& p, RowsOut out, Range r, float* scratch);
  void (*levels_topk)(const Codes& codes, const LevelsParams& p, const RowExtras& e, const Scan& scan, Range rows,
                      Range queries, float* scratch);

  int64_t (*shape_encode)(const Rows& x, const ShapeParams& p, CodesOut out, Range r, float* scratch);
  void (*shape_decode)(const Codes& codes, const ShapeParams& p, RowsOut out, Range r);

  int64_t (*bits_encode)(const Rows& x, const float* threshold, bool msb, CodesOut out, Range r, float* scratch);
  void (*bits_decode)(const Codes& codes, const BitsParams& p, RowsOut out, Range r, float* scratch);
  void (*hamming_topk)(const Codes& codes, const Codes& queries, int64_t bytes, const uint8_t* mask, TopK* best,
                       Range rows, Range part);
  void (*bits_topk)(const Codes& codes, const BitsParams& p, const Scan& scan, Range rows, Range queries,
                    float* scratch);

  int64_t (*hadamard_rotate)(const Rows& x, const Rotation& p, RowsOut out, Range r, float* scratch);
  int64_t (*project)(const Rows& x, const Projection& p, float* out, Range r, float* scratch);

  void (*codebook_pack)(const float* codebook, int64_t k, int64_t d, float* packed);
  int64_t (*vq_encode)(const Rows& x, const Codebook& c, int32_t* ids, Range r, float* scratch);
  // The means of the rows of clusters: those of cluster c are order[starts[c]] .. order[starts[c+1] - 1].
  void (*cluster_means)(const Rows& x, const uint32_t* order, const int64_t* starts, float* codebook, Range clusters,
                        float* scratch);
  void (*squared_errors)(const Rows& x, const float* codebook, const int32_t* ids, double* errors, Range r,
                         float* scratch);
  int64_t (*convert_rows)(const Rows& x, float* out, Range r, float* scratch);
  int64_t (*pq_encode)(const Rows& x, const Pq& p, CodesOut out, Range r, float* scratch);
  void (*pq_decode)(const Codes& codes, const Pq& p, RowsOut out, Range r);
  void (*pq_tables)(const Pq& p, const Queries& queries, Metric metric, float* tables, Range r, float* scratch);
  void (*pq_topk)(const Codes& codes, const Pq& p, const Coarse& coarse, const Scan& scan, Range rows, Range queries,
                  float* scratch);
  void (*rq_pack)(const float* codebooks, int64_t words, int64_t d, float* panels);
  int64_t (*rq_encode)(const Rows& x, const Rq& p, CodesOut out, Range r, float* scratch);
  void (*rq_decode)(const Codes& codes, const Rq& p, RowsOut out, Range r);
  int64_t (*topk_encode)(const Rows& x, int64_t k, const SparseOut& out, Range r, float* scratch);
  int64_t (*topk_decode)(const Sparse& s, int64_t d, float* out, Range r);  // ... or the first row
  int64_t (*sparse_topk)(const Sparse& s, const Scan& scan, Range rows, Range queries,
                         float* scratch);  // of bad indices
  int64_t (*trellis_encode)(const Rows& x, const TrellisParams& p, CodesOut out, Range r, float* scratch);
  void (*trellis_decode)(const Codes& codes, const TrellisParams& p, float* out, Range r, float* scratch);
  void (*trellis_topk)(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Scan& scan, Range rows,
                       Range queries, float* scratch);
  float (*dot)(const float* a, const float* b, int64_t padded);  // the contract's dot16, for norms of queries
};

constexpr int64_t kScanBlockBytes = 32768;  // decoded rows that wait in L1 and L2 for every query of the tile

// Rows decoded at a time by a scan, a multiple of every level's tile.
static constexpr int64_t scan_block_rows(int64_t d) {
  const int64_t rows = kScanBlockBytes / (4 * padded16(d)) / 4 * 4;
  return rows < 4 ? 4 : rows;
}

// Floats of scratch: one converted row (two for codes of a row before and after unpacking).
static constexpr int64_t row_scratch(int64_t d) { return 2 * padded16(d); }

constexpr int64_t kManyQueries = 16;       // from here on, scores are estimated before they are computed
constexpr int kManyRows = 32;              // rows that many queries pass over
constexpr int64_t kMostOfBytes = 1 << 16;  // dimensions of which products of bytes add up to less than 2^31
// Queries that such a scan takes at a time: what it keeps of them should stay in the cache.
static constexpr int64_t fitting_queries(int64_t fit, int64_t queries) {
  const int64_t all = (queries + 31) / 32 * 32;
  return all < fit ? all : fit < 32 ? 32 : fit / 32 * 32;
}
static constexpr int64_t many_queries(int64_t d, int64_t queries) {
  return fitting_queries((int64_t{1} << 19) / padded16(d), queries);
}
// For a scan: the block of rows and its norms; with many queries these, their columns and bounds.
static constexpr int64_t scan_scratch(int64_t d, int64_t queries) {
  const int64_t few = scan_block_rows(d) * (padded16(d) + 16), count = many_queries(d, queries);
  const int64_t many = kManyRows * 2 * (padded16(d) + 64 + 32) + count * (padded16(d) + 8) + 12 * 16;
  return (queries < kManyQueries || few > many ? few : many) + row_scratch(d);
}

// A lookup table of bytes: for m subspaces and what fills up four bytes of a code.
static constexpr int64_t byte_table_size(int64_t m, int64_t ksub) { return ksub == 16 ? (m + 7) / 8 * 128 : m * ksub; }

constexpr int kBaseRows = 32;  // rows of a block that centroids are added to
static constexpr int64_t base_places(int64_t centroids) { return kBaseRows * (1 + centroids / kRqWords); }

constexpr int64_t kReadBeyond = 64;  // bytes that the cutting of windows may read beyond a row of codes
constexpr int kIntBlock = 32;        // rows of levels that wait in L1 for all queries
// Bytes from one row of levels to the next: room for a vector of pairs too many.
static constexpr int64_t levels_stride(int64_t d) { return (d + 127 + 63) / 64 * 64; }
// Levels of a block of rows, and copies of the codes of those behind which a read might leave the codes.
static constexpr int64_t levels_scratch(int64_t d) { return 2 * kIntBlock * levels_stride(d) / 4; }
// A scan of many queries in bytes.
static constexpr int64_t level_queries(int64_t d, int64_t queries, int64_t centroids) {
  return fitting_queries((int64_t{1} << 19) / (padded16(d) + 4 * centroids), queries);
}
// ... levels, rows as float32, sums of three parts of the dimensions, bytes of the queries, three times rounded up to
// whole tiles, and what bounds their scores.
static constexpr int64_t level_scan_scratch(int64_t d, int64_t queries, int64_t centroids) {
  return levels_scratch(d) + kManyRows * (padded16(d) + 6 * 32) + 2 * levels_stride(d) + 20 * 16 +
         level_queries(d, queries, centroids) * (padded16(d) / 4 + 44 + 18 + (centroids ? centroids : 1)) +
         base_places(centroids);
}

// Whether a scan of few queries by l2 or cosine bounds rows' lengths: words for each centroid have to pay.
constexpr int64_t kMostWordCentroids = 1024;
static constexpr bool bounds_lengths(int64_t centroids, int64_t rows) {
  return centroids <= kMostWordCentroids && 16 * centroids <= rows;
}
// ... steps, an origin, words of squares and of each centroid with four numbers, and of what these are made.
static constexpr int64_t length_scratch(int64_t d, int64_t centroids) {
  const int64_t count = centroids && centroids <= kMostWordCentroids ? centroids : 1;
  return 4 * padded16(d) + (2 + count) * levels_stride(d) + 4 * padded16(count) + 8 * 16;
}
// ... beside levels of rows, queries as integers, and of some rows' codes what they decode to.
static constexpr int64_t decoded_scratch(int64_t d, int64_t centroids) {
  const int64_t queries = kManyQueries * (levels_stride(d) + 10 + (centroids ? centroids : 1)) + 16 * 16;
  return levels_scratch(d) + queries + 6 * padded16(d) + length_scratch(d, centroids) + base_places(centroids);
}

// For a scan over packed codes: as for rows, and copies of a code, then copies of 32 rows' codes, bytes and bounds of
// the queries, or tables of 16 queries.
static constexpr int64_t code_scan_scratch(int64_t d, int64_t queries, int64_t centroids = 0) {
  const int64_t products = (centroids ? centroids : 1) * kManyQueries;
  const int64_t few = 32 * (d + 64) / 4 + 5 * padded16(d) + kManyQueries * (d + 8 * 64) / 4 + products +
                      base_places(centroids) + 10 * 16;
  const int64_t tables =
      2 * 64 * (d + 128) / 32 + 16 * byte_table_size((d + 7) / 8 * 2, 16) / 4 + 6 * padded16(d) + 32 * 16;
  const int64_t floats = scan_scratch(d, queries), many = level_scan_scratch(d, queries, centroids);
  const int64_t most = few > tables ? few : tables, more = floats > many ? floats : many;
  const int64_t decoded = decoded_scratch(d, centroids), scans = most > more ? most : more;
  return 2 * padded16(d) + (scans > decoded ? scans : decoded);
}

// Shapes: a row converted, what two of its codes decode to, and these codes.
static constexpr int64_t shape_scratch(int64_t d) { return row_scratch(d) + 2 * padded16(d) + padded16(d) / 2; }

// Rotation: one row converted, one rotated, whose blocks take 16 floats at least.
static constexpr int64_t rotation_scratch(int64_t d, int64_t size) {
  return row_scratch(d) + (size < 320 ? 320 : size);
}

// Projection: rows that pass over a panel of the matrix together, their sums, and some dimensions of the panel.
constexpr int64_t kProjectedRows = 96, kWidestPanel = 64, kPanelDims = 128;
static constexpr int64_t projection_scratch(int64_t d) {
  return kProjectedRows * (padded16(d) + kWidestPanel) + kWidestPanel * kPanelDims;
}

// Fewer rows than these find their codewords one by one, without a packed codebook: packing it costs more.
static constexpr int64_t few_rows(int64_t d) { return d < 16 ? 4 : 12; }
// A packed codebook (codebook_pack says what is where): the last group of 2, 4, 6 or 16 codewords may reach beyond k.
static constexpr int64_t packed_words(int64_t k) { return padded16(k + 5); }
static constexpr int64_t packed_floats(int64_t k, int64_t d) { return 16 + padded16(d) + packed_words(k) * (d + 1); }
// Search of the nearest of k codewords: 16 rows transposed, 16 more or rows as they come, their values, and 16 codes
// for each subspace.
static constexpr int64_t nearest_scratch(int64_t d, int64_t k, int64_t m = 0) {
  return 32 * padded16(d) + 16 * packed_words(k) + 4 * m;
}
// Means of clusters: float64 sums and one row.
static constexpr int64_t means_scratch(int64_t d) { return 2 * padded16(d) + row_scratch(d); }

constexpr int64_t kAdcRows = 256;   // rows of a scan through lookup tables that are added up together
constexpr int64_t kFewQueries = 4;  // fewer queries than these are scanned one by one
// Lookup tables: the codewords, 16 side by side.
static constexpr int64_t pq_tables_scratch(int64_t m, int64_t ksub, int64_t dsub) { return m * ksub * dsub; }
// ... and for a scan of many queries: codewords and rows of codes as levels, copies of 32 rows' codes.
static constexpr int64_t pq_levels_scratch(int64_t m, int64_t ksub, int64_t dsub, int64_t queries, int64_t centroids) {
  return padded16(m * dsub) + padded16(ksub * m * dsub / 4 + 16) + padded16(kManyRows * m / 4) + 16 +
         level_scan_scratch(m * dsub, queries, centroids);
}
// ... and for the scan: the norms of the codewords, tables of 16 queries, then their columns and sums of the rows, or
// the codewords, then copies of the rows' codes; or tables of bytes and blocks of 64 rows of codes; for each centroid
// the products with 16 queries, and in units of their tables. Or a copy of a row's codes and what a scan of rows needs.
static constexpr int64_t pq_topk_scratch(int64_t m, int64_t ksub, int64_t dsub, int64_t queries,
                                         int64_t centroids = 0) {
  const int64_t floats = 16 * padded16(m * dsub) + 16 * kAdcRows + pq_tables_scratch(m, ksub, dsub) + kAdcRows * m / 4;
  const int64_t bytes = 4 * byte_table_size(m, ksub) + 2 * 64 * (m + 15) / 4 + 16;
  const int64_t tables = 16 * padded16(m * ksub) + (floats > bytes ? floats : bytes) + 32 * padded16(centroids);
  const int64_t levels = queries < kManyQueries ? 0 : pq_levels_scratch(m, ksub, dsub, queries, centroids);
  const int64_t decoded = centroids ? padded16((m + 3) / 4) + scan_scratch(m * dsub, queries) : 0;
  const int64_t most = tables > levels ? tables : levels;
  return padded16(m * ksub) + (most > decoded ? most : decoded);
}

// Residual quantization: products of some rows with all codewords, and of these rows a projection, or one's values and
// paths.
static constexpr int64_t rq_encode_scratch(int64_t d, int64_t m, int64_t beam) {
  const int64_t paths = beam * kRqWords + 3 * padded16(beam) + padded16(beam * m / 2 + 16),
                projection = projection_scratch(d);
  return kProjectedRows * m * kRqWords + (paths > projection ? paths : projection);
}

// ... and for sparse rows: a row, values and indices of candidates, which are written 16 at a time.
static constexpr int64_t topk_encode_scratch(int64_t d) { return 3 * (padded16(d) + 16); }
// ... and for their scan: columns and bounds of the queries.
static constexpr int64_t sparse_topk_scratch(int64_t d, int64_t queries) {
  return many_queries(d, queries) * (d + 5) + 6 * 16;
}
// ... and for the trellis encoder: a row converted and scaled, books, so many bytes of choices for each component.
constexpr int kChoiceBytes = kTrellisStates / 8;
static constexpr int64_t trellis_scratch(int64_t d) {
  return row_scratch(d) + kTrellisBooks * kTrellisStates + padded16(d) * kChoiceBytes / 4;
}

// Vectors of windows of a trellis scan: each segment may end with two quarters.
static constexpr int64_t window_vectors(int64_t d) { return d / 64 + 2 * kTrellisRates; }
// ... and, beside them, the books and a number for each component.
static constexpr int64_t window_scratch(int64_t d) {
  return padded16(8 * window_vectors(d)) + kTrellisBooks * kTrellisLevels / 4 + padded16(d);
}

// A scan in integers: levels, then either rows as float32, or integer queries and their products with centroids.
static constexpr int64_t int_scan_scratch(int64_t d, int64_t queries, int64_t centroids) {
  const int64_t integers = kIntBlock * padded16(d) + padded16(d) +
                           kManyQueries * (levels_stride(d) + 10 + (centroids ? centroids : 1)) +
                           base_places(centroids) + 16 * 16;
  const int64_t floats = code_scan_scratch(d, queries, centroids);
  return levels_scratch(d) + window_scratch(d) + (integers > floats ? integers : floats);
}

}  // namespace embcodec
