#include <cmath>

#include "bind.h"

namespace embcodec {
namespace {

void hadamard_rotate(const py::array& x, int dtype, const F32& signs, bool inverse, F32 rotated, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const int64_t size = signs.size();
  const Rotation params = {signs.data(), size, static_cast<float>(1 / std::sqrt(static_cast<double>(size))), inverse};
  const RowsOut out = rows_out(rotated);
  encode_rows("hadamard_rotate", rows.n, threads, rotation_scratch(rows.d, size),
              [&](Range r, float* scratch) { return kernels.hadamard_rotate(rows, params, out, r, scratch); });
}

}  // namespace

void register_rotation(py::module_& m) { m.def("hadamard_rotate", &hadamard_rotate); }

}  // namespace embcodec
