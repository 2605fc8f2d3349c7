// Product quantization: encode, decode, lookup tables, and the scan through them.
#include "adc.cuh"
#include "few.cuh"

namespace embcodec {
namespace cuda {
namespace {

struct PqSource {
  Codes codes;
  Pq p;
  __device__ float value(int64_t row, int64_t j) const {
    const int64_t s = j / p.dsub, code = code_at(codes.data + row * codes.stride, s, bits_of(p));
    return p.codebooks[(s * p.ksub + code) * p.dsub + j % p.dsub];
  }
};

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

// The centroids, and the products of a group's queries with them, (count, centroids): what a score adds last.
struct Bases {
  Coarse coarse;
  const float* products;
  __device__ float score(float sum, int64_t query, int64_t row) const {
    return coarse.count > 0 ? sum + products[query * coarse.count + coarse.of(row)] : sum;
  }
};

constexpr int kAdcFloats = 8192;  // of tables in shared memory at a time
constexpr int kAdcRowsEach = 4;   // rows of a thread

// Entries of subspaces first .. first+count-1 for Q queries side by side: one look-up serves them all.
template <int Q>
__device__ inline void load_tables(const Pq& p, const float* tables, int64_t queries, int64_t first, int64_t count,
                                   float* shared) {
  for (int64_t i = threadIdx.x; i < count * p.ksub; i += blockDim.x)
    EMB_UNROLL for (int q = 0; q < Q; ++q) shared[i * Q + q] =
        q < queries ? tables[(q * p.m + first) * p.ksub + i] : 0.0f;
}

// norms: the table of squared lengths of codewords; null but for cosine.
template <int Q>
__global__ void score_adc(Codes codes, Pq p, Bases bases, const float* tables, const float* norms, Group group) {
  EMB_SHARED(float, shared, [kAdcFloats]);
  const int64_t query = static_cast<int64_t>(blockIdx.y) * Q, step = kAdcFloats / Q / p.ksub;
  const int64_t first = group.rows.begin + static_cast<int64_t>(blockIdx.x) * kBlock * kAdcRowsEach + threadIdx.x;
  const float* mine = tables + query * p.m * p.ksub;
  float sum[kAdcRowsEach][Q] = {}, square[kAdcRowsEach] = {};
  EMB_ROLLED for (int64_t s = 0; s < p.m; s += step) {
    const int64_t count = p.m - s < step ? p.m - s : step;
    __syncthreads();
    load_tables<Q>(p, mine, group.count - query, s, count, shared);
    __syncthreads();
    EMB_UNROLL for (int r = 0; r < kAdcRowsEach; ++r) {
      const int64_t row = first + static_cast<int64_t>(r) * kBlock;
      if (!group.allowed(row)) continue;
      EMB_ROLLED for (int64_t t = 0; t < count; ++t) {
        const int64_t code = code_at(codes.data + row * codes.stride, s + t, bits_of(p));
        EMB_UNROLL for (int q = 0; q < Q; ++q) sum[r][q] += shared[(t * p.ksub + code) * Q + q];
        if (norms) square[r] += norms[(s + t) * p.ksub + code];
      }
    }
  }
  EMB_UNROLL for (int r = 0; r < kAdcRowsEach; ++r) {
    const int64_t row = first + static_cast<int64_t>(r) * kBlock;
    if (!group.allowed(row)) continue;
    EMB_UNROLL for (int q = 0; q < Q; ++q) {
      if (query + q >= group.count) continue;
      const float length = __builtin_sqrtf(group.squares[query + q]), total = bases.score(sum[r][q], query + q, row);
      offer(group, query + q, finish_score(total, group.metric, length, __builtin_sqrtf(square[r])), row);
    }
  }
}

template <int Q>
void launch_adc(const Codes& codes, const Pq& p, const Bases& bases, const float* tables, const float* norms,
                const Group& group, const Call& call) {
  const dim3 grid(blocks_for(group.rows.end - group.rows.begin, kBlock * kAdcRowsEach), blocks_for(group.count, Q));
  EMB_LAUNCH((score_adc<Q>), grid, kBlock, 0, call.stream, codes, p, bases, tables, norms, group);
  check(cudaGetLastError());
}

}  // namespace

int64_t pq_encode(const Rows& x, const Pq& p, CodesOut out, const Call& call) {
  const Assignment a = {x, p.codebooks, p.m, p.ksub, p.dsub, nullptr, out};
  return p.ksub == 256 ? launch_nearest(a, call) : launch_nibbles(a, call);
}

int64_t pq_decode(const Codes& codes, const Pq& p, float* out, const Call& call) {
  return launch_decode(PqSource{codes, p}, codes.n, p.m * p.dsub, out, call);
}

int64_t pq_tables(const Pq& p, const float* queries, int64_t nq, Metric metric, float* tables, const Call& call) {
  if (nq) launch_tables(p, queries, nq, metric, false, tables, call);
  return 0;
}

// Scratch: the tables of all queries, the norms' table, products with the centroids, for tensor cores codewords and
// queries in bfloat16, then what every search has.
int64_t pq_topk(const Codes& codes, const Pq& p, const Coarse& coarse, const Search& search, const Call& call) {
  if (search.nq == 0) return 0;
  const int64_t size = p.m * p.ksub, eights = eights_of(p), pairs = search.nq * coarse.count;
  const bool many = search.nq >= kTensorQueries && !pairs;  // a row's centroid is not known to nominate_rows
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
    if (group.count < 4)
      launch_adc<1>(codes, p, bases, mine, divisors, group, call);
    else if (!many || group.count < kTensorQueries || group.rows.begin == 0)  // no floor yet
      launch_adc<8>(codes, p, bases, mine, divisors, group, call);
    else
      launch_nominated(codes, p, {codewords, queries + group.first * p.m * eights, norms, static_cast<int>(eights)},
                       mine, group, call);
  });
  return needed ? needed + own : 0;
}

}  // namespace cuda
}  // namespace embcodec
