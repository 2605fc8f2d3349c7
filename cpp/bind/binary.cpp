#include "bind.h"

namespace embcodec {
namespace {

bool is_msb(int order) { return order == 0; }

void bits_encode(const py::array& x, int dtype, const F32& threshold, int order, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const CodesOut out = codes_out(codes);
  const float* thresholds = threshold.data();
  encode_rows("bits_encode", rows.n, threads, row_scratch(rows.d), [&](Range r, float* scratch) {
    return kernels.bits_encode(rows, thresholds, is_msb(order), out, r, scratch);
  });
}

void bits_decode(const RowArray& codes, int64_t d, const F32& low, const F32& high, int order, F32 x, int threads,
                 int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const BitsParams params = {low.data(), high.data(), d, is_msb(order)};
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, row_scratch(d),
              [&](Range r, float* scratch) { kernels.bits_decode(from, params, out, r, scratch); });
}

void hamming_topk(const RowArray& codes, const U8& queries, int k, const Mask& mask, F32 scores, I64 ids, int threads,
                  int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes), wanted = codes_of(queries);
  const int64_t bytes = codes.shape(1);
  const uint8_t* allowed = allowed_by(mask);
  float* scores_out = scores.mutable_data();
  int64_t* ids_out = ids.mutable_data();
  py::gil_scoped_release release;
  scan_in_parallel(
      from.n, wanted.n, k, threads, 0,
      [&](TopK* best, Range rows, Range part, float*) {
        kernels.hamming_topk(from, wanted, bytes, allowed, best, rows, part);
        return kAllFinite;
      },
      scores_out, ids_out);
}

void bits_topk(const CodeArray& codes, const F32& queries, int k, const F32& low, const F32& high, int order,
               int metric, const Mask& mask, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const BitsParams params = {low.data(), high.data(), low.size(), is_msb(order)};
  topk_rows("bits_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            code_scan_scratch(params.d, queries.shape(0)),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.bits_topk(from, params, scan, rows, part, scratch);
              return kAllFinite;
            });
}

}  // namespace

void register_binary(py::module_& m) {
  m.def("bits_encode", &bits_encode);
  m.def("bits_decode", &bits_decode);
  m.def("hamming_topk", &hamming_topk);
  m.def("bits_topk", &bits_topk);
}

}  // namespace embcodec
