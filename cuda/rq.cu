// Residual quantization: a beam of paths through the stages, a warp a row; and decoding.
#include "topk.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kWords = static_cast<int>(kRqWords), kTile = 32;
constexpr int kBeamWarps = 4;                // of a block, each with a row
constexpr int kLaneWords = kWords / 32;      // codewords of a lane, 32 apart
constexpr int64_t kScratchBytes = 64 << 20;  // about as much for products and paths of rows
constexpr int64_t kProjectedTogether = 128;  // rows of a block of project()

// Codewords (words, d) as a matrix (d, words), a tile a block; `words` are whole tiles.
__global__ void transpose_words(const float* codebooks, int64_t words, int64_t d, float* matrix) {
  EMB_SHARED(float, tile, [kTile][kTile + 1]);
  const int64_t tiles = words / kTile, lane = threadIdx.x % kTile;
  const int64_t word = blockIdx.x % tiles * kTile, j = blockIdx.x / tiles * kTile;
  for (int64_t i = threadIdx.x / kTile; i < kTile; i += kBlock / kTile)
    if (j + lane < d) tile[i][lane] = codebooks[(word + i) * d + j + lane];
  __syncthreads();
  for (int64_t i = threadIdx.x / kTile; i < kTile && j + i < d; i += kBlock / kTile)
    matrix[(j + i) * words + word + lane] = tile[lane][i];
}

// Half the squared lengths of codewords, half a warp each, in the order of the contract.
__global__ void halve_squares(const float* codebooks, int64_t words, int64_t d, float* half) {
  const int64_t word = thread_number() / 16;
  if (word >= words) return;
  const float* c = codebooks + word * d;
  float sum = 0.0f;
  for (int64_t j = threadIdx.x % 16; j < d; j += 16) sum += c[j] * c[j];
  sum = sum16(sum, half_warp());
  if (threadIdx.x % 16 == 0) half[word] = sum * 0.5f;
}

// The largest key first, by a warp: a bitonic network whose comparisons all go one way, so that what is not there,
// behind the last key, would stay there.
__device__ inline void sort_keys(uint64_t* keys, int count, int lane) {
  for (int size = 2; size < 2 * count; size *= 2)
    for (int apart = size / 2; apart > 0; apart /= 2) {
      __syncwarp(kAllLanes);
      for (int i = lane;; i += 32) {
        const int low = 2 * i - (i & (apart - 1));
        if (low >= count) break;
        const int high = 2 * apart == size ? low ^ (size - 1) : low + apart;
        if (high >= count) continue;
        const uint64_t a = keys[low], b = keys[high];
        if (a < b) keys[low] = b, keys[high] = a;
      }
    }
  __syncwarp(kAllLanes);
}

// Keys that a warp has room for: twice a beam's, then those of a path.
EMB_HD int64_t most_keys(const Rq& p) { return 2 * p.beam + kWords; }

// `products`: of the rows with all codewords. `paths`: room for two beams a row, (m, beam) bytes each. Keys are those
// of negative values, so that the largest is the best; a value that is none counts as infinity.
__global__ void __launch_bounds__(32 * kBeamWarps, 8)
    follow_paths(Rq p, const float* products, int64_t n, uint8_t* paths, CodesOut out) {
  EMB_DYN_SHARED(uint64_t, shared);
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kBeamWarps + warp;
  if (row >= n) return;
  const int beam = static_cast<int>(p.beam), m = static_cast<int>(p.m);
  uint64_t* const keys = shared + warp * most_keys(p);
  float* const costs = reinterpret_cast<float*>(shared + kBeamWarps * most_keys(p)) + warp * beam;
  uint8_t *from = paths + row * 2 * beam * m, *to = from + beam * m;
  if (lane == 0) costs[0] = 0.0f;
  __syncwarp(kAllLanes);
  int count = 1;
  EMB_ROLLED for (int s = 0; s < m; ++s) {
    const int most = s + 1 < m ? beam : static_cast<int>(p.keep);
    const float *half = p.half + s * kWords + lane, *product = products + (row * m + s) * kWords + lane;
    float alone[kLaneWords];
    EMB_UNROLL for (int i = 0; i < kLaneWords; ++i) alone[i] = half[32 * i] - product[32 * i];
    int held = 0;
    float limit = __builtin_inff();  // what a value has to be less than, behind the first path
    EMB_ROLLED for (int b = 0; b < count; ++b) {
      float value[kLaneWords];
      EMB_UNROLL for (int i = 0; i < kLaneWords; ++i) value[i] = alone[i];
      EMB_UNROLL_4 for (int t = 0; t < s; ++t) {
        const float* with = p.with(t, from[t * beam + b], s) + lane;
        EMB_UNROLL for (int i = 0; i < kLaneWords; ++i) value[i] += with[32 * i];
      }
      const float cost = costs[b];
      bool any = b == 0;
      EMB_UNROLL for (int i = 0; i < kLaneWords; ++i) {
        value[i] += cost;
        any |= value[i] < limit;
      }
      if (__ballot_sync(kAllLanes, any) == 0) continue;
      EMB_UNROLL for (int i = 0; i < kLaneWords; ++i) {
        const uint32_t better = __ballot_sync(kAllLanes, b == 0 || value[i] < limit);
        const int before = __popc(better & ((1u << lane) - 1u));
        if (better >> lane & 1u) keys[held + before] = order_key(comparable(-value[i]), b * kWords + 32 * i + lane);
        held += __popc(better);
      }
      if (held <= 2 * most) continue;
      sort_keys(keys, held, lane);
      held = most;
      limit = -key_score(keys[most - 1]);
    }
    sort_keys(keys, held, lane);
    for (int b = lane; b < most; b += 32) {
      const int number = static_cast<int>(key_row(keys[b]));
      costs[b] = -key_score(keys[b]);
      for (int t = 0; t < s; ++t) to[t * beam + b] = from[t * beam + number / kWords];
      to[s * beam + b] = static_cast<uint8_t>(number % kWords);
    }
    __syncwarp(kAllLanes);
    uint8_t* const shorter = from;
    from = to, to = shorter;
    count = most;
  }
  for (int i = lane; i < count * m; i += 32) out.data[row * out.stride + i] = from[i % m * beam + i / m];
}

