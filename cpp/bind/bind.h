// What every binding uses: NumPy arrays as the kernels' plain structs, and a bad row as an exception.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include "../dispatch.h"
#include "../parallel.h"
#include "../topk.h"

namespace embcodec {

namespace py = pybind11;

using F32 = py::array_t<float, py::array::c_style>;
using U8 = py::array_t<uint8_t, py::array::c_style>;
using I8 = py::array_t<int8_t, py::array::c_style>;
using I32 = py::array_t<int32_t, py::array::c_style>;
using I64 = py::array_t<int64_t, py::array::c_style>;
using Mask = std::optional<U8>;

inline Rows rows_of(const py::array& x, int dtype) {
  return {static_cast<const char*>(x.data()), x.shape(0), x.shape(1), x.strides(0), x.strides(1),
          static_cast<Dtype>(dtype)};
}

inline Codes codes_of(const py::array& codes) {
  return {static_cast<const uint8_t*>(codes.data()), codes.shape(0), codes.strides(0)};
}

inline CodesOut codes_out(U8& codes) { return {codes.mutable_data(), codes.strides(0)}; }

[[noreturn]] inline void refuse_row(const char* kernel, int64_t row) {
  throw py::value_error(std::string(kernel) + ": x has a non-finite value in row " + std::to_string(row));
}

constexpr int64_t kRowGrain = 256;  // rows that are worth a thread
constexpr int64_t kQueryGrain = 8;  // queries that are worth one

// work(range, scratch) gives kAllFinite or its first bad row; the lowest of all is returned. Runs without the GIL.
inline int64_t first_bad_row(int64_t n, int threads, int64_t scratch_floats,
                             const std::function<int64_t(Range, float*)>& work) {
  py::gil_scoped_release release;
  return lowest_bad_row(n, kRowGrain, threads, scratch_floats, work);
}

inline void encode_rows(const char* kernel, int64_t n, int threads, int64_t scratch_floats,
                        const std::function<int64_t(Range, float*)>& encode) {
  const int64_t bad = first_bad_row(n, threads, scratch_floats, encode);
  if (bad != kAllFinite) refuse_row(kernel, bad);
}

inline void decode_rows(int64_t n, int threads, int64_t scratch_floats,
                        const std::function<void(Range, float*)>& decode) {
  py::gil_scoped_release release;
  parallel_ranges(n, kRowGrain, threads, scratch_floats, decode);
}

// Scans of float queries: scan(scan, rows, queries, scratch) gives kAllFinite or a bad row, the lowest is returned.
inline int64_t topk_bad_row(const Kernels& kernels, int64_t n, const F32& queries, int k, int metric, const Mask& mask,
                            F32& scores, I64& ids, int threads, int64_t scratch_floats,
                            const std::function<int64_t(const Scan&, Range, Range, float*)>& scan) {
  const int64_t nq = queries.shape(0), d = queries.shape(1);
  const float* values = queries.data();
  const uint8_t* allowed = mask ? mask->data() : nullptr;
  float* scores_out = scores.mutable_data();
  int64_t* ids_out = ids.mutable_data();
  py::gil_scoped_release release;
  const PaddedQueries padded(values, nq, d, kernels.dot);
  const Queries view = padded.view();
  return scan_in_parallel(
      n, nq, k, threads, scratch_floats,
      [&](TopK* best, Range rows, Range part, float* scratch) {
        return scan(Scan{view, static_cast<Metric>(metric), allowed, best}, rows, part, scratch);
      },
      scores_out, ids_out);
}

inline void topk_rows(const char* kernel, const Kernels& kernels, int64_t n, const F32& queries, int k, int metric,
                      const Mask& mask, F32& scores, I64& ids, int threads, int64_t scratch_floats,
                      const std::function<int64_t(const Scan&, Range, Range, float*)>& scan) {
  const int64_t bad = topk_bad_row(kernels, n, queries, k, metric, mask, scores, ids, threads, scratch_floats, scan);
  if (bad != kAllFinite) refuse_row(kernel, bad);
}

void register_scalar(py::module_& m);
void register_binary(py::module_& m);
void register_rotation(py::module_& m);
void register_cluster(py::module_& m);
void register_pq(py::module_& m);
void register_sparse(py::module_& m);
void register_trellis(py::module_& m);

}  // namespace embcodec
