// Quantization to levels that all dimensions share.
#include "../cpp/row/levels.h"
#include "../cpp/row/scalar.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

struct LevelsCoder {
  LevelsParams p;
  int bits;
  __device__ uint32_t operator()(float x, int64_t, int64_t j) const {
    return level_code(x * inverse_step(p.step[j]), p.levels, bits);
  }
  __device__ uint64_t finish(uint64_t word) const { return word; }
};

struct LevelsSource : CodeSource {
  static constexpr int kTable = 256;
  LevelsParams p;
  RowExtras extras;
  LevelsSource(const Codes& codes, const LevelsParams& p, const RowExtras& extras)
      : CodeSource{codes, p.d, p.bits}, p(p), extras(extras) {}
  struct Row {
    float factor, shift;
    const float* centroid;
  };
  __device__ Row at(int64_t row) const {
    return {extras.factor.data ? extras.factor.at(row) : 1.0f, extras.shift.data ? extras.shift.at(row) : 0.0f,
            extras.coarse.count ? extras.coarse.centroids + extras.coarse.of(row) * p.d : nullptr};
  }
  __device__ void fill(float* table) const {
    for (unsigned i = threadIdx.x; i < 1u << p.bits; i += blockDim.x) table[i] = p.levels[i];
  }
  __device__ bool aligned() const {
    return cuda::aligned<float4>(p.step) && cuda::aligned<float4>(extras.direction) && p.d % 4 == 0 &&
           cuda::aligned<float4>(extras.coarse.centroids);
  }
  __device__ float value(int64_t row, int64_t j) const {
    const Row mine = at(row);
    float x = p.levels[code_at(from.data + row * from.stride, j, p.bits)] * p.step[j];
    if (extras.shift.data) x += mine.shift * extras.direction[j];
    if (extras.factor.data) x *= mine.factor;
    return mine.centroid ? x + mine.centroid[j] : x;
  }
  template <bool ALL>
  __device__ void decode(Raw raw, const Row& at, const float* table, int64_t j, int count, float* x) const {
    uint32_t codes[8];
    float v[8];
    codes_of(raw, bits, codes);
    load_floats<ALL>(p.step + j, count, v);
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] = table[codes[i]] * v[i];
    if (extras.shift.data) {
      load_floats<ALL>(extras.direction + j, count, v);
      EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] += at.shift * v[i];
    }
    if (extras.factor.data) EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] *= at.factor;
    if (!extras.coarse.count) return;
    load_floats<ALL>(at.centroid + j, count, v);
    EMB_UNROLL for (int i = 0; i < 8; ++i) x[i] += v[i];
  }
};

}  // namespace

int64_t levels_encode(const Rows& x, const LevelsParams& p, CodesOut out, const Call& call) {
  return launch_encode(x, LevelsCoder{p, p.bits}, out, call);
}

int64_t levels_decode(const Codes& codes, const LevelsParams& p, float* out, const Call& call) {
  return launch_decode(LevelsSource{codes, p, {}}, codes.n, p.d, out, call);
}

int64_t levels_topk(const Codes& codes, const LevelsParams& p, const RowExtras& extras, const Search& search,
                    const Call& call) {
  return search_source(LevelsSource{codes, p, extras}, codes.n, search, call);
}

}  // namespace cuda
}  // namespace embcodec
