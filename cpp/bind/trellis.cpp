#include "bind.h"

namespace embcodec {
namespace {

// The parameters as the kernels want them, and the memory of what is derived.
struct Trellis {
  Trellis(const I8& codebooks, const F32& step, const U8& rates, const MaybeF32& factors = {})
      : p(), inverse(inverse_of(step)) {
    p.codebooks = codebooks.data();
    p.step = step.data();
    p.rates = rates.data();
    p.factors = factors ? factors->data() : nullptr;
    p.d = step.size();
    trellis_plan(p);
    p.inverse = inverse.data();
  }
  TrellisParams p;
  std::vector<float> inverse;
};

void trellis_encode(const py::array& x, int dtype, const I8& codebooks, const F32& step, const U8& rates,
                    const F32& weight, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  Trellis trellis(codebooks, step, rates);
  trellis.p.weight = weight.data();
  const CodesOut out = codes_out(codes);
  encode_rows("trellis_encode", rows.n, threads, trellis_scratch(rows.d),
              [&](Range r, float* scratch) { return kernels.trellis_encode(rows, trellis.p, out, r, scratch); });
}

void trellis_decode(const RowArray& codes, const I8& codebooks, const F32& step, const U8& rates,
                    const MaybeF32& factors, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Trellis trellis(codebooks, step, rates, factors);
  float* out = x.mutable_data();
  decode_rows(from.n, threads, levels_scratch(trellis.p.d),
              [&](Range r, float* scratch) { kernels.trellis_decode(from, trellis.p, out, r, scratch); });
}

void trellis_topk(const RowArray& codes, const I8& codebooks, const F32& step, const U8& rates, const F32& queries,
                  int k, int metric, const Mask& mask, const MaybeF32& factors, const MaybeF32& centroids,
                  const std::optional<RowArray>& centroid, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Trellis trellis(codebooks, step, rates, factors);
  const int64_t d = trellis.p.d;
  const PaddedRows padded(centroids, d);
  const Coarse coarse = coarse_of(padded, centroid);
  topk_rows("trellis_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            int_scan_scratch(d, queries.shape(0), coarse.count),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.trellis_topk(from, trellis.p, coarse, scan, rows, part, scratch);
              return kAllFinite;
            });
}

}  // namespace

void register_trellis(py::module_& m) {
  m.def("trellis_encode", &trellis_encode);
  m.def("trellis_decode", &trellis_decode);
  m.def("trellis_topk", &trellis_topk);
}

}  // namespace embcodec
