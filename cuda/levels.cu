// Quantization to levels that all dimensions share.
#include "../cpp/row/levels.h"
#include "../cpp/row/scalar.h"
#include "scan.cuh"

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

struct LevelsSource {
  static constexpr bool kMayBeBad = false;
  Codes codes;
  LevelsParams p;
  RowExtras extras;
  __device__ float value(int64_t row, int64_t j) const {
    float x = p.levels[code_at(codes.data + row * codes.stride, j, p.bits)] * p.step[j];
    if (extras.shift.data) x += extras.shift.at(row) * extras.direction[j];
    if (extras.factor.data) x *= extras.factor.at(row);
    if (extras.coarse.count) x += extras.coarse.centroids[extras.coarse.of(row) * p.d + j];
    return x;
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
