#include <cmath>

#include "bind.h"

namespace embcodec {
namespace cuda {

void register_rotation(py::module_& m) {
  m.def("hadamard_rotate", [](Array x, int dtype, Array signs, bool inverse, Array rotated, Where where) {
    const int64_t size = count(signs);
    const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(size)));
    return hadamard_rotate(rows_of(x, dtype), {pointer<const float>(signs), size, scale, inverse},
                           pointer<float>(rotated), call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
