// Trellis-coded quantization over the bit-shift trellis: Viterbi's algorithm by a warp a row, decoding, and the scan.
#include "../cpp/row/scalar.h"
#include "../cpp/row/trellis.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kSlots = kTrellisStates / 32;  // states of a lane: its number + 32 i
constexpr int kNote = 4;                     // words in which an encoder notes the choices of a component's window
constexpr int kMostWarps = 8;                // of a block that encodes; a row each
constexpr int64_t kMostBlocks = 1024;        // where notes are in global memory; more rows take turns

// A component in units of its step, and its weight.
struct alignas(8) Scaled {
  float x, weight;
};

// Bytes of notes that a block may have: every GPU we build for gives it 99 KB.
constexpr int64_t kSharedNotes = (99 << 10) - kMostWarps * (32 * sizeof(Scaled) + sizeof(int));

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
  static constexpr bool kMayBeBad = false;
  static constexpr int kTable = kTrellisBooks * kTrellisStates, kBlocks = 1;
  using Raw = uint64_t;
  Codes from;
  TrellisParams p;
  Coarse coarse;
  const uint32_t* places;
  struct Row {
    CodeRow code;
    float factor;
    int64_t row;
  };
  __device__ bool readable(const Row& at) const { return at.code.code; }
  __device__ Row at(int64_t row) const {
    return {row_of(from, p.bytes, row), p.factors ? p.factors[from.data[row * from.stride + p.bytes]] : 1.0f, row};
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
    for (int s = 0; coarse.count && s < coarse.stages; ++s) x += coarse.row(row, p.d, s)[j];
    return x;
  }
  // The windows of eight components, the first one's from the lowest bit on.
  __device__ Raw raw(const Row& at, int64_t j, int) const {
    const uint32_t place = places[j];
    if (place % 16 == kNoBook) return 0;
    const int book = static_cast<int>(place % 16), first = static_cast<int>(place / 16);
    const int bits = (book < 2 ? 3 : 7 * (book - 1)) + 8;  // from the first window's to the last one's
    const int left = 8 * static_cast<int>(p.bytes) - first;
    const uint64_t windows = at.code.bits(first, left < bits ? left : bits);
    return left < bits ? windows & ((uint64_t{1} << left) - 1) : windows;  // behind the string lie zeros
  }
  // Components SHIFT bits apart, or pairs of them, whose two levels lie in books of their own.
  template <int SHIFT, bool PAIRS, int R>
  __device__ void levels(const Raw* raw, const float* book, float (*x)[8]) const {
    EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) {
      const int at = (PAIRS ? i / 2 : i) * SHIFT;
      const uint32_t window =
          static_cast<uint32_t>(at < 2 ? raw[r] << (2 - at) : raw[r] >> (at - 2)) & 1020;  // times 4
      x[r][i] = *reinterpret_cast<const float*>(reinterpret_cast<const char*>(book + i % 2 * PAIRS * kTrellisStates) +
                                                window);
    }
  }
  __device__ bool aligned() const {
    return cuda::aligned<float4>(p.step) && p.d % 4 == 0 && cuda::aligned<float4>(coarse.centroids);
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row* at, const float* table, int64_t j, int count, float (*x)[8]) const {
    const uint32_t number = places[j] % 16;
    float v[8];
    switch (number) {
      case 0:
        levels<1, true, R>(raw, table + 0 * kTrellisStates, x);
        break;
      case 2:
        levels<1, false, R>(raw, table + 2 * kTrellisStates, x);
        break;
      case 3:
        levels<2, false, R>(raw, table + 3 * kTrellisStates, x);
        break;
      case 4:
        levels<3, false, R>(raw, table + 4 * kTrellisStates, x);
        break;
      case 5:
        levels<4, false, R>(raw, table + 5 * kTrellisStates, x);
        break;
      case 6:
        levels<5, false, R>(raw, table + 6 * kTrellisStates, x);
        break;
      case 7:
        levels<6, false, R>(raw, table + 7 * kTrellisStates, x);
        break;
      default:
        EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = 0.0f;
    }
    if (number != kNoBook) {
      load_eight<ALL>(p.step + j, count, v);
      EMB_UNROLL for (int r = 0; r < R; ++r) {
        EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] *= v[i];
        if (p.factors) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] *= at[r].factor;
      }
    }
    if (!coarse.count) return;
    EMB_ROLLED for (int s = 0; s < coarse.stages; ++s) EMB_UNROLL for (int r = 0; r < R; ++r) {
      load_eight<ALL>(coarse.row(at[r].row, p.d, s) + j, count, v);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] += v[i];
    }
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

