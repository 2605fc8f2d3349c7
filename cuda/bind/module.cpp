// The table of contents of embcodec._cuda: python/embcodec/_cuda.pyi.
#include "bind.h"

namespace embcodec {
namespace cuda {

PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  m.doc() = "The CUDA kernels of embcodec.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const Unavailable& unavailable) {
      py::set_error(py::module_::import("embcodec._errors").attr("BackendUnavailableError"), unavailable.what());
    }
  });
  m.def("device_count", &device_count);
  m.def("current_device", &current_device);
  m.def("set_device", &set_device);
  m.def("synchronize", &synchronize, py::call_guard<py::gil_scoped_release>());
  m.def("refuse_rows",
        [](Array marked, Where where) { refuse_rows(pointer<const uint8_t>(marked), count(marked), call_of(where)); });

  register_scalar(m);
  register_levels(m);
  register_binary(m);
  register_rotation(m);
  register_projection(m);
  register_cluster(m);
  register_pq(m);
  register_rq(m);
  register_sparse(m);
  register_trellis(m);
}

}  // namespace cuda
}  // namespace embcodec
