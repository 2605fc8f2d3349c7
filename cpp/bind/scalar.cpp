#include "bind.h"

namespace embcodec {
namespace {

void sq_encode(const py::array& x, int dtype, const F32& lo, const F32& step, int bits, U8 codes, int threads,
               int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const std::vector<float> inverse = inverse_of(step);
  const SqParams params = {lo.data(), step.data(), inverse.data(), rows.d, bits};
  const CodesOut out = codes_out(codes);
  encode_rows("sq_encode", rows.n, threads, row_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.sq_encode(rows, params, out, r, scratch); });
}

void sq_decode(const RowArray& codes, const F32& lo, const F32& step, int bits, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const SqParams params = {lo.data(), step.data(), nullptr, lo.size(), bits};
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, row_scratch(params.d),
              [&](Range r, float* scratch) { kernels.sq_decode(from, params, out, r, scratch); });
}

void sq_topk(const RowArray& codes, const F32& lo, const F32& step, const F32& queries, int k, int bits, int metric,
             const Mask& mask, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const SqParams params = {lo.data(), step.data(), nullptr, lo.size(), bits};
  topk_rows("sq_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            code_scan_scratch(params.d, queries.shape(0)),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.sq_topk(from, params, scan, rows, part, scratch);
              return kAllFinite;
            });
}

void rowsq_encode(const py::array& x, int dtype, int bits, U8 codes, F32 scale, F32 offset, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const CodesOut out = codes_out(codes);
  float *scales = scale.mutable_data(), *offsets = offset.mutable_data();
  encode_rows("rowsq_encode", rows.n, threads, row_scratch(rows.d), [&](Range r, float* scratch) {
    return kernels.rowsq_encode(rows, bits, out, scales, offsets, r, scratch);
  });
}

void rowsq_decode(const RowArray& codes, const F32& scale, const F32& offset, int64_t d, int bits, F32 x, int threads,
                  int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const RowSqParams params = {scale.data(), offset.data(), d, bits};
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, row_scratch(params.d),
              [&](Range r, float* scratch) { kernels.rowsq_decode(from, params, out, r, scratch); });
}

void rowsq_topk(const RowArray& codes, const F32& scale, const F32& offset, const F32& queries, int k, int bits,
                int metric, const Mask& mask, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const RowSqParams params = {scale.data(), offset.data(), queries.shape(1), bits};
  topk_rows("rowsq_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            code_scan_scratch(params.d, queries.shape(0)),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.rowsq_topk(from, params, scan, rows, part, scratch);
              return kAllFinite;
            });
}

void half_encode(const py::array& x, int dtype, int half, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const CodesOut out = codes_out(codes);
  encode_rows("half_encode", rows.n, threads, row_scratch(rows.d), [&](Range r, float* scratch) {
    return kernels.half_encode(rows, static_cast<Dtype>(half), out, r, scratch);
  });
}

void half_decode(const RowArray& codes, int half, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const int64_t d = x.shape(1);
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, 0,
              [&](Range r, float*) { kernels.half_decode(from, d, static_cast<Dtype>(half), out, r); });
}

// Gives kAllFinite or a bad row, the lowest.
int64_t search_rows(const Rows& from, const F32& queries, int k, int metric, const Mask& mask, F32& scores, I64& ids,
                    int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  return topk_bad_row(kernels, from.n, queries, k, metric, mask, scores, ids, threads,
                      scan_scratch(from.d, queries.shape(0)),
                      [&](const Scan& scan, Range rows, Range part, float* scratch) {
                        return kernels.flat_topk(from, scan, rows, part, scratch);
                      });
}

// Codes of halves are rows of halves.
void half_topk(const RowArray& codes, const F32& queries, int k, int half, int metric, const Mask& mask, F32 scores,
               I64 ids, int threads, int isa) {
  const Codes from = codes_of(codes);
  const Rows rows = {
      reinterpret_cast<const char*>(from.data), from.n, queries.shape(1), from.stride, 2, static_cast<Dtype>(half)};
  const int64_t bad = search_rows(rows, queries, k, metric, mask, scores, ids, threads, isa);
  if (bad != kAllFinite) refuse_row("half_topk", bad, "codes have");
}

void flat_topk(const py::array& x, int dtype, const F32& queries, int k, int metric, const Mask& mask, F32 scores,
               I64 ids, int threads, int isa) {
  const int64_t bad = search_rows(rows_of(x, dtype), queries, k, metric, mask, scores, ids, threads, isa);
  if (bad != kAllFinite) refuse_row("flat_topk", bad);
}

}  // namespace

void register_scalar(py::module_& m) {
  m.def("sq_encode", &sq_encode);
  m.def("sq_decode", &sq_decode);
  m.def("sq_topk", &sq_topk);
  m.def("rowsq_encode", &rowsq_encode);
  m.def("rowsq_decode", &rowsq_decode);
  m.def("rowsq_topk", &rowsq_topk);
  m.def("half_encode", &half_encode);
  m.def("half_decode", &half_decode);
  m.def("half_topk", &half_topk);
  m.def("flat_topk", &flat_topk);
}

}  // namespace embcodec
