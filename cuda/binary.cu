// One bit a dimension: thresholding, decoding to two values, search by Hamming distance and by float queries.
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

struct BitsCoder {
  const float* threshold;
  bool msb;
  static constexpr int bits = 1;
  struct Eight {
    float threshold[8];
    bool msb;
    __device__ uint64_t word(const float (&values)[8], int count) const {
      const uint64_t word = pack8(count, bits, [&](int i) -> uint32_t { return values[i] > threshold[i]; });
      return msb ? reverse_bits_in_bytes(word) : word;
    }
  };
  __device__ Eight eight(int64_t j, int count) const {
    Eight e = {{}, msb};
    load_floats(threshold + j, count, e.threshold);
    return e;
  }
};

struct BitsSource : CodeSource {
  BitsParams p;
  BitsSource(const Codes& codes, const BitsParams& p) : CodeSource{codes, p.d, 1}, p(p) {}
  __device__ bool aligned() const { return cuda::aligned<float4>(p.low) && cuda::aligned<float4>(p.high); }
  __device__ float value(int64_t row, int64_t j) const {
    const int64_t bit = p.msb ? 7 - j % 8 : j % 8;
    return from.data[row * from.stride + j / 8] >> bit & 1 ? p.high[j] : p.low[j];
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row*, const float*, int64_t j, int count, float (*x)[8]) const {
    float low[8], high[8];
    load_eight<ALL>(p.low + j, count, low);
    load_eight<ALL>(p.high + j, count, high);
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      const uint32_t byte = static_cast<uint32_t>(p.msb ? reverse_bits_in_bytes(raw[r]) : raw[r]);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = byte >> i & 1 ? high[i] : low[i];
    }
  }
  struct Four {
    Window window;
    bool msb;
    float low[4], high[4];
    __device__ void values(uint32_t word, int64_t, float (&to)[4]) const {
      const uint32_t lsb = msb ? static_cast<uint32_t>(reverse_bits_in_bytes(word)) : word;
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] = window.code(lsb, i, 1) ? high[i] : low[i];
    }
  };
  __device__ Four four(int64_t j, int count) const {
    Four f = {window_of(j, count, 1), p.msb, {}, {}};
    load_floats(p.low + j, count, f.low);
    load_floats(p.high + j, count, f.high);
    return f;
  }
};

// A thread a row, which it reads once for up to this many queries.
constexpr int kHammingQueries = 8;

__device__ inline uint64_t word_at(const uint8_t* p, int64_t bytes) {
  return bytes >= 8 && aligned<uint64_t>(p) ? *reinterpret_cast<const uint64_t*>(p)
                                            : load_word(p, bytes < 8 ? bytes : 8);
}

__global__ void score_hamming(Codes codes, Codes wanted, int64_t bytes, Group group) {
  const int64_t row = group.rows.begin + thread_number(), first = static_cast<int64_t>(blockIdx.y) * kHammingQueries;
  if (!group.allowed(row)) return;
  int64_t different[kHammingQueries] = {};
  const uint8_t* code = codes.data + row * codes.stride;
  EMB_ROLLED for (int64_t j = 0; j < bytes; j += 8) {
    const uint64_t word = word_at(code + j, bytes - j);
    EMB_UNROLL for (int q = 0; q < kHammingQueries; ++q) {
      if (first + q >= group.count) continue;
      const uint8_t* query = wanted.data + (group.first + first + q) * wanted.stride;
      different[q] += __builtin_popcountll(word ^ word_at(query + j, bytes - j));
    }
  }
  EMB_UNROLL for (int q = 0; q < kHammingQueries; ++q) if (first + q < group.count)
      offer(group, first + q, -static_cast<float>(different[q]), row);
}

}  // namespace

int64_t bits_encode(const Rows& x, const float* threshold, bool msb, CodesOut out, const Call& call) {
  return launch_encode(x, BitsCoder{threshold, msb}, out, call);
}

int64_t bits_decode(const Codes& codes, const BitsParams& p, float* out, const Call& call) {
  return launch_decode(BitsSource{codes, p}, codes.n, p.d, out, call);
}

int64_t bits_topk(const Codes& codes, const BitsParams& p, const Search& search, const Call& call) {
  return search_source(BitsSource{codes, p}, codes.n, search, call);
}

int64_t hamming_topk(const Codes& codes, const Codes& wanted, int64_t bytes, const Search& search, const Call& call) {
  return search_rows(codes.n, search, call, [&](const Group& group) {
    const dim3 grid(blocks_for(group.rows.end - group.rows.begin, kBlock), blocks_for(group.count, kHammingQueries));
    EMB_LAUNCH((score_hamming), grid, kBlock, 0, call.stream, codes, wanted, bytes, group);
    check(cudaGetLastError());
  });
}

}  // namespace cuda
}  // namespace embcodec
