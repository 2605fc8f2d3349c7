// Product quantization: encode, decode, lookup tables, and the scan through them.
#include "adc.cuh"
#include "few.cuh"
#include "tensor.cuh"

namespace embcodec {
namespace cuda {
namespace {

// Codewords of any size, out of the cache.
struct PqSource {
  Codes from;
  Pq p;
  __device__ Codes codes() const { return from; }
  struct Four {
    Window window;
    uint32_t mask;
    int64_t dsub;
    bool whole;             // the four lie in one codeword, aligned
    const float* first[4];  // of a subspace's first codeword
    int shift[4];
    __device__ const float* at(uint32_t word, int i) const { return first[i] + (word >> shift[i] & mask) * dsub; }
    __device__ void values(uint32_t word, int64_t, float (&to)[4]) const {
      if (whole)
        load_floats(at(word, 0), 4, to);
      else
        EMB_UNROLL for (int i = 0; i < 4; ++i) if (first[i]) to[i] = *at(word, i);
    }
  };
  __device__ Four four(int64_t j, int count) const {
    const int bits = bits_of(p);
    const auto subspace = [&](int i) {  // 32 bits hold the dimensions of any row that has codebooks
      return static_cast<int64_t>(static_cast<uint32_t>(j + i) / static_cast<uint32_t>(p.dsub));
    };
    const int64_t begin = subspace(0);
    Four f = {window_of(begin, static_cast<int>(subspace(count - 1) - begin) + 1, bits),
              (1u << bits) - 1u,
              p.dsub,
              count == 4 && p.dsub % 4 == 0,
              {},
              {}};
    EMB_UNROLL for (int i = 0; i < 4; ++i) {
      if (i >= count) continue;
      const int64_t s = subspace(i);
      f.first[i] = p.codebooks + s * p.ksub * p.dsub + (j + i - s * p.dsub);
      f.shift[i] = f.window.shift + static_cast<int>(s - begin) * bits;
    }
    return f;
  }
};

// ... for a scan of rows with centroids by l2 or cosine, which do not add up from tables.
struct PqRows {
  static constexpr bool kMayBeBad = false;
  static constexpr int kTable = 0, kBlocks = kNominatingBlocks;
  using Raw = uint64_t;
  struct Row {
    CodeRow code;
    int32_t centroid;
  };
  Codes from;
  Pq p;
  const float* centroids;  // of a Coarse what is needed here: registers are few
  const int32_t* centroid;
  __device__ int64_t d() const { return p.m * p.dsub; }
  __device__ uint32_t subspace(int64_t j) const {  // 32 bits hold the dimensions of any row that has codebooks
    return static_cast<uint32_t>(j) / static_cast<uint32_t>(p.dsub);
  }
  __device__ int64_t byte(int64_t j) const { return p.ksub == 256 ? subspace(j) : subspace(j) / 2; }
  __device__ void fill(float*) const {}
  __device__ bool aligned() const {
    return p.dsub % 4 == 0 && cuda::aligned<float4>(p.codebooks) && cuda::aligned<float4>(centroids);
  }
  __device__ Row at(int64_t row) const {
    return {row_of(from, (p.m * bits_of(p) + 7) / 8, row), centroid ? centroid[row] : 0};
  }
  __device__ bool readable(const Row& at) const { return at.code.code; }
  __device__ float value(int64_t row, int64_t j) const {
    const int64_t s = subspace(j);
    const uint32_t code = code_at(from.data + row * from.stride, s, bits_of(p));
    return p.codebooks[(s * p.ksub + code) * p.dsub + j - s * p.dsub] +
           centroids[(centroid ? centroid[row] : 0) * d() + j];
  }
  __device__ Raw raw(const Row& at, int64_t j, int count) const {
    const int first = static_cast<int>(byte(j));
    return at.code.bits(8 * first, 8 * (static_cast<int>(byte(j + count - 1)) - first + 1));
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row* at, const float*, int64_t j, int count, float (*x)[8]) const {
    EMB_UNROLL for (int r = 0; r < R; ++r) decode_row<ALL>(raw[r], centroids + at[r].centroid * d(), j, count, x[r]);
  }
  template <bool ALL>
  __device__ void decode_row(Raw raw, const float* centroid, int64_t j, int count, float* x) const {
    const int bits = bits_of(p), dsub = static_cast<int>(p.dsub), ksub = static_cast<int>(p.ksub);
    int s = static_cast<int>(subspace(j)), rest = static_cast<int>(j) - s * dsub;
    if (bits == 4) raw >>= s % 2 * 4;
    load_eight<ALL>(centroid + j, count, x);
    const auto codeword = [&] {
      return p.codebooks + static_cast<int64_t>(s * ksub + static_cast<int>(raw & (p.ksub - 1))) * dsub + rest;
    };
    const auto move = [&](int dims) {
      rest += dims;
      if (rest < dsub) return;
      rest = 0, ++s, raw >>= bits;
    };
    if (ALL) {
      EMB_UNROLL for (int half = 0; half < 8; half += 4) {
        float four[4];
        load_floats(codeword(), 4, four);
        EMB_UNROLL for (int i = 0; i < 4; ++i) x[half + i] += four[i];
        move(4);
      }
    } else {
      EMB_UNROLL for (int i = 0; i < 8; ++i) {
        if (i >= count) continue;
        x[i] += *codeword();
        move(1);
      }
    }
  }
};

constexpr int kBookFloats = 8192;  // of codewords in shared memory
constexpr int kPqRows = 1024;      // of a block, for which it loads its codebooks
constexpr int kPqRowsEach = 4;     // of a thread at a time

// A block takes `each` subspaces, of whose codewords a thread always copies the same float4. Blocks side by side write
// to the same rows.
__global__ void decode_pq(Codes codes, Pq p, int64_t each, float* out) {
  EMB_SHARED(float4, books, [kBookFloats / 4]);
  const int64_t groups = (p.m + each - 1) / each, first = blockIdx.x % groups * each;
  const int64_t end = blockIdx.x / groups * kPqRows + kPqRows, stop = end < codes.n ? end : codes.n;
  const int fours = static_cast<int>(p.dsub / 4),
            pieces = static_cast<int>(p.m - first < each ? p.m - first : each) * fours;
  const int size = static_cast<int>(p.ksub) * fours, thread = static_cast<int>(threadIdx.x);
  const float4* from = reinterpret_cast<const float4*>(p.codebooks + first * p.ksub * p.dsub);
  for (int i = thread; i < pieces * static_cast<int>(p.ksub); i += kBlock) books[i] = from[i];
  __syncthreads();
  const int rows = kBlock / pieces, piece = thread % pieces;
  if (thread >= rows * pieces) return;
  const float4* book = books + piece / fours * size + piece % fours;
  float* to = out + first * p.dsub + 4 * piece;
  for (int64_t row = end - kPqRows + thread / pieces; row < stop; row += kPqRowsEach * rows) {
    uint32_t code[kPqRowsEach];
    EMB_UNROLL for (int r = 0; r < kPqRowsEach; ++r) {
      const int64_t mine = row + r * rows;
      code[r] = mine < stop ? code_at(codes.data + mine * codes.stride, first + piece / fours, bits_of(p)) : 0;
    }
    EMB_UNROLL for (int r = 0; r < kPqRowsEach; ++r) {
      const int64_t mine = row + r * rows;
      if (mine < stop) *reinterpret_cast<float4*>(to + mine * p.m * p.dsub) = book[code[r] * fours];
    }
  }
}

// A thread an entry: a sum over the dimensions of a subspace, in order and fused. norms: the codewords' squared lengths
// instead.
__global__ void fill_tables(Pq p, const float* queries, int64_t nq, Metric metric, bool norms, float* tables) {
  const int64_t at = thread_number(), size = p.m * p.ksub;
  if (at >= nq * size) return;
  const float* c = p.codebooks + at % size * p.dsub;
  const float* q = norms ? c : queries + at / size * p.m * p.dsub + at % size / p.ksub * p.dsub;
  float sum = 0.0f;
  for (int64_t i = 0; i < p.dsub; ++i) {
    const float t = metric == Metric::l2 ? q[i] - c[i] : q[i];
    sum = __builtin_fmaf(t, metric == Metric::l2 ? t : c[i], sum);
  }
  tables[at] = sum;
}

void launch_tables(const Pq& p, const float* queries, int64_t nq, Metric metric, bool norms, float* tables,
                   const Call& call) {
  EMB_LAUNCH((fill_tables), blocks_for(nq * p.m * p.ksub, kBlock), kBlock, 0, call.stream, p, queries, nq, metric,
             norms, tables);
  check(cudaGetLastError());
}

// Half a warp a product of a query with a centroid, in the order of the contract.
__global__ void fill_products(Coarse coarse, const float* queries, int64_t nq, int64_t d, float* products) {
  const int64_t at = thread_number() / 16;
  if (at >= nq * coarse.count) return;
  const float *q = queries + at / coarse.count * d, *c = coarse.centroids + at % coarse.count * d;
  float sum = 0.0f;
  for (int64_t j = threadIdx.x % 16; j < d; j += 16) sum += q[j] * c[j];
  sum = sum16(sum, half_warp());
  if (threadIdx.x % 16 == 0) products[at] = sum;
}

}  // namespace

int64_t pq_encode(const Rows& x, const Pq& p, CodesOut out, const Call& call) {
  const Assignment a = {x, p.codebooks, p.m, p.ksub, p.dsub, nullptr, out};
  return p.ksub == 256 ? launch_nearest(a, call) : launch_nibbles(a, call);
}

int64_t pq_decode(const Codes& codes, const Pq& p, float* out, const Call& call) {
  int64_t each = kBookFloats / (p.ksub * p.dsub);
  if (each == 0 || p.dsub % 4 || !aligned<float4>(p.codebooks) || !aligned<float4>(out))
    return launch_decode(PqSource{codes, p}, codes.n, p.m * p.dsub, out, call);
  if (codes.n == 0) return 0;
  if (each > 4 * kBlock / p.dsub) each = 4 * kBlock / p.dsub;
  const int64_t blocks = (p.m + each - 1) / each * ((codes.n + kPqRows - 1) / kPqRows);
  EMB_LAUNCH((decode_pq), blocks_for(blocks, 1), kBlock, 0, call.stream, codes, p, each, out);
  check(cudaGetLastError());
  return 0;
}

int64_t pq_tables(const Pq& p, const float* queries, int64_t nq, Metric metric, float* tables, const Call& call) {
  if (nq) launch_tables(p, queries, nq, metric, false, tables, call);
  return 0;
}

// Scratch: the tables of all queries, the norms' table, products with the centroids, for tensor cores codewords and
// queries in bfloat16, then what every search has.
int64_t pq_topk(const Codes& codes, const Pq& p, const Coarse& coarse, const Search& search, const Call& call) {
  if (search.nq == 0) return 0;
  if (coarse.count && search.metric != Metric::ip)
    return search_source(PqRows{codes, p, coarse.centroids, coarse.centroid}, codes.n, search, call);
  const int64_t size = p.m * p.ksub, eights = eights_of(p), pairs = search.nq * coarse.count;
  const bool many = search.nq >= kAdcNominated && !pairs;  // a row's centroid is not known to Codewords
  const int64_t floats = (4 * (size * (search.nq + 1) + pairs) + 255) / 256 * 256;
  const int64_t own = floats + (many ? (16 * eights * (size + search.nq * p.m) + 255) / 256 * 256 : 0);
  Call rest = call;
  float* tables = reinterpret_cast<float*>(call.scratch);
  float *norms = tables + search.nq * size, *products = norms + size;
  uint4* codewords = reinterpret_cast<uint4*>(call.scratch + floats);
  uint4* queries = codewords + size * eights;
  if (call.scratch) {
    rest.scratch = call.scratch + own;
    launch_tables(p, search.queries, search.nq, search.metric, false, tables, call);
    if (many || search.metric == Metric::cosine) launch_tables(p, nullptr, 1, Metric::ip, true, norms, call);
    if (pairs) {
      EMB_LAUNCH((fill_products), blocks_for(16 * pairs, kBlock), kBlock, 0, call.stream, coarse, search.queries,
                 search.nq, search.d, products);
      check(cudaGetLastError());
    }
    if (many) {
      launch_round(p.codebooks, size, p.dsub, codewords, call);
      launch_round(search.queries, search.nq * p.m, p.dsub, queries, call);
    }
  }
  const float* divisors = search.metric == Metric::cosine ? norms : nullptr;
  const int64_t needed = search_rows(codes.n, search, rest, [&](const Group& group) {
    const float* mine = tables + group.first * size;
    const Bases bases = {coarse, products + group.first * coarse.count};
    if (group.count == 1)
      launch_adc<1>(codes, p, bases, mine, divisors, group, call);
    else if (!many || group.rows.begin == 0)  // no floor yet
      launch_adc<kAdcQueries>(codes, p, bases, mine, divisors, group, call);
    else
      launch_nominated({codes, p, codewords, norms, static_cast<int>(eights), static_cast<int>(eights * p.m)},
                       queries + group.first * p.m * eights, mine, group, call);
  });
  return needed ? needed + own : 0;
}

}  // namespace cuda
}  // namespace embcodec
