#include <cmath>

#include "bind.h"

namespace embcodec {
namespace cuda {

namespace {

Rotation rotation_of(const Array& signs, bool inverse) {
  const int64_t size = count(signs);
  return {pointer<const float>(signs), size, static_cast<float>(1 / std::sqrt(static_cast<double>(size))), inverse};
}

}  // namespace

void register_rotation(py::module_& m) {
  m.def("hadamard_rotate", [](Array x, int dtype, Array signs, bool inverse, Array rotated, Where where) {
    return hadamard_rotate(rows_of(x, dtype), rotation_of(signs, inverse), pointer<float>(rotated), call_of(where));
  });
  m.def("hadamard_sq_encode",
        [](Array x, int dtype, Array signs, Array lo, Array step, int bits, Array codes, Where where) {
          const SqParams sq = {pointer<const float>(lo), pointer<const float>(step), nullptr, count(lo), bits};
          return hadamard_sq_encode(rows_of(x, dtype), rotation_of(signs, false), sq, codes_out(codes), call_of(where));
        });
}

}  // namespace cuda
}  // namespace embcodec
