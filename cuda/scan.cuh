// The exact scan of decoded rows for few queries: a thread a row, with the contract's 16 sums in registers. A warp
// brings the bytes of its 32 rows into shared memory, piece by piece, in whole words that lie side by side.
//
// A source decodes rows, eight dimensions at a time:
//   value(row, j): one dimension;
//   Row at(row): what a row has beside its code, such as a factor;
//   Raw raw(read, row, j, count): what codes dimensions j .. j+count-1, j a multiple of 8, count <= 8, where read(byte,
//   n)
//     gives the lowest n <= 8 bytes of the row's code from `byte` on;
//   decode<ALL>(raw, at, table, j, count, x): the dimensions; ALL: there are eight, and aligned() says that parameters
//   are
//     too, so that these come as whole vectors;
//   codes(), d(), place(j): rows as bytes; where dimensions j, j + 1, .. begin, j a multiple of 16, or the end for j >=
//   d; kStaged: there are codes(); kBeyond: bytes behind those of 16 dimensions that their last windows reach into;
//   kTable, fill(table): floats in shared memory for decode(), filled by all threads of a block;
//   kBlocks: how many blocks of nominate.cuh a multiprocessor has registers for.
#pragma once
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kPiece = 32;             // words of a row in shared memory at a time
constexpr int kPieceRow = kPiece + 1;  // ... and where the next row's begin: in another bank
constexpr int kScanBlock = 128;        // threads: few rows are spread over many multiprocessors
#if defined(EMB_HOPPER)
constexpr int kNominatingBlocks = 2;
#else
constexpr int kNominatingBlocks = 1;
#endif
constexpr int kFewQueries = 4;  // of a thread

// The bytes of an array of codes. Words that reach beyond it are put together from what is there.
struct Bytes {
  const uint8_t *begin, *end;
  __device__ uint32_t word(const uint8_t* p) const {  // p is a multiple of 4
    if (p >= begin && p + 4 <= end) return *reinterpret_cast<const uint32_t*>(p);
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i)
      if (p + i >= begin && p + i < end) word |= static_cast<uint32_t>(p[i]) << 8 * i;
    return word;
  }
};
__device__ inline Bytes bytes_of(const Codes& codes, int64_t row_bytes) {
  const int64_t last = (codes.n - 1) * codes.stride;
  return {codes.data + (last < 0 ? last : 0), codes.data + (last < 0 ? 0 : last) + row_bytes};
}
template <class Source>
__device__ inline Bytes bytes_of(const Source& source) {
  return bytes_of(source.codes(), source.place(source.d()));
}

__device__ inline uint64_t lowest(uint64_t word, int bytes) {
  return bytes < 8 ? word & ((uint64_t{1} << 8 * bytes) - 1) : word;
}

// The eight codes of `bits` bits in a word.
__device__ inline void codes_of(uint64_t word, int bits, uint32_t* codes) {
  if (bits == 8) {
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = static_cast<uint32_t>(word >> 8 * i) & 255;
  } else if (bits == 4) {
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = static_cast<uint32_t>(word) >> 4 * i & 15;
  } else {
    const uint32_t mask = (1u << bits) - 1u;
    EMB_UNROLL for (int i = 0; i < 8; ++i) codes[i] = static_cast<uint32_t>(word >> i * bits) & mask;
  }
}

// Reads a row where it lies.
struct GlobalRow {
  const uint8_t* row;
  Bytes all;
  __device__ uint64_t operator()(int64_t byte, int count) const {
    const uint8_t* p = row + byte;
    if (count == 8 && aligned<uint64_t>(p)) return *reinterpret_cast<const uint64_t*>(p);
    if (count == 4 && aligned<uint32_t>(p)) return *reinterpret_cast<const uint32_t*>(p);
    const int shift = static_cast<int>(reinterpret_cast<uintptr_t>(p) % 4) * 8;
    const uint8_t* first = p - shift / 8;
    const uint64_t two = static_cast<uint64_t>(all.word(first + 4)) << 32 | all.word(first);
    if (shift == 0) return lowest(two, count);
    return lowest(two >> shift | static_cast<uint64_t>(all.word(first + 8)) << (64 - shift), count);
  }
};

// Reads a thread's own row in shared memory, of which `first` is the byte in the lowest byte of words[0]. The two words
// behind what is read are there, whatever they hold.
struct SharedRow {
  const uint32_t* words;
  int first;
  __device__ uint64_t operator()(int64_t byte, int count) const {
    const int at = static_cast<int>(byte) - first, shift = at % 4 * 8;
    const uint32_t* w = words + at / 4;
    const uint64_t two = static_cast<uint64_t>(w[1]) << 32 | w[0];
    if (shift == 0) return lowest(two, count);
    return lowest(two >> shift | static_cast<uint64_t>(w[2]) << (64 - shift), count);
  }
};