// Viterbi's algorithm, from the last window of a row to the first. The 2^shift windows that can follow a window w are
// (w >> shift) + b * groups, groups = 256 >> shift: group w >> shift. A lane holds the costs of states lane + 32 i, as
// integers: none is below zero, so that they compare as floats do.

// The least of 2^BITS costs, STRIDE slots apart, and the bits of the first number that has it: a word for each bit, in
// which each lane has its own.
template <int BITS, int STRIDE>
__device__ inline int32_t first_least(const int32_t* cost, uint32_t* bits) {
  if constexpr (BITS == 0) {
    return *cost;
  } else {
    uint32_t upper[BITS];
    const int32_t low = first_least<BITS - 1, STRIDE>(cost, bits);
    const int32_t other = first_least<BITS - 1, STRIDE>(cost + (STRIDE << (BITS - 1)), upper);
    const uint32_t better = __ballot_sync(kAllLanes, other < low);
    EMB_UNROLL for (int i = 0; i < BITS - 1; ++i) bits[i] = (better & upper[i]) | (~better & bits[i]);
    bits[BITS - 1] = better;
    return other < low ? other : low;
  }
}

// The least of the lanes that are equal modulo `apart`, the lowest number where costs are equal: cost << 32 | number.
__device__ inline int64_t least_of_lanes(int32_t cost, uint32_t number, int apart) {
  int64_t key = static_cast<int64_t>(static_cast<uint64_t>(cost) << 32 | number);
  for (int width = 16; width >= apart; width /= 2) {
    const int64_t other = __shfl_xor_sync(kAllLanes, key, width);
    key = other < key ? other : key;
  }
  return key;
}

// The least cost of a lane's own states, and the lowest slot that has it.
__device__ inline int32_t least_of_slots(const int32_t (&cost)[kSlots], uint32_t& slot) {
  uint32_t bits[3];
  const int32_t low = first_least<3, 1>(cost, bits);
  const unsigned lane = threadIdx.x % 32;
  slot = (bits[0] >> lane & 1) | (bits[1] >> lane & 1) << 1 | (bits[2] >> lane & 1) << 2;
  return low;
}

// The least cost of group t: least[t / 32] of lane t % 32, and of all lanes that are equal to t modulo the groups. A
// note has its b: each of up to three bits as 32 lanes of all `least`; more of them in a byte for each group.
template <int SHIFT>
__device__ inline void least_costs(const int32_t (&cost)[kSlots], int32_t (&least)[kSlots], uint32_t* note) {
  constexpr int kGroups = kTrellisStates >> SHIFT, kOwn = kSlots >> SHIFT;
  const unsigned lane = threadIdx.x % 32;
  if constexpr (SHIFT <= 3) {
    uint32_t words[kNote] = {};
    EMB_UNROLL for (int k = 0; k < kOwn; ++k) {
      uint32_t bits[SHIFT];
      least[k] = first_least<SHIFT, kOwn>(cost + k, bits);
      EMB_UNROLL for (int i = 0; i < SHIFT; ++i) words[i * kOwn + k] = bits[i];
    }
    const uint4 four = {words[0], words[1], words[2], words[3]};
    if (lane == 0) *reinterpret_cast<uint4*>(note) = four;
  } else {
    uint32_t slot;
    const int32_t low = least_of_slots(cost, slot);
    const int64_t best = least_of_lanes(low, slot << (SHIFT - 3) | lane / kGroups, kGroups);
    least[0] = static_cast<int32_t>(best >> 32);
    if (lane < kGroups) reinterpret_cast<uint8_t*>(note)[lane] = static_cast<uint8_t>(best);
  }
}

// The window that follows `state`. What is loaded does not depend on it up to three bits, so that no load waits for
// another.
template <int SHIFT>
__device__ inline int next_window(int state, const uint32_t* note) {
  const int group = state >> SHIFT;
  int b = 0;
  if constexpr (SHIFT <= 3) {
    constexpr int kOwn = kSlots >> SHIFT;
    const uint4 four = *reinterpret_cast<const uint4*>(note);
    const uint32_t words[kNote] = {four.x, four.y, four.z, four.w};
    EMB_UNROLL for (int i = 0; i < SHIFT; ++i) {
      uint64_t lanes = words[i * kOwn];
      if constexpr (kOwn > 1) lanes |= static_cast<uint64_t>(words[i * kOwn + 1]) << 32;
      if constexpr (kOwn == 4) lanes = group < 64 ? lanes : static_cast<uint64_t>(words[3]) << 32 | words[2];
      b |= static_cast<int>(lanes >> (group % 64) & 1) << i;
    }
  } else {
    b = reinterpret_cast<const uint8_t*>(note)[group];
  }
  return group + b * (kTrellisStates >> SHIFT);
}

