#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

// `rates` is the host's: what follows from it is computed here, and travels as an argument of the kernels.
TrellisParams trellis_params(const Array& codebooks, const Array& step, const Array& rates, const Array& factors) {
  TrellisParams p = {};
  p.codebooks = pointer<const int8_t>(codebooks);
  p.step = pointer<const float>(step);
  p.rates = pointer<const uint8_t>(rates);
  p.factors = pointer<const float>(factors);
  p.d = count(step);
  trellis_plan(p);
  return p;
}

}  // namespace

void register_trellis(py::module_& m) {
  m.def("trellis_encode",
        [](Array x, int dtype, Array codebooks, Array step, Array rates, Array weight, Array codes, Where where) {
          TrellisParams p = trellis_params(codebooks, step, rates, {});
          p.weight = pointer<const float>(weight);
          return trellis_encode(rows_of(x, dtype), p, codes_out(codes), call_of(where));
        });
  m.def("trellis_decode",
        [](Array codes, Array codebooks, Array step, Array rates, Array factors, Array x, Where where) {
          return trellis_decode(codes_of(codes), trellis_params(codebooks, step, rates, factors), pointer<float>(x),
                                call_of(where));
        });
  m.def("trellis_topk",
        [](Array codes, Array codebooks, Array step, Array rates, Array queries, int64_t k, int metric, Array mask,
           Array factors, Array centroids, Array centroid, Array scores, Array ids, Where where) {
          return trellis_topk(codes_of(codes), trellis_params(codebooks, step, rates, factors),
                              coarse_of(centroids, centroid, count(step)),
                              search_of(queries, k, metric, mask, scores, ids), call_of(where));
        });
}

}  // namespace cuda
}  // namespace embcodec
