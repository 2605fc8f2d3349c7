#include <vector>

#include "../cluster.h"
#include "bind.h"

namespace embcodec {
namespace {

Pq pq_of(const F32& codebooks) {
  return {codebooks.data(), nullptr, codebooks.shape(0), codebooks.shape(1), codebooks.shape(2)};
}

Rows subspace_of(const Rows& x, int64_t s, int64_t dsub) {
  Rows part = x;
  part.data += s * dsub * x.col_stride;
  part.d = dsub;
  return part;
}

// Each subspace is copied out first: k-means reads its few dimensions many times over.
int64_t fit_subspaces(const Kernels& kernels, const Rows& x, int64_t m, int64_t ksub, int iterations, uint64_t seed,
                      float* codebooks, int threads) {
  const int64_t bad = lowest_bad_row(x.n, kRowGrain, threads, row_scratch(x.d), [&](Range r, float* scratch) {
    return kernels.convert_rows(x, nullptr, r, scratch);
  });
  if (bad != kAllFinite) return bad;
  const int64_t dsub = x.d / m;
  std::vector<float> values(static_cast<size_t>(x.n * dsub));
  std::vector<int32_t> ids(static_cast<size_t>(x.n));
  const Rows copy = {reinterpret_cast<const char*>(values.data()), x.n, dsub, 4 * dsub, 4, Dtype::f32};
  for (int64_t s = 0; s < m; ++s) {
    const Rows part = subspace_of(x, s, dsub);
    parallel_ranges(x.n, kRowGrain, threads, row_scratch(dsub),
                    [&](Range r, float* scratch) { kernels.convert_rows(part, values.data(), r, scratch); });
    kmeans(kernels, copy, ksub, iterations, seed + static_cast<uint64_t>(s), nullptr, codebooks + s * ksub * dsub,
           ids.data(), nullptr, threads);
  }
  return kAllFinite;
}

void pq_fit(const py::array& x, int dtype, int64_t m, int bits, int iterations, uint64_t seed, F32 codebooks,
            int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  float* out = codebooks.mutable_data();
  int64_t bad;
  {
    py::gil_scoped_release release;
    bad = fit_subspaces(kernels, rows, m, int64_t{1} << bits, iterations, seed, out, threads);
  }
  if (bad != kAllFinite) refuse_row("pq_fit", bad);
}

void pq_encode(const py::array& x, int dtype, const F32& codebooks, U8 codes, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Rows rows = rows_of(x, dtype);
  Pq pq = pq_of(codebooks);
  const int64_t size = packed_floats(pq.ksub, pq.dsub);
  std::vector<float> packed(static_cast<size_t>(pq.m * size));
  for (int64_t s = 0; s < pq.m && rows.n >= few_rows(pq.dsub); ++s)
    kernels.codebook_pack(pq.codebooks + s * pq.ksub * pq.dsub, pq.ksub, pq.dsub, packed.data() + s * size);
  pq.packed = packed.data();
  const CodesOut out = codes_out(codes);
  encode_rows("pq_encode", rows.n, threads, nearest_scratch(rows.d, pq.ksub, pq.m),
              [&](Range r, float* scratch) { return kernels.pq_encode(rows, pq, out, r, scratch); });
}

void pq_decode(const RowArray& codes, const F32& codebooks, F32 x, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Pq pq = pq_of(codebooks);
  const RowsOut out = rows_out(x);
  decode_rows(from.n, threads, 0, [&](Range r, float*) { kernels.pq_decode(from, pq, out, r); });
}

void pq_tables(const F32& queries, const F32& codebooks, int metric, F32 tables, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Pq pq = pq_of(codebooks);
  const Queries from = {queries.data(), nullptr, nullptr, queries.shape(0), queries.shape(1), queries.shape(1)};
  const int64_t size = pq.m * pq.ksub;
  float* out = tables.mutable_data();
  py::gil_scoped_release release;
  parallel_ranges(from.n, kQueryGrain, threads, pq_tables_scratch(pq.m, pq.ksub, pq.dsub),
                  [&](Range r, float* scratch) {
                    kernels.pq_tables(pq, from, static_cast<Metric>(metric), out + r.begin * size, r, scratch);
                  });
}

void pq_topk(const CodeArray& codes, const F32& codebooks, const F32& queries, int k, int metric, const Mask& mask,
             const MaybeF32& centroids, const MaybeI32& centroid, F32 scores, I64 ids, int threads, int isa) {
  const Kernels& kernels = kernels_of(isa);
  const Codes from = codes_of(codes);
  const Pq pq = pq_of(codebooks);
  const PaddedRows padded(centroids, pq.m * pq.dsub);
  const Coarse coarse = coarse_of(padded, centroid);
  topk_rows("pq_topk", kernels, from.n, queries, k, metric, mask, scores, ids, threads,
            pq_topk_scratch(pq.m, pq.ksub, pq.dsub, queries.shape(0), coarse.count),
            [&](const Scan& scan, Range rows, Range part, float* scratch) {
              kernels.pq_topk(from, pq, coarse, scan, rows, part, scratch);
              return kAllFinite;
            });
}

}  // namespace

void register_pq(py::module_& m) {
  m.def("pq_fit", &pq_fit);
  m.def("pq_encode", &pq_encode);
  m.def("pq_decode", &pq_decode);
  m.def("pq_tables", &pq_tables);
  m.def("pq_topk", &pq_topk);
}

}  // namespace embcodec
