// Looks at arguments for embcodec.kernels: whether they are what nearly every call brings. Python, which knows all that
// a caller may bring and what to say of the rest, takes several times as long for the same look. Functions of CPython's
// own kind, for pybind11 takes longer to find its function than this one takes to look.
#include <cstring>

#include "bind.h"

namespace embcodec {
namespace {

py::handle float32;  // the dtype

constexpr py::ssize_t kLong = 1 << 16;  // values, from which on they are looked at without the GIL

// A number in `shape` is that length, a name any length but 0.
bool has_shape(const py::array& a, PyObject* shape) {
  const py::ssize_t dims = a.ndim();
  if (dims != PyTuple_GET_SIZE(shape)) return false;
  for (py::ssize_t i = 0; i < dims; ++i) {
    PyObject* const want = PyTuple_GET_ITEM(shape, i);
    const py::ssize_t length = a.shape()[i];
    if (PyLong_Check(want)) {
      int overflow;
      if (PyLong_AsLongLongAndOverflow(want, &overflow) != length) return false;
    } else if (!PyUnicode_Check(want) || length == 0) {
      return false;
    }
  }
  return true;
}

// No subclass, which may have a mind of its own.
bool is_array(PyObject* value, py::handle dtype, PyObject* shape) {
  if (Py_TYPE(value) != py::detail::npy_api::get().PyArray_Type_) return false;
  const py::array a = py::reinterpret_borrow<py::array>(value);
  return a.dtype().is(dtype) && has_shape(a, shape);
}

// Sums that only an exponent of all ones carries into the sign.
bool all_finite(const float* values, py::ssize_t size) {
  uint32_t sums = 0;
  for (py::ssize_t i = 0; i < size; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    sums |= (bits & 0x7fffffff) + 0x00800000;
  }
  return sums >> 31 == 0;
}

bool is_finite_array(PyObject* value, PyObject* shape) {
  if (!is_array(value, float32, shape)) return false;
  const py::array a = py::reinterpret_borrow<py::array>(value);
  constexpr int kPlain = py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((a.flags() & kPlain) != kPlain) return false;
  const float* values = static_cast<const float*>(a.data());
  if (a.size() < kLong) return all_finite(values, a.size());
  const py::gil_scoped_release release;
  return all_finite(values, a.size());
}

// The last of `count` arguments has to be a shape.
bool are_arguments(PyObject* const* args, Py_ssize_t given, Py_ssize_t count) {
  if (given == count && PyTuple_Check(args[count - 1])) return true;
  PyErr_Format(PyExc_TypeError, "%zd arguments wanted, the last a tuple", count);
  return false;
}

PyObject* call_is_array(PyObject*, PyObject* const* args, Py_ssize_t given) {
  return are_arguments(args, given, 3) ? PyBool_FromLong(is_array(args[0], args[1], args[2])) : nullptr;
}

PyObject* call_is_finite_array(PyObject*, PyObject* const* args, Py_ssize_t given) {
  return are_arguments(args, given, 2) ? PyBool_FromLong(is_finite_array(args[0], args[1])) : nullptr;
}

PyCFunction as_function(PyObject* (*f)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f));
}

PyMethodDef functions[] = {
    {"is_array", as_function(call_is_array), METH_FASTCALL, nullptr},
    {"is_finite_array", as_function(call_is_finite_array), METH_FASTCALL, nullptr},
    {},
};

}  // namespace

void register_arrays(py::module_& m) {
  float32 = py::dtype::of<float>().release();  // at import, for it may raise
  if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw py::error_already_set();
}

}  // namespace embcodec
