#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

// Of codebooks (m, 256, d) the last two axes are one here. `keep` paths of the beam are written.
int64_t encode_paths(const Array& x, int dtype, const Array& codebooks, const Array& products, int64_t beam,
                     int64_t keep, const Array& codes, const Where& where) {
  const Rq p = {pointer<const float>(codebooks),
                nullptr,
                nullptr,
                pointer<const float>(products),
                count(codebooks),
                columns(x),
                beam,
                keep};
  return rq_encode(rows_of(x, dtype), p, codes_out(codes), call_of(where));
}

}  // namespace

void register_rq(py::module_& m) {
  m.def("rq_encode", [](Array x, int dtype, Array codebooks, Array products, int64_t beam, Array codes, Where where) {
    return encode_paths(x, dtype, codebooks, products, beam, 1, codes, where);
  });
  m.def("rq_beam", [](Array x, int dtype, Array codebooks, Array products, int64_t beam, Array codes, Where where) {
    return encode_paths(x, dtype, codebooks, products, beam, beam, codes, where);
  });
  m.def("rq_decode", [](Array codes, Array codebooks, Array x, Where where) {
    const Rq p = {pointer<const float>(codebooks), nullptr, nullptr, nullptr, count(codebooks), columns(x), 0, 0};
    return rq_decode(codes_of(codes), p, pointer<float>(x), call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
