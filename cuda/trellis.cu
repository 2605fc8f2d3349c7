// Trellis-coded quantization over the bit-shift trellis: Viterbi's algorithm by a warp a row, decoding, and the scan.
#include "../cpp/row/scalar.h"
#include "../cpp/row/trellis.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kWarps = 4;                     // of a block; a row each
constexpr int64_t kMostBlocks = 1024;         // more rows take turns
constexpr int kChoices = kTrellisStates / 2;  // a step decides among at most this many groups

// Where a component's window begins, in bits, and its codebook: 16 * bit + book. kNoBook: it is not coded.
constexpr uint32_t kNoBook = 15;

__global__ void trellis_places(TrellisParams p, uint32_t* places) {
  const int64_t j = thread_number();
  if (j >= p.d) return;
  places[j] = kNoBook;
  for (int i = 0; i < p.segments; ++i) {
    const TrellisSegment& s = p.segment[i];
    const int64_t at = j - s.begin;
    if (at < 0 || at >= s.count) continue;
    const bool pair = s.rate == 1;
    const int64_t bit = 8 * s.byte + (pair ? at / 2 : at * trellis_shift(s.rate));
    places[j] = static_cast<uint32_t>(16 * bit + trellis_book(s.rate) + (pair ? at % 2 : 0));
  }
}

struct TrellisSource {
  static constexpr bool kMayBeBad = false, kStaged = true;
  static constexpr int kBeyond = 1, kTable = kTrellisBooks * kTrellisStates, kBlocks = 1;
  using Raw = uint64_t;
  Codes from;
  TrellisParams p;
  Coarse coarse;
  const uint32_t* places;
  struct Row {
    float factor;
    const float* centroid;
  };
  __device__ Codes codes() const { return from; }
  __device__ int64_t d() const { return p.d; }
  __device__ int64_t place(int64_t j) const { return j < p.d && places[j] % 16 != kNoBook ? places[j] / 128 : p.bytes; }
  __device__ Row at(int64_t row) const {
    return {p.factors ? p.factors[from.data[row * from.stride + p.bytes]] : 1.0f,
            coarse.count ? coarse.centroids + coarse.of(row) * p.d : nullptr};
  }
  __device__ void fill(float* table) const {
    for (unsigned i = threadIdx.x; i < kTable; i += blockDim.x)
      table[i] =
          static_cast<float>(trellis_level(p.codebooks + i / kTrellisStates * kTrellisLevels, i % kTrellisStates));
  }
  __device__ float value(int64_t row, int64_t j) const {
    const uint32_t place = places[j], book = place % 16;
    const uint8_t* code = from.data + row * from.stride;
    float x = 0.0f;
    if (book != kNoBook) {
      const uint32_t byte = place / 128, bit = place / 16 % 8;
      const uint32_t next = byte + 1 < p.bytes ? code[byte + 1] : 0;  // behind the string lie zeros
      const uint32_t window = (code[byte] | next << 8) >> bit & 255;
      x = static_cast<float>(trellis_level(p.codebooks + kTrellisLevels * book, window)) * p.step[j];
      if (p.factors) x *= p.factors[code[p.bytes]];
    }
    return coarse.count ? x + coarse.centroids[coarse.of(row) * p.d + j] : x;
  }
  // The bits of eight components begin within a byte and take at most six more, and their last window two.
  template <class Read>
  __device__ Raw raw(const Read& read, int64_t, int64_t j, int) const {
    const uint32_t place = places[j];
    if (place % 16 == kNoBook) return 0;
    const int64_t byte = place / 128, left = p.bytes - byte;
    return (left < 8 ? read(byte, static_cast<int>(left)) : read(byte, 8)) >> place / 16 % 8;
  }
  // Components SHIFT bits apart, or pairs of them, whose two levels lie in books of their own.
  template <int SHIFT, bool PAIRS>
  __device__ void levels(uint64_t bits, const float* book, float* x) const {
    EMB_UNROLL for (int i = 0; i < 8; ++i) {
      const int at = (PAIRS ? i / 2 : i) * SHIFT;
      const uint32_t window = static_cast<uint32_t>(at < 2 ? bits << (2 - at) : bits >> (at - 2)) & 1020;  // times 4
      x[i] = *reinterpret_cast<const float*>(reinterpret_cast<const char*>(book + i % 2 * PAIRS * kTrellisStates) +
                                             window);
    }
  }
  __device__ bool aligned() const {
    return cuda::aligned<float4>(p.step) && p.d % 4 == 0 && cuda::aligned<float4>(coarse.centroids);
  }
  template <bool ALL>
  __device__ void decode(Raw raw, const Row& at, const float* table, int64_t j, int count, float* x) const {
    const uint32_t number = places[j] % 16;
    const float* book = table + kTrellisStates * number;
    float v[8];
    switch (number) {
      case 0:
        levels<1, true>(raw, book, x);
        break;
      case 2:
        levels<1, false>(raw, book, x);
        break;
      case 3:
        levels<2, false>(raw, book, x);
        break;
      case 4:
        levels<3, false>(raw, book, x);
        break;
      case 5:
        levels<4, false>(raw, book, x);
        break;
      case 6:
        levels<5, false>(raw, book, x);
        break;
      case 7:
        levels<6, false>(raw, book, x);
        break;
      default:
        EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = 0.0f;
    }
    if (number != kNoBook) {
      load_eight<ALL>(p.step + j, count, v);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] *= v[i];
      if (p.factors) EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] *= at.factor;
    }
    if (!coarse.count) return;
    load_eight<ALL>(at.centroid + j, count, v);
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] += v[i];
  }
};

