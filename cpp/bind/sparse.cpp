#include "bind.h"

namespace embcodec {
namespace {

Sparse sparse_of(const RowArray& indices, const RowArray& values) {
  return {static_cast<const char*>(indices.data()),
          static_cast<const char*>(values.data()),
          indices.shape(0),
          indices.shape(1),
          indices.strides(0),
          values.strides(0),
          indices.itemsize() == 4};
}

[[noreturn]] void refuse_indices(const char* kernel, int64_t d, int64_t row) {
  throw py::value_error(std::string(kernel) + ": indices must ascend and be below " + std::to_string(d) + ", row " +
                        std::to_string(row) + " does not");
}

void topk_encode(const py::array& x, int dtype, int64_t k, py::array indices, F32 values, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const SparseOut out = {indices.mutable_data(), values.mutable_data(), indices.itemsize() == 4};
  encode_rows("topk_encode", rows.n, threads, topk_encode_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.topk_encode(rows, k, out, r, scratch); });
}

void topk_decode(const RowArray& indices, const RowArray& values, int64_t d, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Sparse from = sparse_of(indices, values);
  float* out = x.mutable_data();
  const int64_t bad =
      first_bad_row(from.n, threads, 0, [&](Range r, float*) { return kernels.topk_decode(from, d, out, r); });
  if (bad != kAllFinite) refuse_indices("topk_decode", d, bad);
}

void sparse_topk(const RowArray& indices, const RowArray& values, const F32& queries, int k, int metric,
                 const Mask& mask, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Sparse from = sparse_of(indices, values);
  const int64_t bad = topk_bad_row(kernels, from.n, queries, k, metric, mask, scores, ids, threads,
                                   sparse_topk_scratch(queries.shape(1), queries.shape(0)),
                                   [&](const Scan& scan, Range rows, Range part, float* scratch) {
                                     return kernels.sparse_topk(from, scan, rows, part, scratch);
                                   });
  if (bad != kAllFinite) refuse_indices("sparse_topk", queries.shape(1), bad);
}

}  // namespace

void register_sparse(py::module_& m) {
  m.def("topk_encode", &topk_encode);
  m.def("topk_decode", &topk_decode);
  m.def("sparse_topk", &sparse_topk);
}

}  // namespace embcodec
