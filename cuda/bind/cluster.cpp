#include "bind.h"

namespace embcodec {
namespace cuda {

void register_cluster(py::module_& m) {
  m.def(
      "kmeans_fit",
      [](Array x, int dtype, int64_t k, int iterations, uint64_t seed, Array init, Array codebook, Array ids,
         Array inertia, Where where) {
        return kmeans_fit(rows_of(x, dtype), k, iterations, seed, pointer<const float>(init), pointer<float>(codebook),
                          pointer<int32_t>(ids), pointer<double>(inertia), call_of(where));
      },
      py::call_guard<py::gil_scoped_release>());  // it waits
  m.def("vq_encode", [](Array x, int dtype, Array codebook, Array ids, Where where) {
    return vq_encode(rows_of(x, dtype), pointer<const float>(codebook), count(codebook), pointer<int32_t>(ids),
                     call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