// Rows decoded as a whole, without centroids.
struct TrellisRows {
  Codes from;
  TrellisParams p;
  __device__ Codes codes() const { return from; }
  struct Four {
    Window window;
    int step_bits;  // from a window, or a pair's, to the next
    bool pair, coded;
    const float* levels;  // of the 256 windows of a book, the second of a pair behind the first
    float step[4];
    const float* factors;
    const uint8_t* chosen;  // the first row's factor
    int64_t stride;
    __device__ void values(uint32_t word, int64_t row, float (&to)[4]) const {
      if (!coded) return;
      EMB_UNROLL for (int i = 0; i < 4; ++i) {
        const int number = pair ? i / 2 : i;
        const uint32_t at = word >> (window.shift + number * step_bits) & (kTrellisStates - 1);
        to[i] = levels[pair && i % 2 ? kTrellisStates + at : at] * step[i];
      }
      if (!factors) return;
      const float factor = factors[chosen[row * stride]];
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] *= factor;
    }
  };
  // Segments begin with a unit, so that four components are of one; their windows lie within 32 bits.
  __device__ Four four(int64_t j, int count) const {
    EMB_SHARED(float, levels, [kTrellisBooks * kTrellisStates]);
    Four f = {};
    for (int i = 0; i < p.segments; ++i) {
      const TrellisSegment& s = p.segment[i];
      const bool pair = s.rate == 1;
      const int shift = trellis_shift(s.rate), first = trellis_book(s.rate) * kTrellisStates;
      const int end = first + (pair ? 2 : 1) * kTrellisStates;
      for (int k = first + static_cast<int>(threadIdx.x); k < end; k += static_cast<int>(blockDim.x))
        levels[k] = static_cast<float>(trellis_level(p.codebooks + k / kTrellisStates * kTrellisLevels,
                                                     static_cast<uint32_t>(k % kTrellisStates)));
      if (j < s.begin || j >= s.begin + s.count) continue;
      const int64_t bit = 8 * s.byte + ((j - s.begin) >> (pair ? 1 : 0)) * shift, left = p.bytes - bit / 8;
      const int bits = (pair ? 1 : 3) * shift + 8 + static_cast<int>(bit % 8), bytes = (bits + 7) / 8;
      f.window = {bit / 8, static_cast<int>(left < bytes ? left : bytes), static_cast<int>(bit % 8)};
      f.step_bits = shift;
      f.pair = pair;
      f.coded = true;
      f.levels = levels + first;
    }
    __syncthreads();
    load_floats(p.step + j, count, f.step);
    f.factors = p.factors;
    f.chosen = from.data + p.bytes;
    f.stride = from.stride;
    return f;
  }
};

