// The table of contents of embcodec._native. Arguments are positional and were checked by embcodec.kernels: see
// python/embcodec/_native.pyi.
#include "bind.h"

namespace embcodec {
namespace {

py::list level_names(bool only_available) {
  py::list names;
  for (const Level& level : levels())
    if (level.available || !only_available) names.append(level.name);
  return names;
}

}  // namespace

PYBIND11_MODULE(_native, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled kernels of embcodec.";
  default_level();  // a wrong EMBCODEC_ISA or EMBCODEC_NUM_THREADS is told at import
  get_num_threads();
  m.def("levels", [] { return level_names(false); });
  m.def("available_levels", [] { return level_names(true); });
  m.def("default_level", [] { return levels()[static_cast<size_t>(default_level())].name; });
  m.def("set_default_level", &set_default_level);
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads);

  register_arrays(m);
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

}  // namespace embcodec
