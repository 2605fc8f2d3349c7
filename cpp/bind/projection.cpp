#include "bind.h"

namespace embcodec {
namespace {

void project(const py::array& x, int dtype, const F32& matrix, const MaybeF32& mean, F32 projected, int threads,
             int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const Projection params = {matrix.data(), mean ? mean->data() : nullptr, rows.d, matrix.shape(1)};
  float* out = projected.mutable_data();
  encode_rows("project", rows.n, threads, projection_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.project(rows, params, out, r, scratch); });
}

}  // namespace

void register_projection(py::module_& m) { m.def("project", &project); }

}  // namespace embcodec
