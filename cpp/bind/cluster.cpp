#include "../cluster.h"

#include "bind.h"

namespace embcodec {
namespace {

double kmeans_fit(const py::array& x, int dtype, int64_t k, int iterations, uint64_t seed, const MaybeF32& init,
                  F32 codebook, I32 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const float* first = init ? init->data() : nullptr;
  float* codebook_out = codebook.mutable_data();
  int32_t* ids_out = ids.mutable_data();
  double inertia = 0.0;
  int64_t bad;
  {
    py::gil_scoped_release release;
    bad = kmeans(kernels, rows, k, iterations, seed, first, codebook_out, ids_out, &inertia, threads);
  }
  if (bad != kAllFinite) refuse_row("kmeans_fit", bad);
  return inertia;
}

void vq_encode(const py::array& x, int dtype, const F32& codebook, I32 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const float* codewords = codebook.data();
  const int64_t k = codebook.shape(0);
  int32_t* out = ids.mutable_data();
  int64_t bad;
  {
    py::gil_scoped_release release;
    bad = assign(kernels, rows, codewords, k, out, threads);
  }
  if (bad != kAllFinite) refuse_row("vq_encode", bad);
}

}  // namespace

void register_cluster(py::module_& m) {
  m.def("kmeans_fit", &kmeans_fit);
  m.def("vq_encode", &vq_encode);
}

}  // namespace embcodec
