// Quantization to levels that all dimensions share.
#include "../cpp/row/levels.h"
#include "../cpp/row/scalar.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kMostLevels = 256;

struct LevelsCoder {
  LevelsParams p;
  int bits;
  struct Eight {
    const float* tree;
    float inverse[8];
    int bits;
    // The comparisons of level_code, one step of all eight values at a time: the sign of a difference, which is shifted
    // into the node.
    __device__ uint64_t word(const float (&values)[8], int count) const {
      float x[8];
      uint32_t node[8];
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = values[i] * inverse[i], node[i] = 1;
      EMB_ROLLED for (int step = 0; step < bits; ++step) EMB_UNROLL for (int i = 0; i < 8; ++i) node[i] =
          node[i] << 1 | bits_of_f32(tree[node[i]] - x[i]) >> 31;
      return pack8(count, bits, [&](int i) { return node[i] - (1u << bits); });
    }
  };
  // The midpoints as a heap: below node k, which the levels of `width` codes are divided by, lie 2 k and 2 k + 1. Those
  // of a step are side by side, in banks of their own but for the last steps of 7 and 8 bits.
  __device__ Eight eight(int64_t j, int count) const {
    EMB_SHARED(float, tree, [kMostLevels]);
    for (int k = static_cast<int>(threadIdx.x); k < 1 << bits; k += static_cast<int>(blockDim.x)) {
      if (k == 0) continue;
      const int depth = 31 - __clz(k), width = 1 << (bits - depth);
      const int middle = (k - (1 << depth)) * width + width / 2;
      tree[k] = level_midpoint(p.levels[middle - 1], p.levels[middle]);
    }
    __syncthreads();
    Eight e = {tree, {}, bits};
    load_floats(p.step + j, count, e.inverse);
    EMB_UNROLL for (int i = 0; i < 8; ++i) e.inverse[i] = inverse_step(e.inverse[i]);
    return e;
  }
};

// Rows of `width` dimensions; beyond those of the codes they are their centroids.
struct LevelsSource : CodeSource {
  static constexpr int kTable = 256;
  LevelsParams p;
  RowExtras extras;
  int64_t width;
  LevelsSource(const Codes& codes, const LevelsParams& p, const RowExtras& extras, int64_t width)
      : CodeSource{codes, p.d, p.bits}, p(p), extras(extras), width(width) {}
  struct Row {
    CodeRow code;
    float factor, shift;
    const float* centroid;
  };
  __device__ bool readable(const Row& at) const { return at.code.code; }
  __device__ Row at(int64_t row) const {
    return {CodeSource::at(row), extras.factor.data ? extras.factor.at(row) : 1.0f,
            extras.shift.data ? extras.shift.at(row) : 0.0f,
            extras.coarse.count ? extras.coarse.centroids + extras.coarse.of(row) * width : nullptr};
  }
  __device__ void fill(float* table) const {
    for (unsigned i = threadIdx.x; i < 1u << p.bits; i += blockDim.x) table[i] = p.levels[i];
  }
  __device__ bool aligned() const {
    return cuda::aligned<float4>(p.step) && cuda::aligned<float4>(extras.direction) && p.d % 4 == 0 && width == p.d &&
           cuda::aligned<float4>(extras.coarse.centroids);
  }
  __device__ float value(int64_t row, int64_t j) const {
    const Row mine = at(row);
    if (j >= p.d) return mine.centroid[j];
    float x = p.levels[code_at(from.data + row * from.stride, j, p.bits)] * p.step[j];
    if (extras.shift.data) x += mine.shift * extras.direction[j];
    if (extras.factor.data) x *= mine.factor;
    return mine.centroid ? x + mine.centroid[j] : x;
  }
  __device__ int coded(int64_t j, int count) const {
    return j + count <= p.d ? count : j < p.d ? static_cast<int>(p.d - j) : 0;
  }
  __device__ Raw raw(const Row& at, int64_t j, int count) const {
    count = coded(j, count);
    return count ? CodeSource::raw(at.code, j, count) : 0;
  }
  template <bool ALL, int R>
  __device__ void decode(const Raw* raw, const Row* at, const float* table, int64_t j, int count, float (*x)[8]) const {
    const int own = ALL ? count : coded(j, count);
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      if (bits == 4) {  // in bytes of the table, four codes at a time
        const uint32_t four[2] = {static_cast<uint32_t>(raw[r] << 2) & 0x3c3c3c3cu,
                                  static_cast<uint32_t>(raw[r] >> 2) & 0x3c3c3c3cu};
        EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] =
            *reinterpret_cast<const float*>(reinterpret_cast<const char*>(table) + byte_of(four[i % 2], i / 2, 0));
      } else {
        uint32_t codes[8];
        codes_of(raw[r], bits, codes);
        EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] = table[codes[i]];
      }
    }
    float v[8];
    load_eight<ALL>(p.step + j, own, v);
    EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] *= v[i];
    if (extras.shift.data) {
      load_eight<ALL>(extras.direction + j, own, v);
      EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] += at[r].shift * v[i];
    }
    if (extras.factor.data)
      EMB_UNROLL for (int r = 0; r < R; ++r) EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] *= at[r].factor;
    if (!extras.coarse.count) return;
    EMB_UNROLL for (int r = 0; r < R; ++r) {
      load_eight<ALL>(at[r].centroid + j, count, v);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[r][i] += v[i];
    }
  }
  // Levels and steps alone, in which `extras` have no part.
  struct Four {
    Window window;
    int bits;
    const float* levels;
    float step[4];
    __device__ void values(uint32_t word, int64_t, float (&to)[4]) const {
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] = levels[window.code(word, i, bits)] * step[i];
    }
  };
  __device__ Four four(int64_t j, int count) const {
    EMB_SHARED(float, levels, [kMostLevels]);
    for (int i = static_cast<int>(threadIdx.x); i < 1 << p.bits; i += static_cast<int>(blockDim.x))
      levels[i] = p.levels[i];
    __syncthreads();
    Four f = {window_of(j, count, p.bits), p.bits, levels, {}};
    load_floats(p.step + j, count, f.step);
    return f;
  }
};

}  // namespace

int64_t levels_encode(const Rows& x, const LevelsParams& p, CodesOut out, const Call& call) {
  return launch_encode(x, LevelsCoder{p, p.bits}, out, call);
}

int64_t levels_decode(const Codes& codes, const LevelsParams& p, float* out, const Call& call) {
  return launch_decode(LevelsSource{codes, p, {}, p.d}, codes.n, p.d, out, call);
}

int64_t levels_topk(const Codes& codes, const LevelsParams& p, const RowExtras& extras, const Search& search,
                    const Call& call) {
  return search_source(LevelsSource{codes, p, extras, search.d}, codes.n, search, call);
}

}  // namespace cuda
}  // namespace embcodec
