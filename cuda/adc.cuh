// The ADC scan: sums of entries of lookup tables, by a thread for some rows; for many queries of those rows that tensor
// cores nominate (nominate.cuh).
#pragma once
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kAdcFloats = 8192;       // of tables in shared memory at a time
constexpr int kAdcRowsEach = 4;        // rows of a thread, where there are
constexpr int64_t kAdcMany = 1 << 17;  // ... so many
constexpr int kAdcNominated = 5;       // queries, from which on tensor cores nominate
constexpr int kAdcQueries = 4;      // whose entries lie side by side, where there are so many: one look-up serves them
constexpr int kNomineeBlock = 128;  // threads that score nominees
constexpr int kCodewordsAtOnce = 16;  // codes of a row read at once

__device__ inline int bits_of(const Pq& p) { return p.ksub == 256 ? 8 : 4; }
inline int64_t eights_of(const Pq& p) { return (p.dsub + 7) / 8; }

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
__device__ inline uint64_t lowest(uint64_t word, int bytes) {
  return bytes < 8 ? word & ((uint64_t{1} << 8 * bytes) - 1) : word;
}

// A row of codes, of which read(byte, n) gives the lowest n <= 8 bytes from `byte` on. Unlike a CodeRow it may be the
// first or the last of the array.
struct CheckedRow {
  const uint8_t* row;
  Bytes all;
  __device__ uint64_t read(int64_t byte, int count) const {
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

__device__ inline CheckedRow checked_row(const Codes& codes, const Pq& p, int64_t row) {
  return {codes.data + row * codes.stride, bytes_of(codes, (p.m * bits_of(p) + 7) / 8)};
}

// The codes of 16 subspaces from s on, s a multiple of 8; zeros behind the last.
struct SixteenCodes {
  uint64_t words[2];
  __device__ void read(const CheckedRow& row, const Pq& p, int64_t s) {
    const int bits = bits_of(p);
    const int64_t left = (p.m - s) * bits;
    if (bits == 8 && left >= 128 && aligned<uint4>(row.row + s)) {
      const uint4 all = *reinterpret_cast<const uint4*>(row.row + s);
      words[0] = static_cast<uint64_t>(all.y) << 32 | all.x;
      words[1] = static_cast<uint64_t>(all.w) << 32 | all.z;
      return;
    }
    EMB_UNROLL for (int i = 0; i < 2; ++i) {
      const int64_t mine = (left - 8 * bits * i + 7) / 8;
      words[i] = mine > 0 ? row.read(s / 8 * bits + i * bits, static_cast<int>(mine < bits ? mine : bits)) : 0;
    }
  }
};

// The centroids, and the products of a group's queries with them, (count, centroids): what a score adds last.
struct Bases {
  Coarse coarse;
  const float* products;
  __device__ float score(float sum, int64_t query, int64_t row) const {
    return coarse.count > 0 ? sum + products[query * coarse.count + coarse.of(row)] : sum;
  }
};

// Entries of subspaces first .. first+count-1 for Q queries side by side.
template <int Q>
__device__ inline void load_tables(const Pq& p, const float* tables, int64_t queries, int64_t first, int count,
                                   float* shared) {
  for (int i = static_cast<int>(threadIdx.x); i < count * static_cast<int>(p.ksub); i += kBlock)
    EMB_UNROLL for (int q = 0; q < Q; ++q) shared[i * Q + q] =
        q < queries ? tables[(q * p.m + first) * p.ksub + i] : 0.0f;
}

template <int Q>
struct Entry {
  float of[Q];
};
__device__ inline Entry<1> entry_at(const float* shared, int at, Entry<1>) { return {{shared[at]}}; }
__device__ inline Entry<4> entry_at(const float* shared, int at, Entry<4>) {
  const float4 four = reinterpret_cast<const float4*>(shared)[at];
  return {{four.x, four.y, four.z, four.w}};
}

// norms: the table of squared lengths of codewords; null but for cosine.
template <int Q, int ROWS>
__global__ void __launch_bounds__(kBlock, ROWS == 1 ? 2 : 1)
    score_adc(Codes codes, Pq p, Bases bases, const float* tables, const float* norms, Group group) {
  EMB_SHARED(float4, aligned_memory, [kAdcFloats / 4]);
  float* shared = reinterpret_cast<float*>(aligned_memory);
  const int64_t query = static_cast<int64_t>(blockIdx.y) * Q;
  const int ksub = static_cast<int>(p.ksub), step = kAdcFloats / Q / ksub;  // a multiple of 8
  const int64_t first = group.rows.begin + static_cast<int64_t>(blockIdx.x) * kBlock * ROWS + threadIdx.x;
  const float* mine = tables + query * p.m * ksub;
  float sum[ROWS][Q] = {}, square[ROWS] = {};
  EMB_ROLLED for (int64_t s = 0; s < p.m; s += step) {
    const int count = static_cast<int>(p.m - s < step ? p.m - s : step);
    __syncthreads();
    load_tables<Q>(p, mine, group.count - query, s, count, shared);
    __syncthreads();
    EMB_ROLLED for (int t = 0; t < count; t += kCodewordsAtOnce) {
      SixteenCodes read[ROWS] = {};
      EMB_UNROLL for (int r = 0; r < ROWS; ++r) {
        const int64_t row = first + static_cast<int64_t>(r) * kBlock;
        if (group.allowed(row)) read[r].read(checked_row(codes, p, row), p, s + t);
      }
      EMB_UNROLL for (int r = 0; r < ROWS; ++r) EMB_UNROLL for (int half = 0; half < 2; ++half) {
        if (half == 0) __syncwarp(kAllLanes);  // or ptxas looks up all rows at once, and runs out of registers
        uint32_t code[8];
        codes_of(read[r].words[half], bits_of(p), code);
        EMB_UNROLL for (int i = 0; i < 8; ++i) {
          const int at = t + 8 * half + i;
          if (at >= count) continue;
          const Entry<Q> entry = entry_at(shared, at * ksub + static_cast<int>(code[i]), Entry<Q>{});
          EMB_UNROLL for (int q = 0; q < Q; ++q) sum[r][q] += entry.of[q];
          if (norms) square[r] += norms[(s + at) * ksub + code[i]];
        }
      }
    }
  }
  EMB_UNROLL for (int r = 0; r < ROWS; ++r) {
    const int64_t row = first + static_cast<int64_t>(r) * kBlock;
    if (!group.allowed(row)) continue;
    EMB_UNROLL for (int q = 0; q < Q; ++q) {
      if (query + q >= group.count) continue;
      const float length = __builtin_sqrtf(group.squares[query + q]), total = bases.score(sum[r][q], query + q, row);
      offer(group, query + q, finish_score(total, group.metric, length, __builtin_sqrtf(square[r])), row);
    }
  }
}

template <int Q, int ROWS>
void launch_adc_rows(const Codes& codes, const Pq& p, const Bases& bases, const float* tables, const float* norms,
                     const Group& group, const Call& call) {
  const dim3 grid(blocks_for(group.rows.end - group.rows.begin, kBlock * ROWS), blocks_for(group.count, Q));
  EMB_LAUNCH((score_adc<Q, ROWS>), grid, kBlock, 0, call.stream, codes, p, bases, tables, norms, group);
  check(cudaGetLastError());
}

template <int Q>
void launch_adc(const Codes& codes, const Pq& p, const Bases& bases, const float* tables, const float* norms,
                const Group& group, const Call& call) {
  if (group.rows.end - group.rows.begin < kAdcMany)
    launch_adc_rows<Q, 1>(codes, p, bases, tables, norms, group, call);
  else
    launch_adc_rows<Q, kAdcRowsEach>(codes, p, bases, tables, norms, group, call);
}

// Eights of codewords, rounded once for all rows: (m, ksub, eights of a subspace), and their squared lengths.
struct Codewords {
  static constexpr int kTable = 0, kBlocks = 1;
  Codes codes;
  Pq p;
  const uint4* rounded;
  const float* norms;
  int each, eights;
  struct Row {
    const uint8_t* code;
  };
  struct Part {
    uint4 eight;
    float square;
  };
  __device__ void fill(float*) const {}
  __device__ Row at(int64_t row) const { return {codes.data + row * codes.stride}; }
  __device__ bool readable(const Row&) const { return true; }
  __device__ Part part(const Row& at, int e) const {
    const int s = e / each, in = e % each;
    const int codeword = s * static_cast<int>(p.ksub) + static_cast<int>(code_at(at.code, s, bits_of(p)));
    return {rounded[codeword * each + in], in == 0 ? norms[codeword] : 0.0f};
  }
  template <int R>
  __device__ void round(const Part* part, const Row*, const float*, int, float* square, uint4* rounded) const {
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      square[r] += part[r].square;
      rounded[r] = part[r].eight;
    }
  }
};

// A thread a nominee, whose key takes its place. Keys below the floor do no harm: keep_best_rows has k better ones.
__global__ void score_nominees_by_tables(Codes codes, Pq p, const float* tables, const float* norms, Group group) {
  const int64_t query = blockIdx.y, count = group.added_count[query];
  uint64_t* added = group.added + query * group.capacity;
  const float* table = tables + query * p.m * p.ksub;
  const int ksub = static_cast<int>(p.ksub);
  EMB_ROLLED for (int64_t i = thread_number(); i < count; i += static_cast<int64_t>(gridDim.x) * kNomineeBlock) {
    const int64_t row = static_cast<int64_t>(added[i]);
    float sum = 0.0f, square = 0.0f;
    EMB_ROLLED for (int64_t s = 0; s < p.m; s += kCodewordsAtOnce) {
      SixteenCodes read;
      read.read(checked_row(codes, p, row), p, s);
      float entries[kCodewordsAtOnce];  // loaded before they are added up
      EMB_UNROLL for (int half = 0; half < 2; ++half) {
        uint32_t code[8];
        codes_of(read.words[half], bits_of(p), code);
        EMB_UNROLL for (int k = 0; k < 8; ++k) {
          const int64_t at = s + 8 * half + k, entry = at * ksub + code[k];
          entries[8 * half + k] = at < p.m ? table[entry] : 0.0f;
          if (group.metric == Metric::cosine && at < p.m) square += norms[entry];
        }
      }
      EMB_UNROLL for (int k = 0; k < kCodewordsAtOnce; ++k) if (s + k < p.m) sum += entries[k];
    }
    const float length = __builtin_sqrtf(group.squares[query]);
    added[i] = order_key(comparable(finish_score(sum, group.metric, length, __builtin_sqrtf(square))), row);
  }
}

void launch_nominated(const Codewords& codewords, const uint4* queries, const float* tables, const Group& group,
                      const Call& call) {
  launch_nominate(codewords, queries, group, call);
  const dim3 nominees(nominators(group.count), static_cast<unsigned>(group.count));
  EMB_LAUNCH((score_nominees_by_tables), nominees, kNomineeBlock, 0, call.stream, codewords.codes, codewords.p, tables,
             codewords.norms, group);
  check(cudaGetLastError());
}

}  // namespace
}  // namespace cuda
}  // namespace embcodec