__device__ inline float plus(float a, float b) { return a + b; }
__device__ inline float4 plus(const float4& a, const float4& b) { return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w}; }

// A thread adds up one V, a float or four, of each of its rows, which have d of them.
template <class V>
__global__ void decode_rq(Codes codes, const V* codebooks, int64_t m, int64_t d, int64_t each, V* out) {
  const Place at = place_of<1>(thread_number(), d);
  int64_t first = first_row(at, each);
  EMB_ROLLED for (int64_t i = 0; i < each && first < codes.n; i += kRowsEach, first += kRowsEach * kApart) {
    const uint8_t* code[kRowsEach];
    V sum[kRowsEach];
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      code[r] = codes.data + (row < codes.n ? row : first) * codes.stride;
      sum[r] = codebooks[code[r][0] * d + at.j];
    }
    EMB_ROLLED for (int64_t s = 1; s < m; ++s) {
      const V* const book = codebooks + s * kWords * d + at.j;
      EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) sum[r] = plus(sum[r], book[code[r][s] * d]);
    }
    EMB_UNROLL for (int r = 0; r < kRowsEach; ++r) {
      const int64_t row = first + r * kApart;
      if (row < codes.n) out[row * d + at.j] = sum[r];
    }
  }
}

template <class V>
void launch_decode_rq(const Codes& codes, const Rq& p, float* out, const Call& call) {
  const int64_t d = p.d / static_cast<int64_t>(sizeof(V) / 4), each = rows_each(codes.n, d);
  const unsigned blocks = blocks_for(threads_of_rows(codes.n, d, each), kBlock);
  EMB_LAUNCH((decode_rq<V>), blocks, kBlock, 0, call.stream, codes, reinterpret_cast<const V*>(p.codebooks), p.m, d,
             each, reinterpret_cast<V*>(out));
}

}  // namespace

// Scratch: the codebooks as a matrix, half their squares; of some rows at a time the products with all codewords, and
// paths.
int64_t rq_encode(const Rows& x, const Rq& p, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  const int64_t words = p.m * kWords, own = 4 * words * (p.d + 1), each = 4 * words + 2 * p.beam * p.m;
  int64_t rows = kScratchBytes / each / kProjectedTogether * kProjectedTogether;
  if (rows == 0) rows = kProjectedTogether;
  if (rows > x.n) rows = x.n;
  if (!call.scratch) return own + rows * each;
  float *matrix = reinterpret_cast<float*>(call.scratch), *half = matrix + words * p.d, *products = half + words;
  uint8_t* paths = reinterpret_cast<uint8_t*>(products + rows * words);
  EMB_LAUNCH((transpose_words), blocks_for(p.d, kTile) * blocks_for(words, kTile), kBlock, 0, call.stream, p.codebooks,
             words, p.d, matrix);
  EMB_LAUNCH((halve_squares), blocks_for(16 * words, kBlock), kBlock, 0, call.stream, p.codebooks, words, p.d, half);
  check(cudaGetLastError());
  Rq prepared = p;
  prepared.half = half;
  const size_t shared = static_cast<size_t>(kBeamWarps * (8 * most_keys(p) + 4 * p.beam));
  for (int64_t first = 0; first < x.n; first += rows) {
    Rows part = x;
    part.data += first * x.row_stride;
    part.n = x.n - first < rows ? x.n - first : rows;
    Call rest = call;
    rest.first += first;
    project(part, {matrix, nullptr, p.d, words}, products, rest);
    EMB_LAUNCH((follow_paths), blocks_for(part.n, kBeamWarps), 32 * kBeamWarps, shared, call.stream, prepared, products,
               part.n, paths, CodesOut{out.data + first * out.stride, out.stride});
    check(cudaGetLastError());
  }
  return 0;
}

int64_t rq_decode(const Codes& codes, const Rq& p, float* out, const Call& call) {
  if (codes.n == 0) return 0;
  if (p.d % 4 == 0 && aligned<float4>(p.codebooks) && aligned<float4>(out))
    launch_decode_rq<float4>(codes, p, out, call);
  else
    launch_decode_rq<float>(codes, p, out, call);
  check(cudaGetLastError());
  return 0;
}

}  // namespace cuda
}  // namespace embcodec
