#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

// Of codebooks (m, ksub, dsub) the last two axes are one here; d = m * dsub.
Pq pq_of(const Array& codebooks, int64_t d) {
  const int64_t m = count(codebooks), dsub = d / m;
  return {pointer<const float>(codebooks), nullptr, m, columns(codebooks) / dsub, dsub};
}

}  // namespace

void register_pq(py::module_& m) {
  m.def(
      "pq_fit",
      [](Array x, int dtype, int64_t m, int bits, int iterations, uint64_t seed, Array codebooks, Where where) {
        return pq_fit(rows_of(x, dtype), m, bits, iterations, seed, pointer<float>(codebooks), call_of(where));
      },
      py::call_guard<py::gil_scoped_release>());  // it waits
  m.def("pq_encode", [](Array x, int dtype, Array codebooks, Array codes, Where where) {
    return pq_encode(rows_of(x, dtype), pq_of(codebooks, columns(x)), codes_out(codes), call_of(where));
  });
  m.def("pq_decode", [](Array codes, Array codebooks, Array x, Where where) {
    return pq_decode(codes_of(codes), pq_of(codebooks, columns(x)), pointer<float>(x), call_of(where));
  });
  m.def("pq_tables", [](Array queries, Array codebooks, int metric, Array tables, Where where) {
    return pq_tables(pq_of(codebooks, columns(queries)), pointer<const float>(queries), count(queries),
                     static_cast<Metric>(metric), pointer<float>(tables), call_of(where));
  });
  m.def("pq_topk", [](Array codes, Array codebooks, Array queries, int64_t k, int metric, Array mask, Array centroids,
                      Array centroid, Array scores, Array ids, Where where) {
    return pq_topk(codes_of(codes), pq_of(codebooks, columns(queries)), coarse_of(centroids, centroid),
                   search_of(queries, k, metric, mask, scores, ids), call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