__device__ inline float weighted_error(const Scaled& at, float level) {
  const float t = at.x - level;
  return at.weight * (t * t);
}

// The windows of `count` components.
template <int SHIFT, int WIDTH>
__device__ inline void extend(const Scaled* scaled, int count, const float (&levels)[2][kSlots],
                              int32_t (&cost)[kSlots], uint32_t* notes) {
  const unsigned lane = threadIdx.x % 32;
  EMB_UNROLL_4 for (int j = count - WIDTH; j >= 0; j -= WIDTH) {
    const Scaled first = scaled[j], second = scaled[j + WIDTH - 1];  // before a store, which they would wait for
    int32_t least[kSlots];
    least_costs<SHIFT>(cost, least, notes + kNote * j);
    EMB_UNROLL for (int i = 0; i < kSlots; ++i) {
      const int group = 32 * i >> SHIFT;  // of the slot's first state
      float error = weighted_error(first, levels[0][i]);
      if (WIDTH == 2) error += weighted_error(second, levels[1][i]);
      const int32_t low = __shfl_sync(kAllLanes, least[group / 32], (lane >> SHIFT) + group % 32);
      cost[i] = static_cast<int32_t>(bits_of_f32(f32_from_bits(static_cast<uint32_t>(low)) + error));
    }
  }
}

// call(window) with a rate's shift and width known to the compiler.
template <int SHIFT, int WIDTH>
struct TrellisStep {
  static constexpr int kShift = SHIFT, kWidth = WIDTH;
};
template <class Call>
__device__ inline void for_rate(int rate, const Call& call) {
  switch (rate) {
    case 1:
      return call(TrellisStep<1, 2>());
    case 2:
      return call(TrellisStep<1, 1>());
    case 4:
      return call(TrellisStep<2, 1>());
    case 6:
      return call(TrellisStep<3, 1>());
    case 8:
      return call(TrellisStep<4, 1>());
    case 10:
      return call(TrellisStep<5, 1>());
    default:
      return call(TrellisStep<6, 1>());
  }
}

// Notes a row's choices; returns its first window, for every lane.
__device__ inline int choose_windows(const Rows& x, const TrellisParams& p, int64_t row, Scaled* scaled,
                                     uint32_t* notes, const Call& call) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const auto finite = [&](int64_t j) {
    const float v = element(x, row, j);
    if (!(v - v == 0.0f)) refuse(call, row);
    return v;
  };
  for (int64_t j = p.coded; j < x.d; j += 32)  // as many turns for each lane: else the compiler takes them to be apart
    if (j + lane < x.d) finite(j + lane);
  int32_t cost[kSlots];
  for (int i = 0; i < kSlots; ++i)  // zeros beyond the string
    cost[i] = static_cast<int32_t>(bits_of_f32(i || lane ? __builtin_inff() : 0.0f));
  EMB_ROLLED for (int segment = p.segments - 1; segment >= 0; --segment) {
    const TrellisSegment& s = p.segment[segment];
    float levels[2][kSlots];
    const int8_t* book = p.codebooks + kTrellisLevels * trellis_book(s.rate);
    const int8_t* other = book + kTrellisLevels * (trellis_width(s.rate) - 1);
    EMB_UNROLL for (int i = 0; i < kSlots; ++i) {
      const uint32_t window = static_cast<uint32_t>(lane + 32 * i);
      levels[0][i] = static_cast<float>(trellis_level(book, window));
      levels[1][i] = static_cast<float>(trellis_level(other, window));
    }
    EMB_ROLLED for (int64_t end = s.begin + s.count; end > s.begin;) {
      const int count = static_cast<int>(end - s.begin < 32 ? end - s.begin : 32);
      end -= count;
      __syncwarp(kAllLanes);  // the components before these have been read
      if (lane < count) scaled[lane] = {finite(end + lane) * inverse_step(p.step[end + lane]), p.weight[end + lane]};
      __syncwarp(kAllLanes);
      for_rate(s.rate, [&](auto window) {
        extend<window.kShift, window.kWidth>(scaled, count, levels, cost, notes + kNote * end);
      });
    }
  }
  uint32_t slot;
  const int32_t low = least_of_slots(cost, slot);
  return static_cast<int>(least_of_lanes(low, 32 * slot + lane, 1) & (kTrellisStates - 1));
}

