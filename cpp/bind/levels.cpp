#include "../row/levels.h"

#include "bind.h"

namespace embcodec {
namespace {

LevelsParams params_of(const F32& levels, const F32& step) {
  int bits = 0;
  while (int64_t{1} << bits < levels.size()) ++bits;
  return {levels.data(), nullptr, step.data(), nullptr, step.size(), bits};
}

// What an encoder needs beside: where levels part, and 1 / step.
struct EncoderParams {
  EncoderParams(const F32& levels, const F32& step)
      : midpoints(static_cast<size_t>(levels.size() - 1)), inverse(inverse_of(step)), params(params_of(levels, step)) {
    std::transform(levels.data(), levels.data() + midpoints.size(), levels.data() + 1, midpoints.begin(),
                   [](float lower, float upper) { return level_midpoint(lower, upper); });
    params.midpoints = midpoints.data();
    params.inverse = inverse.data();
  }
  EncoderParams(const EncoderParams&) = delete;
  std::vector<float> midpoints, inverse;
  LevelsParams params;
};

void levels_encode(const py::array& x, int dtype, const F32& levels, const F32& step, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const EncoderParams encoder(levels, step);
  const CodesOut out = codes_out(codes);
  encode_rows("levels_encode", rows.n, threads, row_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.levels_encode(rows, encoder.params, out, r, scratch); });
}

void levels_decode(const RowArray& codes, const F32& levels, const F32& step, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const LevelsParams params = params_of(levels, step);
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, 0,
              [&](Range r, float* scratch) { kernels.levels_decode(from, params, out, r, scratch); });
}

void levels_topk(const CodeArray& codes, const F32& levels, const F32& step, const F32& queries, int k, int metric,
                 const Mask& mask, const MaybeArray& factor, const MaybeF32& centroids, const MaybeI32& centroid,
                 const MaybeArray& shift, const MaybeF32& direction, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const LevelsParams params = params_of(levels, step);
  const int64_t d = queries.shape(1);  // centroids may have dimensions beyond those of the codes
  const PaddedRows padded(centroids, d), along(direction, params.d, padded16(d));
  const RowExtras extras = {column_of(factor), coarse_of(padded, centroid), column_of(shift), along.data()};
  topk_rows("levels_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            code_scan_scratch(d, queries.shape(0), extras.coarse.count),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.levels_topk(from, params, extras, scan, rows, part, scratch);
              return kAllFinite;
            });
}

void shape_encode(const py::array& x, int dtype, const F32& levels, const F32& step, const F32& direction,
                  const F32& scales, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  EncoderParams encoder(levels, step);
  const PaddedRows steps(step, rows.d), line(direction, rows.d);
  encoder.inverse.resize(static_cast<size_t>(padded16(rows.d)));
  ShapeParams params = {encoder.params, line.data(), scales.data(), scales.size()};
  params.levels.step = steps.data();
  params.levels.inverse = encoder.inverse.data();
  const CodesOut out = codes_out(codes);
  encode_rows("shape_encode", rows.n, threads, shape_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.shape_encode(rows, params, out, r, scratch); });
}

void shape_decode(const RowArray& codes, const F32& levels, const F32& step, const F32& direction, F32 x, int threads,
                  int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const PaddedRows line(direction, direction.size());
  const ShapeParams params = {params_of(levels, step), line.data(), nullptr, 0};
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, 0, [&](Range r, float*) { kernels.shape_decode(from, params, out, r); });
}

}  // namespace

void register_levels(py::module_& m) {
  m.def("levels_encode", &levels_encode);
  m.def("levels_decode", &levels_decode);
  m.def("levels_topk", &levels_topk);
  m.def("shape_encode", &shape_encode);
  m.def("shape_decode", &shape_decode);
}

}  // namespace embcodec