// Brings `bytes` bytes of a warp's 32 rows from `begin`, a multiple of 4, to words, kPieceRow of them a row; a row's
// first word holds what lies before an address that is no multiple of 4, too.
template <class Source>
__device__ inline void stage(const Source& source, const Bytes& all, int64_t first_row, int64_t end_row, int64_t begin,
                             int64_t bytes, uint32_t* words) {
  const Codes codes = source.codes();
  const int lane = static_cast<int>(threadIdx.x % 32);
  const uint8_t* first = codes.data + first_row * codes.stride + begin;
  const uint8_t* last = first + 31 * codes.stride;
  const bool whole = first_row + 32 <= end_row && first - 3 >= all.begin && last - 3 >= all.begin &&
                     first + bytes + 3 <= all.end && last + bytes + 3 <= all.end;
  const bool mine = 4 * lane < bytes + 3;
  __syncwarp(kAllLanes);  // the piece before was read
  if (whole) {
    EMB_ROLLED for (int part = 0; part < 32; part += 16) {
      uint32_t loaded[16];  // on their way together
      EMB_UNROLL for (int r = 0; r < 16; ++r) {
        const uint8_t* p = first + (part + r) * codes.stride;
        loaded[r] = mine ? *reinterpret_cast<const uint32_t*>(p - reinterpret_cast<uintptr_t>(p) % 4 + 4 * lane) : 0;
      }
      EMB_UNROLL for (int r = 0; r < 16; ++r) words[(part + r) * kPieceRow + lane] = loaded[r];
    }
  } else {
    EMB_ROLLED for (int r = 0; r < 32; ++r) {
      const uint8_t* p = first + r * codes.stride;
      const uint8_t* word = p - reinterpret_cast<uintptr_t>(p) % 4 + 4 * lane;
      words[r * kPieceRow + lane] = first_row + r < end_row && word < p + bytes ? all.word(word) : 0;
    }
  }
  __syncwarp(kAllLanes);
}

// Up to eight floats that lie side by side, the same for all lanes.
template <bool ALL>
__device__ inline void load_eight(const float* p, int count, float* v) {
  if (ALL) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    const float eight[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
    EMB_UNROLL for (int i = 0; i < 8; ++i) v[i] = eight[i];
  } else {
    EMB_UNROLL for (int i = 0; i < 8; ++i) v[i] = i < count ? p[i] : 0.0f;
  }
}

template <Metric METRIC>
__device__ inline float term(float q, float x) {
  return METRIC == Metric::l2 ? (q - x) * (q - x) : q * x;
}

// The contract's 16 sums, halves added up to one.
__device__ inline float total16(const float* sum) {
  float half[8];
  EMB_UNROLL for (int i = 0; i < 8; ++i) half[i] = sum[i] + sum[i + 8];
  EMB_UNROLL for (int width = 4; width > 0; width /= 2) EMB_UNROLL for (int i = 0; i < width; ++i) half[i] =
      half[i] + half[i + width];
  return half[0];
}

// What a thread sums up for its row and Q queries.
template <class Source, int Q, Metric METRIC>
struct RowSums {
  float sum[Q][16] = {}, square[METRIC == Metric::cosine ? 16 : 1] = {}, poison = 0.0f;

  // Dimensions j .. j+15 of the row, or to the last where not all are there; j is a multiple of 16. ALL: they are, and
  // parameters and queries come as whole vectors.
  template <bool ALL, class Read>
  __device__ void add(const Source& source, const Read& read, const typename Source::Row& at, const float* table,
                      int64_t row, int64_t j, const Group& group, int64_t query) {
    EMB_UNROLL for (int half = 0; half < 16; half += 8) {
      const int64_t left = group.d - j - half;
      const int count = ALL || left > 8 ? 8 : static_cast<int>(left);
      if (count <= 0) continue;
      float x[8];
      source.template decode<ALL>(source.raw(read, row, j + half, count), at, table, j + half, count, x);
      EMB_UNROLL for (int i = 0; i < 8; ++i) {
        if (i >= count) continue;
        if (Source::kMayBeBad) poison += x[i] - x[i];
        if (METRIC == Metric::cosine) square[METRIC == Metric::cosine ? half + i : 0] += x[i] * x[i];
      }
      EMB_UNROLL for (int q = 0; q < Q; ++q) {
        if (query + q >= group.count) continue;
        float y[8];
        load_eight<ALL>(group.queries + (query + q) * group.d + j + half, count, y);
        EMB_UNROLL for (int i = 0; i < 8; ++i) if (i < count) sum[q][half + i] += term<METRIC>(y[i], x[i]);
      }
    }
  }
};

