#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

bool is_msb(int order) { return order == 0; }

BitsParams bits_params(const Array& low, const Array& high, int order) {
  return {pointer<const float>(low), pointer<const float>(high), count(low), is_msb(order)};
}

}  // namespace

void register_binary(py::module_& m) {
  m.def("bits_encode", [](Array x, int dtype, Array threshold, int order, Array codes, Where where) {
    return bits_encode(rows_of(x, dtype), pointer<const float>(threshold), is_msb(order), codes_out(codes),
                       call_of(where));
  });
  m.def("bits_decode", [](Array codes, int64_t, Array low, Array high, int order, Array x, Where where) {
    return bits_decode(codes_of(codes), bits_params(low, high, order), pointer<float>(x), call_of(where));
  });
  m.def("bits_topk", [](Array codes, Array queries, int64_t k, Array low, Array high, int order, int metric, Array mask,
                        Array scores, Array ids, Where where) {
    return bits_topk(codes_of(codes), bits_params(low, high, order), search_of(queries, k, metric, mask, scores, ids),
                     call_of(where));
  });
  m.def("hamming_topk", [](Array codes, Array queries, int64_t k, Array mask, Array scores, Array ids, Where where) {
    Search search = search_of(queries, k, 0, mask, scores, ids);
    search.d = 0;  // no floats
    return hamming_topk(codes_of(codes), codes_of(queries), columns(codes), search, call_of(where));
  });
}

}  // namespace cuda
}  // namespace embcodec
