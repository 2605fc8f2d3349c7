#include "bind.h"

namespace embcodec {
namespace {

// The parameters as the kernels want them, and the memory of what is derived.
struct Trellis {
  Trellis(const I8& codebooks, const F32& step, const U8& rates) : inverse(inverse_of(step)) {
    p = {codebooks.data(), step.data(), nullptr, nullptr, rates.data(), step.size(), 0, 0, 0};
    while (p.coded < p.d && p.rates[p.coded]) ++p.coded;
    for (int64_t j = 0; j < p.coded; j += p.rates[j] == 1 ? 2 : 1)
      if (j > 0) p.last_window += trellis_shift(p.rates[j]);
    p.bytes = (p.last_window + 8 + 7) / 8;
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

void trellis_decode(const py::array& codes, const I8& codebooks, const F32& step, const U8& rates, F32 x, int threads,
                    int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Trellis trellis(codebooks, step, rates);
  float* out = x.mutable_data();
  decode_rows(from.n, threads, 0,
              [&](Range r, float* scratch) { kernels.trellis_decode(from, trellis.p, out, r, scratch); });
}

void trellis_topk(const py::array& codes, const I8& codebooks, const F32& step, const U8& rates, const F32& queries,
                  int k, int metric, const Mask& mask, const MaybeF32& factor, const MaybeF32& centroids,
                  const MaybeI32& centroid, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Trellis trellis(codebooks, step, rates);
  const Extras extras(trellis.p.d, factor, centroids, centroid);
  topk_rows("trellis_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads, scan_scratch(trellis.p.d),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.trellis_topk(from, trellis.p, extras.view(), scan, rows, part, scratch);
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
