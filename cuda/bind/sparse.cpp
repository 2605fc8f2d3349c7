#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

bool is_wide(int64_t d) { return d > 65536; }

Sparse sparse_of(const Array& indices, const Array& values, int64_t d) {
  return {pointer<const char>(indices),
          pointer<const char>(values),
          count(indices),
          columns(indices),
          stride(indices),
          stride(values),
          is_wide(d)};
}

}  // namespace

void register_sparse(py::module_& m) {
  m.def("topk_encode", [](Array x, int dtype, int64_t k, Array indices, Array values, Where where) {
    return topk_encode(rows_of(x, dtype), k, {pointer<void>(indices), pointer<float>(values), is_wide(columns(x))},
                       call_of(where));
  });
  m.def("topk_decode", [](Array indices, Array values, int64_t d, Array x, Where where) {
    return topk_decode(sparse_of(indices, values, d), d, pointer<float>(x), call_of(where));
  });
  m.def("sparse_topk", [](Array indices, Array values, Array queries, int64_t k, int metric, Array mask, Array scores,
                          Array ids, Where where) {
    return sparse_topk(sparse_of(indices, values, columns(queries)), search_of(queries, k, metric, mask, scores, ids),
                       call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
