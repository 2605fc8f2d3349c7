#include "bind.h"

namespace embcodec {
namespace {

// What the encoder looks up of codebooks (m, 256, d).
struct Prepared {
  std::vector<float> panels, half;

  Prepared(const Kernels& kernels, const F32& codebooks) {
    const int64_t words = codebooks.shape(0) * codebooks.shape(1), d = codebooks.shape(2);
    const float* values = codebooks.data();
    panels.resize(static_cast<size_t>(words * d));
    kernels.rq_pack(values, words, d, panels.data());
    std::vector<float> padded(static_cast<size_t>(padded16(d)));
    for (int64_t w = 0; w < words; ++w, values += d) {
      std::copy_n(values, d, padded.data());
      half.push_back(kernels.dot(padded.data(), padded.data(), padded16(d)) * 0.5f);
    }
  }
};

// The `keep` best of `beam` paths for each row.
void encode_paths(const char* kernel, const py::array& x, int dtype, const F32& codebooks, const F32& products,
                  int64_t beam, int64_t keep, U8& codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  const Prepared prepared(kernels, codebooks);
  const Rq rq = {codebooks.data(),
                 prepared.panels.data(),
                 prepared.half.data(),
                 products.data(),
                 codebooks.shape(0),
                 codebooks.shape(2),
                 beam,
                 keep};
  const CodesOut out = {codes.mutable_data(), keep * rq.m};
  encode_rows(kernel, rows.n, threads, rq_encode_scratch(rq.d, rq.m, beam),
              [&](Range r, float* scratch) { return kernels.rq_encode(rows, rq, out, r, scratch); });
}

void rq_encode(const py::array& x, int dtype, const F32& codebooks, const F32& products, int beam, U8 codes,
               int threads, int isa) {
  encode_paths("rq_encode", x, dtype, codebooks, products, beam, 1, codes, threads, isa);
}

void rq_beam(const py::array& x, int dtype, const F32& codebooks, const F32& products, int beam, U8 codes, int threads,
             int isa) {
  encode_paths("rq_beam", x, dtype, codebooks, products, beam, beam, codes, threads, isa);
}

void rq_decode(const RowArray& codes, const F32& codebooks, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Rq rq = {codebooks.data(), nullptr, nullptr, nullptr, codebooks.shape(0), codebooks.shape(2), 0, 0};
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, 0, [&](Range r, float*) { kernels.rq_decode(from, rq, out, r); });
}

}  // namespace

void register_rq(py::module_& m) {
  m.def("rq_encode", &rq_encode);
  m.def("rq_beam", &rq_beam);
  m.def("rq_decode", &rq_decode);
}

}  // namespace embcodec