template <class Source, int Q, Metric METRIC>
__global__ void __launch_bounds__(kScanBlock, Q == 1 ? 4 : 2) score_rows(Source source, Group group, Call call) {
  EMB_SHARED(float, table, [Source::kTable + 1]);
  source.fill(table);
  __syncthreads();
  const int64_t first = group.rows.begin + thread_number() / 32 * 32, row = first + threadIdx.x % 32, d = group.d;
  const int64_t query = static_cast<int64_t>(blockIdx.y) * Q;
  const bool wanted = group.allowed(row);
  if (__ballot_sync(kAllLanes, wanted) == 0) return;
  const typename Source::Row at = source.at(wanted ? row : first);
  RowSums<Source, Q, METRIC> sums;
  if constexpr (Source::kStaged) {
    EMB_SHARED(uint32_t, staged, [kScanBlock * kPieceRow + 1]);
    uint32_t* words = staged + threadIdx.x / 32 * 32 * kPieceRow;
    const Codes codes = source.codes();
    const Bytes all = bytes_of(source);
    const bool vectors = source.aligned() && d % 4 == 0 && aligned<float4>(group.queries);
    const auto address = [](const uint8_t* p) { return reinterpret_cast<uintptr_t>(p); };
    const int64_t before = static_cast<int64_t>(address(codes.data + row * codes.stride) % 4);
    const int64_t most = (address(codes.data) | static_cast<uintptr_t>(codes.stride)) % 4 ? 4 * kPiece - 3 : 4 * kPiece;
    const auto end_of = [&](int64_t j) {
      const int64_t end = source.place(j) + Source::kBeyond, last = source.place(d);
      return end < last ? end : last;
    };
    EMB_ROLLED for (int64_t j = 0, next = 0; j < d; j = next) {
      const int64_t begin = source.place(j) / 4 * 4;
      for (next = j + 16; next < d && end_of(next + 16) - begin <= most;) next += 16;
      stage(source, all, first, group.rows.end, begin, end_of(next) - begin, words);
      const SharedRow read = {words + threadIdx.x % 32 * kPieceRow, static_cast<int>(begin - before)};
      int64_t i = j;
      if (vectors)
        EMB_ROLLED for (; i < next && i + 16 <= d; i += 16)
            sums.template add<true>(source, read, at, table, row, i, group, query);
      EMB_ROLLED for (; i < next && i < d; i += 16)
          sums.template add<false>(source, read, at, table, row, i, group, query);
    }
  } else if (wanted) {
    EMB_ROLLED for (int64_t j = 0; j < d; j += 16)
        sums.template add<false>(source, GlobalRow{}, at, table, row, j, group, query);
  }
  if (!wanted) return;
  if (Source::kMayBeBad && sums.poison != 0.0f) refuse(call, row);  // NaN is not 0 either
  const float length = METRIC == Metric::cosine ? __builtin_sqrtf(total16(sums.square)) : 0.0f;
  EMB_UNROLL for (int q = 0; q < Q; ++q) {
    if (query + q >= group.count) continue;
    const float score = finish_score(total16(sums.sum[q]), METRIC, __builtin_sqrtf(group.squares[query + q]), length);
    offer(group, query + q, score, row);
  }
}

// The source of codes that lie side by side in a row, `bits` a dimension.
struct CodeSource {
  static constexpr bool kMayBeBad = false, kStaged = true;
  static constexpr int kBeyond = 0, kTable = 0, kBlocks = kNominatingBlocks;
  using Raw = uint64_t;
  Codes from;
  int64_t dims;
  int bits;
  __device__ Codes codes() const { return from; }
  __device__ int64_t d() const { return dims; }
  __device__ int64_t place(int64_t j) const { return ((j < dims ? j : dims) * bits + 7) / 8; }
  __device__ void fill(float*) const {}
  template <class Read>
  __device__ Raw raw(const Read& read, int64_t, int64_t j, int count) const {
    return read(j / 8 * bits, (count * bits + 7) / 8);
  }
};

template <class Source, int Q>
void launch_scores(const Source& source, const Group& group, const Call& call) {
  const dim3 grid(blocks_for(group.rows.end - group.rows.begin, kScanBlock), blocks_for(group.count, Q));
  if (group.metric == Metric::l2)
    EMB_LAUNCH((score_rows<Source, Q, Metric::l2>), grid, kScanBlock, 0, call.stream, source, group, call);
  else if (group.metric == Metric::cosine)
    EMB_LAUNCH((score_rows<Source, Q, Metric::cosine>), grid, kScanBlock, 0, call.stream, source, group, call);
  else
    EMB_LAUNCH((score_rows<Source, Q, Metric::ip>), grid, kScanBlock, 0, call.stream, source, group, call);
  check(cudaGetLastError());
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
