// What the bindings of _cuda share. An array is a tuple of integers, (pointer, rows, columns, bytes from row to row,
// bytes from column to column); None is (0, 0, 0, 0, 0). Who calls has checked everything:
// python/embcodec/_backends/cuda.py.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <tuple>

#include "../launch.h"

namespace embcodec {
namespace cuda {

namespace py = pybind11;

using Array = std::tuple<uintptr_t, int64_t, int64_t, int64_t, int64_t>;

template <class T>
T* pointer(const Array& a) {
  return reinterpret_cast<T*>(std::get<0>(a));
}
inline int64_t count(const Array& a) { return std::get<1>(a); }
inline int64_t columns(const Array& a) { return std::get<2>(a); }
inline int64_t stride(const Array& a) { return std::get<3>(a); }

inline Rows rows_of(const Array& x, int dtype) {
  return {pointer<const char>(x), count(x), columns(x), stride(x), std::get<4>(x), static_cast<Dtype>(dtype)};
}
inline Codes codes_of(const Array& codes) { return {pointer<const uint8_t>(codes), count(codes), stride(codes)}; }
inline CodesOut codes_out(const Array& codes) { return {pointer<uint8_t>(codes), stride(codes)}; }

// (bad, scratch, stream), pointers, and the number of the first row: see launch.h.
using Where = std::tuple<uintptr_t, uintptr_t, uintptr_t, int64_t>;

inline Call call_of(const Where& where) {
  return {reinterpret_cast<void*>(std::get<2>(where)), reinterpret_cast<unsigned long long*>(std::get<0>(where)),
          reinterpret_cast<char*>(std::get<1>(where)), std::get<3>(where)};
}

inline Column column_of(const Array& a, int kind) {
  return {static_cast<Column::Kind>(kind), pointer<const char>(a), stride(a)};
}

inline Search search_of(const Array& queries, int64_t k, int metric, const Array& mask, const Array& scores,
                        const Array& ids) {
  return {pointer<const float>(queries),
          count(queries),
          columns(queries),
          static_cast<Metric>(metric),
          pointer<const uint8_t>(mask),
          k,
          pointer<float>(scores),
          pointer<int64_t>(ids)};
}

inline Coarse coarse_of(const Array& centroids, const Array& centroid) {
  return {pointer<const float>(centroids), pointer<const int32_t>(centroid), count(centroids)};
}

// ... or codebooks (stages, 256, d) and the codewords of each row, uint8 (n, stages).
inline Coarse coarse_of(const Array& centroids, const Array& centroid, int64_t d) {
  if (columns(centroids) != kRqWords * d) return coarse_of(centroids, centroid);
  const int64_t stages = columns(centroid);
  return {pointer<const float>(centroids),  nullptr,          stages * kRqWords,
          pointer<const uint8_t>(centroid), stride(centroid), static_cast<int>(stages)};
}

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

}  // namespace cuda
}  // namespace embcodec
