#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

LevelsParams levels_params(const Array& levels, const Array& step) {
  int bits = 0;
  while (int64_t{1} << bits < count(levels)) ++bits;
  return {pointer<const float>(levels), nullptr, pointer<const float>(step), nullptr, count(step), bits};
}

}  // namespace

void register_levels(py::module_& m) {
  m.def("levels_encode", [](Array x, int dtype, Array levels, Array step, Array codes, Where where) {
    return levels_encode(rows_of(x, dtype), levels_params(levels, step), codes_out(codes), call_of(where));
  });
  m.def("levels_decode", [](Array codes, Array levels, Array step, Array x, Where where) {
    return levels_decode(codes_of(codes), levels_params(levels, step), pointer<float>(x), call_of(where));
  });
  m.def("levels_topk", [](Array codes, Array levels, Array step, Array queries, int64_t k, int metric, Array mask,
                          Array factor, int factor_kind, Array centroids, Array centroid, Array shift, int shift_kind,
                          Array direction, Array scores, Array ids, Where where) {
    const RowExtras extras = {column_of(factor, factor_kind), coarse_of(centroids, centroid),
                              column_of(shift, shift_kind), pointer<const float>(direction)};
    return levels_topk(codes_of(codes), levels_params(levels, step), extras,
                       search_of(queries, k, metric, mask, scores, ids), call_of(where));
  });
  m.def("shape_encode",
        [](Array x, int dtype, Array levels, Array step, Array direction, Array scales, Array codes, Where where) {
          const ShapeParams params = {levels_params(levels, step), pointer<const float>(direction),
                                      pointer<const float>(scales), count(scales)};
          return shape_encode(rows_of(x, dtype), params, codes_out(codes), call_of(where));
        });
  m.def("shape_decode", [](Array codes, Array levels, Array step, Array direction, Array x, Where where) {
    const ShapeParams params = {levels_params(levels, step), pointer<const float>(direction), nullptr, 0};
    return shape_decode(codes_of(codes), params, pointer<float>(x), call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
