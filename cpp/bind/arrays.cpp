// Looks at arguments for embcodec.kernels: whether they are what nearly every call brings. Python, which knows all that
// a caller may bring and what to say of the rest, takes several times as long for the same look.
#include <cstring>

#include "bind.h"

namespace embcodec {
namespace {

constexpr py::ssize_t kLong = 1 << 16;  // values that are looked at without the GIL

// A number in `shape` is that length, a name any length but 0.
bool has_shape(const py::array& a, const py::tuple& shape) {
  const py::ssize_t dims = a.ndim();
  if (dims != static_cast<py::ssize_t>(shape.size())) return false;
  for (py::ssize_t i = 0; i < dims; ++i) {
    PyObject* const want = PyTuple_GET_ITEM(shape.ptr(), i);
    const py::ssize_t length = a.shape()[i];
    if (PyLong_Check(want)) {
      int overflow;
      if (PyLong_AsLongLongAndOverflow(want, &overflow) != length) return false;
    } else if (length == 0) {
      return false;
    }
  }
  return true;
}

// No subclass, which may have a mind of its own.
bool is_ndarray(py::handle a) { return Py_TYPE(a.ptr()) == py::detail::npy_api::get().PyArray_Type_; }

bool is_array(py::handle value, py::handle dtype, const py::tuple& shape) {
  if (!is_ndarray(value)) return false;
  const py::array a = py::reinterpret_borrow<py::array>(value);
  return a.dtype().is(dtype) && has_shape(a, shape);
}

// Sums that only an exponent of all ones carries into the sign; compilers vectorize a block of fixed size.
bool all_finite(const float* values, py::ssize_t size) {
  constexpr int kBlock = 16;
  uint32_t sums[kBlock] = {};
  const auto add = [&](py::ssize_t first, int count) {
    for (int i = 0; i < count; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + first + i, sizeof bits);
      sums[i] |= (bits & 0x7fffffff) + 0x00800000;
    }
  };
  py::ssize_t done = 0;
  for (; done + kBlock <= size; done += kBlock) add(done, kBlock);
  add(done, static_cast<int>(size - done));
  uint32_t sum = 0;
  for (uint32_t s : sums) sum |= s;
  return sum >> 31 == 0;
}

bool is_finite_array(py::handle value, const py::tuple& shape) {
  static const py::handle float32 = py::dtype::of<float>().release();
  if (!is_array(value, float32, shape)) return false;
  const py::array a = py::reinterpret_borrow<py::array>(value);
  constexpr int kPlain = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((a.flags() & kPlain) != kPlain) return false;
  const float* values = static_cast<const float*>(a.data());
  if (a.size() < kLong) return all_finite(values, a.size());
  const py::gil_scoped_release release;
  return all_finite(values, a.size());
}

}  // namespace

void register_arrays(py::module_& m) {
  m.def("is_array", &is_array);
  m.def("is_finite_array", &is_finite_array);
}

}  // namespace embcodec