// Up to eight windows, from `state` on, which are SHIFT bytes of the row's string; returns the window that follows. Of
// a window all bits are written, since those behind its first SHIFT are the next windows' and zeros behind the last.
template <int SHIFT, int WIDTH>
__device__ inline int write_windows(int count, int state, const uint32_t* notes, uint8_t* out) {
  uint64_t bits = 0;
  EMB_UNROLL for (int i = 0; i < 8; ++i) {
    if (i >= count) break;
    bits |= static_cast<uint64_t>(state) << (i * SHIFT);
    state = next_window<SHIFT>(state, notes + kNote * WIDTH * i);
  }
  EMB_UNROLL for (int i = 0; i < SHIFT; ++i) if (8 * i < count * SHIFT) out[i] = static_cast<uint8_t>(bits >> (8 * i));
  return state;
}

// One thread: a row's string, from its first window to the last.
__device__ inline void write_path(const TrellisParams& p, const uint32_t* notes, int state, uint8_t* out) {
  EMB_ROLLED for (int i = 0; i < p.segments; ++i) {
    const TrellisSegment& s = p.segment[i];
    for_rate(s.rate, [&](auto window) {
      constexpr int kShift = window.kShift, kWidth = window.kWidth, kEight = 8 * kWidth;
      const uint32_t* note = notes + kNote * s.begin;
      uint8_t* to = out + s.byte;
      EMB_ROLLED for (int64_t left = s.count / kEight; left > 0; --left, note += kNote * kEight, to += kShift) {
        state = write_windows<kShift, kWidth>(8, state, note, to);
      }
      state = write_windows<kShift, kWidth>(static_cast<int>(s.count % kEight / kWidth), state, note, to);
    });
  }
}

// Words of a row's notes; rows of a block begin in different banks.
EMB_HD int64_t words_of_notes(const TrellisParams& p) { return kNote * (p.coded + 1); }

// A warp a row; then one warp writes the paths of all, since each is a chain of loads. Notes that are not SHARED are in
// `scratch`, those of all blocks.
template <bool SHARED>
__global__ void __launch_bounds__(32 * kMostWarps, SHARED ? 4 : 2)
    encode_trellis(Rows x, TrellisParams p, CodesOut out, uint32_t* scratch, Call call) {
  EMB_SHARED(Scaled, scaled, [kMostWarps][32]);
  EMB_SHARED(int, states, [kMostWarps]);
  EMB_DYN_SHARED(uint32_t, shared);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int64_t words = words_of_notes(p);
  uint32_t* notes = SHARED ? shared : scratch + blockIdx.x * warps * words;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * warps; first < x.n;
       first += static_cast<int64_t>(gridDim.x) * warps) {
    const int64_t row = first + warp < x.n ? first + warp : x.n - 1;  // the last one is encoded again
    const int state = choose_windows(x, p, row, scaled[warp], notes + warp * words, call);
    if (lane == 0) states[warp] = state;
    __syncthreads();
    // Not the same warp in each block: a scheduler has every fourth.
    if (warp == blockIdx.x % warps && lane < warps && first + lane < x.n)
      write_path(p, notes + lane * words, states[lane], out.data + (first + lane) * out.stride);
    __syncthreads();
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
  const int64_t each = 4 * words_of_notes(p);
  for (int64_t warps = kMostWarps; warps >= kMostWarps / 2; warps /= 2) {
    if (warps * each > kSharedNotes) continue;
    allow_dynamic_shared(encode_trellis<true>, warps * each);
    EMB_LAUNCH((encode_trellis<true>), blocks_for(x.n, warps), static_cast<unsigned>(32 * warps),
               static_cast<size_t>(warps * each), call.stream, x, p, out, nullptr, call);
    check(cudaGetLastError());
    return 0;
  }
  const int64_t wanted = blocks_for(x.n, kMostWarps), blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
  if (!call.scratch) return blocks * kMostWarps * each;
  EMB_LAUNCH((encode_trellis<false>), static_cast<unsigned>(blocks), 32 * kMostWarps, 0, call.stream, x, p, out,
             reinterpret_cast<uint32_t*>(call.scratch), call);
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