// Steps of the trellis from the last to the first, as the encoder takes them.
struct Step {
  int64_t j;  // its first component
  int rate;
  __device__ bool pair() const { return rate == 1; }
  __device__ int shift() const { return trellis_shift(rate); }
};

__device__ inline Step step_before(const TrellisParams& p, int64_t end) {
  int i = p.segments - 1;
  while (p.segment[i].begin >= end) --i;
  const int rate = p.segment[i].rate;
  return {end - (rate == 1 ? 2 : 1), rate};
}

// What the 2^shift windows behind each group cost at least, and the first of them that costs it.
__device__ inline void least_costs(const float* cost, int shift, float* least, uint8_t* choice) {
  const int groups = kTrellisStates >> shift;
  for (int t = static_cast<int>(threadIdx.x % 32); t < groups; t += 32) {
    float low = cost[t];
    int which = 0;
    for (int b = 1; b < 1 << shift; ++b) {
      const float other = cost[t + b * groups];
      if (!(other < low)) continue;
      low = other;
      which = b;
    }
    least[t] = low;
    choice[t] = static_cast<uint8_t>(which);
  }
}

__device__ inline float weighted_error(float x, float weight, float level) {
  const float t = x - level;
  return weight * (t * t);
}

// A component in units of its step, and its weight.
struct Scaled {
  float x, weight;
};
__device__ inline Scaled scaled(const Rows& x, const TrellisParams& p, int64_t row, int64_t j) {
  return {element(x, row, j) * inverse_step(p.step[j]), p.weight[j]};
}

__device__ inline void extend(const Rows& x, const TrellisParams& p, int64_t row, const Step& step, const float* levels,
                              const float* least, float* cost) {
  const Scaled first = scaled(x, p, row, step.j), second = scaled(x, p, row, step.j + step.pair());
  const float* book = levels + kTrellisStates * trellis_book(step.rate);
  for (int s = static_cast<int>(threadIdx.x % 32); s < kTrellisStates; s += 32) {
    float error = weighted_error(first.x, first.weight, book[s]);
    if (step.pair()) error += weighted_error(second.x, second.weight, book[kTrellisStates + s]);
    cost[s] = least[s >> step.shift()] + error;
  }
}

// The first of the states that cost least; for every lane.
__device__ inline int lowest_state(const float* cost) {
  int best = static_cast<int>(threadIdx.x % 32);
  float low = cost[best];
  for (int s = best + 32; s < kTrellisStates; s += 32) {
    if (!(cost[s] < low)) continue;
    low = cost[s];
    best = s;
  }
  for (int width = 16; width > 0; width /= 2) {
    const float other = __shfl_xor_sync(kAllLanes, low, width);
    const int state = __shfl_xor_sync(kAllLanes, best, width);
    if (other > low || (other == low && state > best)) continue;
    low = other;
    best = state;
  }
  return best;
}

// One lane: from the first window to the last, the bits that each adds to the row's string.
__device__ inline void write_path(const TrellisParams& p, const uint8_t* choices, int state, uint8_t* out) {
  uint64_t bits = 0;
  int held = 0;
  for (int i = 0; i < p.segments; ++i) {
    const TrellisSegment& s = p.segment[i];
    const int shift = trellis_shift(s.rate);
    for (int64_t j = s.begin; j < s.begin + s.count; j += s.rate == 1 ? 2 : 1) {
      const int group = state >> shift;
      bits |= static_cast<uint64_t>(state & ((1 << shift) - 1)) << held;
      for (held += shift; held >= 8; held -= 8, bits >>= 8) *out++ = static_cast<uint8_t>(bits);
      state = group + choices[j * kChoices + group] * (kTrellisStates >> shift);
    }
  }
  if (held) *out = static_cast<uint8_t>(bits);
}

