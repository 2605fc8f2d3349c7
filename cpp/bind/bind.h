// What every binding uses: NumPy arrays as the kernels' plain structs, and a bad row as an exception.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "../dispatch.h"
#include "../parallel.h"
#include "../row/scalar.h"
#include "../topk.h"

namespace embcodec {

namespace py = pybind11;

// Takes an array of T in C order and nothing else, where array_t itself would convert, after it had made an empty
// array.
template <typename T>
class Array : public py::array_t<T, py::array::c_style> {
  using py::array_t<T, py::array::c_style>::array_t;
};

// Codes, indices or values: rows any distance apart, the items of one side by side, if need be in a copy. Of one
// dimension: items side by side.
class RowArray : public py::array {
  using py::array::array;
};

// Codes for a scan that reads them in row order or in column order.
class CodeArray : public py::array {
  using py::array::array;
};

using F32 = Array<float>;
using U8 = Array<uint8_t>;
using I8 = Array<int8_t>;
using I32 = Array<int32_t>;
using I64 = Array<int64_t>;
using Mask = std::optional<Array<bool>>;
using MaybeF32 = std::optional<F32>;
using MaybeArray = std::optional<py::array>;
using MaybeI32 = std::optional<I32>;

inline Rows rows_of(const py::array& x, int dtype) {
  return {static_cast<const char*>(x.data()), x.shape(0), x.shape(1), x.strides(0), x.strides(1),
          static_cast<Dtype>(dtype)};
}

inline Codes codes_of(const py::array& codes) {
  return {static_cast<const uint8_t*>(codes.data()), codes.shape(0), codes.strides(0), codes.strides(1)};
}

inline const uint8_t* allowed_by(const Mask& mask) {
  return mask ? reinterpret_cast<const uint8_t*>(mask->data()) : nullptr;
}

inline CodesOut codes_out(U8& codes) { return {codes.mutable_data(), codes.strides(0)}; }

[[noreturn]] inline void refuse_row(const char* kernel, int64_t row, const char* what = "x has") {
  throw py::value_error(std::string(kernel) + ": " + what + " a non-finite value in row " + std::to_string(row));
}

// Rows of d dimensions, padded with zeros as the kernels want them: where they lie, if they need none.
class PaddedRows {
 public:
  PaddedRows(const MaybeF32& rows, int64_t d) : PaddedRows(rows, d, padded16(d)) {}
  PaddedRows(const MaybeF32& rows, int64_t d, int64_t stride)
      : data_(rows ? rows->data() : nullptr), n_(rows ? rows->size() / d : 0) {
    if (stride == d) return;
    copy_.resize(static_cast<size_t>(n_ * stride));
    for (int64_t i = 0; i < n_; ++i) std::copy_n(data_ + i * d, d, copy_.data() + i * stride);
    data_ = copy_.data();
  }
  PaddedRows(const PaddedRows&) = delete;
  const float* data() const { return data_; }
  int64_t n() const { return n_; }

 private:
  std::vector<float> copy_;
  const float* data_;
  int64_t n_;
};

inline Column column_of(const MaybeArray& a) {
  if (!a) return {Column::f32, nullptr, 0};
  const Column::Kind kind = a->itemsize() == 1 ? Column::i8 : a->itemsize() == 2 ? Column::f16 : Column::f32;
  return {kind, static_cast<const char*>(a->data()), a->strides(0)};
}

inline Coarse coarse_of(const PaddedRows& centroids, const MaybeI32& centroid) {
  return {centroids.data(), centroid ? centroid->data() : nullptr, centroids.n()};
}

// ... which are of one stage, int32 (n,), or of several, uint8 (n, stages).
inline Coarse coarse_of(const PaddedRows& centroids, const std::optional<RowArray>& centroid) {
  if (!centroid || centroid->itemsize() != 1)
    return {centroids.data(), centroid ? static_cast<const int32_t*>(centroid->data()) : nullptr, centroids.n()};
  return {centroids.data(),     nullptr,
          centroids.n(),        static_cast<const uint8_t*>(centroid->data()),
          centroid->strides(0), static_cast<int>(centroid->shape(1))};
}

// 1 / step, 0 where there is none.
inline std::vector<float> inverse_of(const F32& step) {
  std::vector<float> inverse(static_cast<size_t>(step.size()));
  std::transform(step.data(), step.data() + step.size(), inverse.begin(), [](float s) { return inverse_step(s); });
  return inverse;
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

// Where decoded rows go. Past the cache if they would not stay in it, but not to pages that nobody has written yet,
// which the operating system zeroes in the cache.
inline RowsOut rows_out(F32& x) {
  constexpr py::ssize_t kStreamedBytes = 4 << 20;
  float* data = x.mutable_data();
  if (x.nbytes() < kStreamedBytes) return {data, false};
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t middle = reinterpret_cast<uintptr_t>(data + x.size() / 2) / page * page;
  unsigned char resident = 0;
  const bool known = mincore(reinterpret_cast<void*>(middle), 1, &resident) == 0;
  return {data, known && (resident & 1)};
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
  const uint8_t* allowed = allowed_by(mask);
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

void register_arrays(py::module_& m);
void register_scalar(py::module_& m);
void register_levels(py::module_& m);
void register_binary(py::module_& m);
void register_rotation(py::module_& m);
void register_projection(py::module_& m);
void register_cluster(py::module_& m);
void register_pq(py::module_& m);
void register_rq(py::module_& m);
void register_sparse(py::module_& m);
void register_trellis(py::module_& m);

}  // namespace embcodec

namespace pybind11::detail {

template <class Type, bool COLUMNS>
class row_caster : public pyobject_caster<Type> {
 public:
  bool load(handle src, bool convert) {
    if (!pyobject_caster<Type>::load(src, convert)) return false;
    array& a = this->value;
    const bool in_order = a.strides(a.ndim() - 1) == a.itemsize() || (COLUMNS && a.strides(0) == a.itemsize());
    if (!in_order || !(a.flags() & npy_api::NPY_ARRAY_ALIGNED_)) this->value = a.attr("copy")();
    return true;
  }
};
template <>
class type_caster<embcodec::RowArray> : public row_caster<embcodec::RowArray, false> {};
template <>
class type_caster<embcodec::CodeArray> : public row_caster<embcodec::CodeArray, true> {};

}  // namespace pybind11::detail
