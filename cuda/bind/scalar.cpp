#include "bind.h"

namespace embcodec {
namespace cuda {
namespace {

SqParams sq_params(const Array& lo, const Array& step, int bits) {
  return {pointer<const float>(lo), pointer<const float>(step), nullptr, count(lo), bits};
}

RowSqParams rowsq_params(const Array& scale, const Array& offset, int64_t d, int bits) {
  return {pointer<const float>(scale), pointer<const float>(offset), d, bits};
}

}  // namespace

void register_scalar(py::module_& m) {
  m.def("sq_encode", [](Array x, int dtype, Array lo, Array step, int bits, Array codes, Where where) {
    return sq_encode(rows_of(x, dtype), sq_params(lo, step, bits), codes_out(codes), call_of(where));
  });
  m.def("sq_decode", [](Array codes, Array lo, Array step, int bits, Array x, Where where) {
    return sq_decode(codes_of(codes), sq_params(lo, step, bits), pointer<float>(x), call_of(where));
  });
  m.def("sq_topk", [](Array codes, Array lo, Array step, Array queries, int64_t k, int bits, int metric, Array mask,
                      Array scores, Array ids, Where where) {
    return sq_topk(codes_of(codes), sq_params(lo, step, bits), search_of(queries, k, metric, mask, scores, ids),
                   call_of(where));
  });
  m.def("rowsq_encode", [](Array x, int dtype, int bits, Array codes, Array scale, Array offset, Where where) {
    return rowsq_encode(rows_of(x, dtype), bits, codes_out(codes), pointer<float>(scale), pointer<float>(offset),
                        call_of(where));
  });
  m.def("rowsq_decode", [](Array codes, Array scale, Array offset, int64_t d, int bits, Array x, Where where) {
    return rowsq_decode(codes_of(codes), rowsq_params(scale, offset, d, bits), pointer<float>(x), call_of(where));
  });
  m.def("rowsq_topk", [](Array codes, Array scale, Array offset, Array queries, int64_t k, int bits, int metric,
                         Array mask, Array scores, Array ids, Where where) {
    return rowsq_topk(codes_of(codes), rowsq_params(scale, offset, columns(queries), bits),
                      search_of(queries, k, metric, mask, scores, ids), call_of(where));
  });
  m.def("half_encode", [](Array x, int dtype, int half, Array codes, Where where) {
    return half_encode(rows_of(x, dtype), static_cast<Dtype>(half), codes_out(codes), call_of(where));
  });
  m.def("half_decode", [](Array codes, int half, Array x, Where where) {
    return half_decode(codes_of(codes), columns(x), static_cast<Dtype>(half), pointer<float>(x), call_of(where));
  });
  m.def("half_topk", [](Array codes, Array queries, int64_t k, int half, int metric, Array mask, Array scores,
                        Array ids, Where where) {
    const Rows rows = {pointer<const char>(codes), count(codes), columns(queries), stride(codes), 2,
                       static_cast<Dtype>(half)};
    return flat_topk(rows, search_of(queries, k, metric, mask, scores, ids), call_of(where));
  });
  m.def("flat_topk",
        [](Array x, int dtype, Array queries, int64_t k, int metric, Array mask, Array scores, Array ids, Where where) {
          return flat_topk(rows_of(x, dtype), search_of(queries, k, metric, mask, scores, ids), call_of(where));
        });
}

}  // namespace cuda
}  // namespace embcodec