// A warp a row. `choices`: (warps, coded, kChoices).
__global__ void encode_trellis(Rows x, TrellisParams p, CodesOut out, uint8_t* choices, Call call) {
  EMB_SHARED(float, levels, [kTrellisBooks * kTrellisStates]);
  EMB_SHARED(float, costs, [kWarps][kTrellisStates]);
  EMB_SHARED(float, leasts, [kWarps][kChoices]);
  for (unsigned i = threadIdx.x; i < kTrellisBooks * kTrellisStates; i += blockDim.x)
    levels[i] =
        static_cast<float>(trellis_level(p.codebooks + i / kTrellisStates * kTrellisLevels, i % kTrellisStates));
  __syncthreads();
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
  float *cost = costs[warp], *least = leasts[warp];
  uint8_t* mine = choices + number * p.coded * kChoices;
  for (int64_t row = number; row < x.n; row += static_cast<int64_t>(gridDim.x) * kWarps) {
    for (int64_t j = lane; j < x.d; j += 32) {
      const float v = element(x, row, j);
      if (!(v - v == 0.0f)) refuse(call, row);
    }
    for (int s = lane; s < kTrellisStates; s += 32) cost[s] = s ? __builtin_inff() : 0.0f;  // zeros beyond the string
    __syncwarp(kAllLanes);
    for (int64_t end = p.coded; end > 0;) {
      const Step step = step_before(p, end);
      end = step.j;
      least_costs(cost, step.shift(), least, mine + step.j * kChoices);
      __syncwarp(kAllLanes);
      extend(x, p, row, step, levels, least, cost);
      __syncwarp(kAllLanes);
    }
    const int state = lowest_state(cost);
    if (lane == 0) write_path(p, mine, state, out.data + row * out.stride);
    __syncwarp(kAllLanes);  // before the next row's choices
  }
}

int64_t places_bytes(const TrellisParams& p) { return (4 * p.d + 255) / 256 * 256; }

TrellisSource source_of(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Call& call) {
  uint32_t* places = reinterpret_cast<uint32_t*>(call.scratch);
  EMB_LAUNCH((trellis_places), blocks_for(p.d, kBlock), kBlock, 0, call.stream, p, places);
  check(cudaGetLastError());
  return {codes, p, coarse, places};
}

}  // namespace

int64_t trellis_encode(const Rows& x, const TrellisParams& p, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  const int64_t wanted = (x.n + kWarps - 1) / kWarps, blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
  if (!call.scratch) return blocks * kWarps * p.coded * kChoices;
  EMB_LAUNCH((encode_trellis), static_cast<unsigned>(blocks), 32 * kWarps, 0, call.stream, x, p, out,
             reinterpret_cast<uint8_t*>(call.scratch), call);
  check(cudaGetLastError());
  return 0;
}

int64_t trellis_decode(const Codes& codes, const TrellisParams& p, float* out, const Call& call) {
  if (codes.n == 0) return 0;
  return launch_decode(TrellisRows{codes, p}, codes.n, p.d, out, call);
}

int64_t trellis_topk(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Search& search,
                     const Call& call) {
  if (search.nq == 0) return 0;
  Call rest = call;
  rest.scratch = call.scratch ? call.scratch + places_bytes(p) : nullptr;
  const TrellisSource source = call.scratch ? source_of(codes, p, coarse, call) : TrellisSource{};
  const int64_t needed = search_source(source, codes.n, search, rest);
  return needed ? needed + places_bytes(p) : 0;
}

}  // namespace cuda
}  // namespace embcodec
