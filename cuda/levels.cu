// Quantization to levels that all dimensions share.
#include "../cpp/row/levels.h"
#include "../cpp/row/scalar.h"
#include "nominate.cuh"

namespace embcodec {
namespace cuda {
namespace {

constexpr int kMostLevels = 256;

// The midpoints as a heap: below node k, which the levels of `width` codes are divided by, lie 2 k and 2 k + 1. Those
// of a step are side by side, in banks of their own but for the last steps of 7 and 8 bits. By all threads of a block.
__device__ inline void fill_tree(float* tree, const LevelsParams& p) {
  for (int k = static_cast<int>(threadIdx.x); k < 1 << p.bits; k += static_cast<int>(blockDim.x)) {
    if (k == 0) continue;
    const int depth = 31 - __clz(k), width = 1 << (p.bits - depth);
    const int middle = (k - (1 << depth)) * width + width / 2;
    tree[k] = level_midpoint(p.levels[middle - 1], p.levels[middle]);
  }
}

__device__ inline void fill_levels(float* levels, const LevelsParams& p) {
  for (int i = static_cast<int>(threadIdx.x); i < 1 << p.bits; i += static_cast<int>(blockDim.x))
    levels[i] = p.levels[i];
}

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
  __device__ Eight eight(int64_t j, int count) const {
    EMB_SHARED(float, tree, [kMostLevels]);
    fill_tree(tree, p);
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
  __device__ void fill(float* table) const { fill_levels(table, p); }
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
    fill_levels(levels, p);
    __syncthreads();
    Four f = {window_of(j, count, p.bits), p.bits, levels, {}};
    load_floats(p.step + j, count, f.step);
    return f;
  }
};

constexpr int kLanes = 16;  // that share a row: half a warp, for sums in order of 16 lanes

// The tree of sums: 16 lanes to 8, 4, 2 and 1. By all lanes of a warp.
__device__ inline double sum_of_lanes(double value) {
  for (int width = kLanes / 2; width > 0; width /= 2) value += __shfl_xor_sync(kAllLanes, value, width);
  return value;
}

// A row, of which each lane has every 16th dimension, and what levels stand for it. Read again at each pass, from the
// cache.
struct ShapeRow {
  const Rows& x;
  const ShapeParams& p;
  const float *tree, *levels;
  int64_t row;
  int lane;
  // body(j, value) for dimensions j of this lane; zero beyond the last one, so that all lanes make the same turns.
  template <class Body>
  __device__ void each(const Body& body) const {
    EMB_ROLLED for (int64_t j = lane; j < x.d + lane; j += kLanes) body(j, j < x.d ? element(x, row, j) : 0.0f);
  }
  __device__ float inverse(int64_t j) const { return j < x.d ? inverse_step(p.levels.step[j]) : 0.0f; }
  __device__ float step(int64_t j) const { return j < x.d ? p.levels.step[j] : 0.0f; }
  __device__ float line(int64_t j) const { return j < x.d ? p.direction[j] : 0.0f; }
  // Zero where a quotient is no number, and beyond the last dimension.
  __device__ uint32_t code(int64_t j, float value, float unit) const {
    const float scaled = value * unit * inverse(j);
    uint32_t node = 1;
    for (int step = 0; step < p.levels.bits; ++step) node = node << 1 | (tree[node] < scaled ? 1u : 0u);
    return j < x.d ? node - (1u << p.levels.bits) : 0u;
  }
  __device__ float level(int64_t j, float value, float unit) const { return levels[code(j, value, unit)] * step(j); }
};

__device__ inline double widened(float product) { return static_cast<double>(product); }

__global__ void encode_shapes(Rows x, ShapeParams p, CodesOut out, Call call) {
  EMB_SHARED(float, tree, [kMostLevels]);
  EMB_SHARED(float, levels, [kMostLevels]);
  fill_tree(tree, p.levels);
  fill_levels(levels, p.levels);
  __syncthreads();
  const int64_t number = thread_number() / kLanes, row = number < x.n ? number : x.n - 1;
  const ShapeRow at = {x, p, tree, levels, row, static_cast<int>(threadIdx.x % kLanes)};
  double square = 0, of_row = 0, line = 0, scaled = 0, steps = 0;
  at.each([&](int64_t j, float value) {
    const float direction = at.line(j), quotient = value * at.inverse(j);
    square += widened(value * value);
    of_row += widened(value * direction);
    line += widened(direction * direction);
    scaled += widened(quotient * quotient);
    steps += at.step(j) > 0.0f ? 1.0 : 0.0;
    if (number < x.n && !(value - value == 0.0f)) refuse(call, row);
  });
  square = sum_of_lanes(square);
  of_row = sum_of_lanes(of_row);
  line = sum_of_lanes(line);
  scaled = sum_of_lanes(scaled);
  steps = sum_of_lanes(steps);
  const double length = __builtin_sqrt(scaled / (steps > 1.0 ? steps : 1.0));

  double cosine = -__builtin_inf(), along = 0;
  float unit = 0;
  bool found = false;
  EMB_ROLLED for (int64_t s = 0; s < p.scale_count; ++s) {
    const float tried = static_cast<float>(length > 0.0 ? static_cast<double>(p.scales[s]) / length : 0.0);
    double product = 0, itself = 0;
    at.each([&](int64_t j, float value) {
      const float y = at.level(j, value, tried);
      product += widened(value * y);
      itself += widened(y * y);
    });
    product = sum_of_lanes(product);
    itself = sum_of_lanes(itself);
    const double angle = product / __builtin_sqrt(itself > 1e-30 ? itself : 1e-30);
    if (!(angle > cosine)) continue;
    cosine = angle;
    along = product;
    unit = tried;
    found = true;
  }

  const auto value_of = [&](int64_t j, float value) { return found ? at.level(j, value, unit) : 0.0f; };
  double of_values = 0;
  at.each([&](int64_t j, float value) { of_values += widened(value_of(j, value) * at.line(j)); });
  of_values = sum_of_lanes(of_values);
  const double area = square * line - of_row * of_row;
  const double wanted = area > 1e-6 * square * line ? (of_row * along - square * of_values) / area : 0.0;
  const double below = wanted < 127.0 ? wanted : 127.0;
  const float shift = __builtin_rintf(static_cast<float>(below > -127.0 ? below : -127.0));

  uint8_t* to = out.data + row * out.stride;
  const int bits = p.levels.bits, eighth = at.lane % 8;
  double grown = 0, kept = 0;
  at.each([&](int64_t j, float value) {
    const float mine = at.step(j) > 0.0f ? value : 0.0f;
    grown += widened(mine * (value_of(j, value) + shift * at.line(j)));
    kept += widened(mine * mine);
    uint64_t word = static_cast<uint64_t>(found ? at.code(j, value, unit) : 0u) << (eighth * bits);
    for (int width = 4; width > 0; width /= 2)
      word |= static_cast<uint64_t>(__shfl_xor_sync(kAllLanes, static_cast<unsigned long long>(word), width));
    const int64_t first = j - eighth, count = x.d - first < 8 ? x.d - first : 8;
    if (number < x.n && count > 0 && eighth < (count * bits + 7) / 8)
      to[first / 8 * bits + eighth] = static_cast<uint8_t>(word >> (8 * eighth));
  });
  grown = sum_of_lanes(grown);
  kept = sum_of_lanes(kept);
  if (number >= x.n || at.lane != 0) return;
  const double most = static_cast<double>(most_f16()), factor = grown > 0.0 ? kept / grown : 0.0;
  const uint16_t half = f16_from_f32(static_cast<float>(factor < most ? factor : most));
  to += (x.d * bits + 7) / 8;
  to[0] = static_cast<uint8_t>(static_cast<int>(shift));
  to[1] = static_cast<uint8_t>(half);
  to[2] = static_cast<uint8_t>(half >> 8);
}

struct ShapeSource {
  Codes from;
  ShapeParams p;
  Column shift, factor;  // the bytes behind the levels' codes
  ShapeSource(const Codes& codes, const ShapeParams& p) : from(codes), p(p) {
    const int64_t size = (p.levels.d * p.levels.bits + 7) / 8;
    shift = {Column::i8, reinterpret_cast<const char*>(codes.data) + size, codes.stride};
    factor = {Column::f16, shift.data + 1, codes.stride};
  }
  __device__ Codes codes() const { return from; }
  struct Four {
    Window window;
    int bits;
    Column shift, factor;
    const float* levels;
    float step[4], direction[4];
    __device__ void values(uint32_t word, int64_t row, float (&to)[4]) const {
      const float added = shift.at(row), times = factor.at(row);
      EMB_UNROLL for (int i = 0; i < 4; ++i) to[i] =
          (levels[window.code(word, i, bits)] * step[i] + added * direction[i]) * times;
    }
  };
  __device__ Four four(int64_t j, int count) const {
    EMB_SHARED(float, levels, [kMostLevels]);
    fill_levels(levels, p.levels);
    __syncthreads();
    Four f = {window_of(j, count, p.levels.bits), p.levels.bits, shift, factor, levels, {}, {}};
    load_floats(p.levels.step + j, count, f.step);
    load_floats(p.direction + j, count, f.direction);
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

int64_t shape_encode(const Rows& x, const ShapeParams& p, CodesOut out, const Call& call) {
  if (x.n == 0) return 0;
  EMB_LAUNCH((encode_shapes), blocks_for(kLanes * x.n, kBlock), kBlock, 0, call.stream, x, p, out, call);
  check(cudaGetLastError());
  return 0;
}

int64_t shape_decode(const Codes& codes, const ShapeParams& p, float* out, const Call& call) {
  return launch_decode(ShapeSource{codes, p}, codes.n, p.levels.d, out, call);
}

}  // namespace cuda
}  // namespace embcodec
