#include "bind.h"

namespace embcodec {
namespace cuda {

void register_projection(py::module_& m) {
  m.def("project", [](Array x, int dtype, Array matrix, Array mean, Array projected, Where where) {
    const Projection p = {pointer<const float>(matrix), pointer<const float>(mean), columns(x), columns(matrix)};
    return project(rows_of(x, dtype), p, pointer<float>(projected), call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
