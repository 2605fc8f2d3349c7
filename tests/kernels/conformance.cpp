// Every function of the table of kernels, on every level (or the one that is named) against the scalar level: the same
// inputs, the same bytes (or, for assignments, distances as good). Every array has exactly its size, so that
// AddressSanitizer sees a step beyond it. The Python conformance test compares with the references; this one runs where
// Python's memory hides mistakes.
#include <array>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>

#include "../../cpp/parallel.h"
#include "../../cpp/row/levels.h"
#include "conformance_cases.h"

namespace {

using namespace embcodec;

void scalar_family(Results& out, const Kernels& k, Case c) {
  const Range r = {0, c.n};
  const auto room = [&](int64_t nq) { return code_scan_scratch(c.d, nq); };
  for (const int bits : {8, 6, 4}) {
    const Exact<float> lo = c.floats(c.d, -2, 0), step = c.floats(c.d, 0, 0.1f), scratch(row_scratch(c.d));
    Exact<float> inverse(c.d), y(c.n * c.d), scale(c.n), offset(c.n);
    for (int64_t j = 0; j < c.d; ++j) inverse[j] = step[j] > 0 ? 1 / step[j] : 0;
    const int64_t size = (c.d * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size);
    const Codes from = {codes.get(), c.n, size};
    const SqParams p = {lo.get(), step.get(), inverse.get(), c.d, bits};
    k.sq_encode(c.rows(), p, {codes.get(), size}, r, scratch.get());
    out.add("sq_encode", codes);
    add_decoded(out, "sq_decode", y, [&](RowsOut to) { k.sq_decode(from, p, to, r, scratch.get()); });
    add_scan(out, "sq_topk", k, c, room,
             [&](const Scan& s, Range rows, Range part, float* m) { k.sq_topk(from, p, s, rows, part, m); });
    k.rowsq_encode(c.rows(), bits, {codes.get(), size}, scale.get(), offset.get(), r, scratch.get());
    out.add("rowsq_encode", codes);
    out.add("rowsq_encode", scale);
    out.add("rowsq_encode", offset);
    const RowSqParams rp = {scale.get(), offset.get(), c.d, bits};
    add_decoded(out, "rowsq_decode", y, [&](RowsOut to) { k.rowsq_decode(from, rp, to, r, scratch.get()); });
    add_scan(out, "rowsq_topk", k, c, room,
             [&](const Scan& s, Range rows, Range part, float* m) { k.rowsq_topk(from, rp, s, rows, part, m); });
  }
  for (const Dtype half : {Dtype::f16, Dtype::bf16}) {
    const Exact<float> scratch(row_scratch(c.d)), y(c.n * c.d);
    const int64_t size = 2 * c.d;
    const Exact<uint8_t> codes(c.n * size + 1);  // from an odd address on
    k.half_encode(c.rows(), half, {codes.get() + 1, size}, r, scratch.get());
    out.add("half_encode", codes);
    add_decoded(out, "half_decode", y,
                [&](RowsOut to) { k.half_decode({codes.get() + 1, c.n, size}, c.d, half, to, r); });
    const Rows halves = {reinterpret_cast<const char*>(codes.get() + 1), c.n, c.d, size, 2, half};
    const auto search = [&](const Scan& s, Range rows, Range part, float* m) {
      for (int64_t q = part.begin; s.queries.n < kManyQueries && q < part.end; ++q)
        k.flat_topk(halves, s, rows, {q, q + 1}, m);
      if (s.queries.n >= kManyQueries) k.flat_topk(halves, s, rows, part, m);
    };
    add_scan(out, "flat_topk", k, c, room, search);
  }
  add_scan(out, "flat_topk", k, c, room,
           [&](const Scan& s, Range rows, Range part, float* m) { k.flat_topk(c.rows(), s, rows, part, m); });
}

// Levels some of which are equal, or that lie evenly, a step that is 0; the scan with factors, shifts and centroids,
// which may be wider.
void levels_family(Results& out, const Kernels& k, Case c) {
  const int64_t stride = padded16(c.d);
  for (int bits = 1; bits <= 8; ++bits) {
    Exact<float> levels = c.floats(1 << bits, -2, 2), midpoints((1 << bits) - 1), step = c.floats(c.d, 0.5f, 2);
    std::sort(levels.get(), levels.get() + levels.n);
    levels[levels.n - 1] = levels[levels.n - 2];
    for (int64_t i = 0; bits > 4 && c.n % 2 && i < levels.n; ++i) levels[i] = 0.03f * static_cast<float>(i) - 2.0f;
    for (int64_t i = 0; i < midpoints.n; ++i) midpoints[i] = level_midpoint(levels[i], levels[i + 1]);
    step[0] = 0;
    Exact<float> inverse(c.d), y(c.n * c.d), centroids = c.floats(2 * stride, -1, 1);
    const Exact<float> scratch(row_scratch(c.d)), factor = c.floats(c.n, 0.5f, 2), shift = c.floats(c.n, -9, 9);
    const Exact<int32_t> centroid(c.n);
    for (int64_t j = 0; j < c.d; ++j) inverse[j] = step[j] > 0 ? 1 / step[j] : 0;
    for (int64_t j = 0; j < 2 * stride; ++j) centroids[j] *= static_cast<float>(j % stride < c.d);
    for (int64_t i = 0; i < c.n; ++i) centroid[i] = static_cast<int32_t>(i % 2);
    const int64_t size = (c.d * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size);
    const Codes from = {codes.get(), c.n, size};
    const LevelsParams p = {levels.get(), midpoints.get(), step.get(), inverse.get(), c.d, bits};
    k.levels_encode(c.rows(), p, {codes.get(), size}, {0, c.n}, scratch.get());
    out.add("levels_encode", codes);
    Exact<float> line = c.floats(stride, -0.1f, 0.1f), steps(stride), inverses(stride);
    for (int64_t j = 0; j < stride; ++j) {
      line[j] *= static_cast<float>(j < c.d);
      if (j < c.d) steps[j] = step[j], inverses[j] = inverse[j];
    }
    const Exact<float> scales = c.floats(1 + bits % 3, 0.7f, 1.4f), shape_room(shape_scratch(c.d));
    const Exact<uint8_t> shapes(c.n * (size + 3));
    const ShapeParams sp = {
        {levels.get(), midpoints.get(), steps.get(), inverses.get(), c.d, bits}, line.get(), scales.get(), scales.n};
    k.shape_encode(c.rows(), sp, {shapes.get(), size + 3}, {0, c.n}, shape_room.get());
    out.add("shape_encode", shapes);
    const ShapeParams of_decoder = {{levels.get(), nullptr, step.get(), nullptr, c.d, bits}, line.get(), nullptr, 0};
    add_decoded(out, "shape_decode", y,
                [&](RowsOut to) { k.shape_decode({shapes.get(), c.n, size + 3}, of_decoder, to, {0, c.n}); });
    const Exact<uint8_t> columns = in_columns(codes, c.n);
    add_decoded(out, "levels_decode", y, [&](RowsOut to) { k.levels_decode(from, p, to, {0, c.n}, scratch.get()); });
    for (const RowExtras& e :
         {RowExtras{{Column::f32, reinterpret_cast<const char*>(factor.get()), 4},
                    {nullptr, nullptr, 0},
                    {Column::i8, reinterpret_cast<const char*>(shift.get()), 4},
                    centroids.get()},
          {{}, {centroids.get(), centroid.get(), 2}, {}, nullptr},
          {{Column::f16, reinterpret_cast<const char*>(factor.get()), 4}, {centroids.get(), nullptr, 1}, {}, nullptr}})
      for (const Codes& either : {from, Codes{columns.get(), c.n, 1, c.n}})
        add_scan(
            out, "levels_topk", k, c, [&](int64_t nq) { return code_scan_scratch(c.d, nq, e.coarse.count); },
            [&](const Scan& s, Range rows, Range part, float* m) { k.levels_topk(either, p, e, s, rows, part, m); });
    // Rows that go beyond their codes; of some bits, codes that are their own levels.
    Exact<float> plain(1 << bits);
    for (int64_t i = 0; i < plain.n; ++i) plain[i] = static_cast<float>(i);
    const LevelsParams narrow = {
        bits % 2 ? levels.get() : plain.get(), nullptr, step.get(), nullptr, (c.d + 1) / 2, bits};
    const RowExtras beyond = {{}, {centroids.get(), centroid.get(), 2}, {}, nullptr};
    add_scan(
        out, "levels_topk", k, c, [&](int64_t nq) { return code_scan_scratch(c.d, nq, 2); },
        [&](const Scan& s, Range rows, Range part, float* m) {
          k.levels_topk(from, narrow, beyond, s, rows, part, m);
        });
  }
}

void binary_family(Results& out, const Kernels& k, Case c) {
  const int64_t size = (c.d + 7) / 8;
  const Exact<float> threshold = c.floats(c.d, -0.1f, 0.1f), low = c.floats(c.d, -1, 0), high = c.floats(c.d, 0, 1);
  const Exact<uint8_t> queries = c.random_bytes(kMost * size);
  for (const bool msb : {true, false}) {
    const Exact<uint8_t> codes(c.n * size);
    const Exact<float> y(c.n * c.d), scratch(row_scratch(c.d));
    const Codes from = {codes.get(), c.n, size};
    const BitsParams p = {low.get(), high.get(), c.d, msb};
    k.bits_encode(c.rows(), threshold.get(), msb, {codes.get(), size}, {0, c.n}, scratch.get());
    out.add("bits_encode", codes);
    add_decoded(out, "bits_decode", y, [&](RowsOut to) { k.bits_decode(from, p, to, {0, c.n}, scratch.get()); });
    const Exact<uint8_t> columns = in_columns(codes, c.n);
    for (const Codes& either : {from, Codes{columns.get(), c.n, 1, c.n}})
      add_scan(
          out, "bits_topk", k, c, [&](int64_t nq) { return code_scan_scratch(c.d, nq); },
          [&](const Scan& s, Range rows, Range part, float* m) { k.bits_topk(either, p, s, rows, part, m); });
    add_scan(
        out, "hamming_topk", k, c, [](int64_t) { return 0; },
        [&](const Scan& s, Range rows, Range part, float*) {
          k.hamming_topk(from, {queries.get(), kMost, size}, size, s.mask, s.best, rows, part);
        });
  }
}

// To the smallest size of each order that holds d, as many blocks as it wants, and back.
void rotation_family(Results& out, const Kernels& k, Case c) {
  for (const int64_t m : {1, 12, 20}) {
    int64_t size = m;
    while (size < c.d) size *= 2;
    const Exact<float> signs = c.signs(size), y(c.n * size), z(c.n * size);
    const Exact<float> there(rotation_scratch(c.d, size)), back(rotation_scratch(size, size));
    const float scale = 1 / std::sqrt(static_cast<float>(size));
    const Rows rotated = {reinterpret_cast<const char*>(y.get()), c.n, size, 4 * size, 4, Dtype::f32};
    add_decoded(out, "hadamard_rotate", y, [&](RowsOut to) {
      k.hadamard_rotate(c.rows(), {signs.get(), size, scale, false}, to, {0, c.n}, there.get());
    });
    add_decoded(out, "hadamard_rotate", z, [&](RowsOut to) {
      k.hadamard_rotate(rotated, {signs.get(), size, scale, true}, to, {0, c.n}, back.get());
    });
  }
}

// By columns that fill a panel and that do not, with a mean and without.
void projection_family(Results& out, const Kernels& k, Case c) {
  const Exact<float> mean = c.floats(c.d, -1, 1), scratch(projection_scratch(c.d));
  for (const int64_t columns : {1, 16, 131}) {
    const Exact<float> matrix = c.floats(c.d * columns, -1, 1), y(c.n * columns);
    for (const float* less : {mean.get(), static_cast<float*>(nullptr)}) {
      k.project(c.rows(), {matrix.get(), less, c.d, columns}, y.get(), {0, c.n}, scratch.get());
      out.add("project", y);
    }
  }
}

void cluster_family(Results& out, const Kernels& k, Case c) {
  constexpr int64_t kClusters = 21;
  const Range r = {0, c.n};
  const Exact<float> book = c.floats(kClusters * c.d, -1, 1), packed(packed_floats(kClusters, c.d)), means(2 * c.d);
  const Exact<float> scratch(nearest_scratch(c.d, kClusters)), few(means_scratch(c.d)), row(row_scratch(c.d));
  const Exact<int32_t> ids(c.n);
  k.codebook_pack(book.get(), kClusters, c.d, packed.get());
  k.vq_encode(c.rows(), {book.get(), packed.get(), kClusters, c.d}, ids.get(), r, scratch.get());
  for (int64_t i = 0; i < c.n; ++i)
    out.add("vq_encode", near_enough(c.x.get() + i * c.d, book.get(), kClusters, c.d, ids[i]));

  Exact<uint32_t> order(c.n);  // the first cluster takes the last third of the rows, the second the others
  for (int64_t i = 0; i < c.n; ++i) order[i] = static_cast<uint32_t>(c.n - 1 - i);
  const int64_t starts[] = {0, c.n / 3, c.n};
  k.cluster_means(c.rows(), order.get(), starts, means.get(), {0, 2}, few.get());
  out.add("cluster_means", means);
  for (int64_t i = 0; i < c.n; ++i) ids[i] = static_cast<int32_t>(i % kClusters);
  const Exact<double> errors(c.n);
  k.squared_errors(c.rows(), book.get(), ids.get(), errors.get(), r, row.get());
  out.add("squared_errors", errors);
}

// Rows of every element type, side by side and two apart, and read from the last to the first.
void conversions(Results& out, const Kernels& k, Case c) {
  const int sizes[] = {4, 2, 2, 8};
  for (int dtype = 0; dtype < 4; ++dtype)
    for (const int64_t apart : {1, 2}) {
      const int64_t size = sizes[dtype], columns = apart * size, stride = c.d * columns;
      const Exact<char> data(c.n * stride);
      for (int64_t i = 0; i < c.n * c.d; ++i) {
        const double wide = c.x[i];
        const uint16_t half = static_cast<uint16_t>(c.rng() & 0xbbff);  // no exponent of all ones
        const void* from = size == 8   ? static_cast<const void*>(&wide)
                           : size == 4 ? static_cast<const void*>(&c.x[i])
                                       : &half;
        std::memcpy(data.get() + i * columns, from, static_cast<size_t>(size));
      }
      const char* last = data.get() + (c.n ? (c.n - 1) * stride : 0);
      const Exact<float> y(c.n * c.d), scratch(row_scratch(c.d));
      k.convert_rows({last, c.n, c.d, -stride, columns, static_cast<Dtype>(dtype)}, y.get(), {0, c.n}, scratch.get());
      out.add("convert_rows", y);
    }
}

// Two subspaces where d is even, else one; codes of random bytes for what reads them; the scan without centroids, with
// some, with one. Wide rows of one kind only: however few rows there are, tables take 256 sums a dimension.
void pq_family(Results& out, const Kernels& k, Case c) {
  if (!c.many) return;
  const int64_t m = c.d % 2 ? 1 : c.d % 8 ? 2 : 8, dsub = c.d / m;
  for (const int64_t ksub : {256, 16}) {
    const Exact<float> books = c.floats(c.d * ksub, -1, 1), packed(m * packed_floats(ksub, dsub));
    const Pq p = {books.get(), packed.get(), m, ksub, dsub};
    const int64_t bits = ksub == 256 ? 8 : 4, size = (m * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size);
    const Exact<float> scratch(nearest_scratch(c.d, ksub, m)), y(c.n * c.d), tables(3 * m * ksub);
    for (int64_t s = 0; s < m; ++s)
      k.codebook_pack(books.get() + s * ksub * dsub, ksub, dsub, packed.get() + s * packed_floats(ksub, dsub));
    k.pq_encode(c.rows(), p, {codes.get(), size}, {0, c.n}, scratch.get());
    for (int64_t i = 0; i < c.n; ++i)
      for (int64_t s = 0; s < m; ++s) {
        const int id = bits == 8 ? codes[i * size + s] : codes[i * size + s / 2] >> s % 2 * 4 & 15;
        out.add("pq_encode",
                near_enough(c.x.get() + i * c.d + s * dsub, books.get() + s * ksub * dsub, ksub, dsub, id));
      }
    const Exact<uint8_t> others = c.random_bytes(c.n * size);
    for (int64_t i = 0; i < c.n && bits == 4 && m == 1; ++i) others[i] &= 15;
    const Codes from = {others.get(), c.n, size};
    add_decoded(out, "pq_decode", y, [&](RowsOut to) { k.pq_decode(from, p, to, {0, c.n}); });
    const Exact<float> blocks(pq_tables_scratch(m, ksub, dsub));
    for (const Metric metric : {Metric::ip, Metric::l2}) {
      k.pq_tables(p, {c.q.get(), nullptr, nullptr, 3, c.d, c.d}, metric, tables.get(), {0, 3}, blocks.get());
      out.add("pq_tables", tables);
    }
    const Exact<uint8_t> columns = in_columns(others, c.n);
    constexpr int64_t kCentroids = 21;
    Exact<float> centroids = c.floats(kCentroids * padded16(c.d), -1, 1);
    for (int64_t j = 0; j < centroids.n; ++j) centroids[j] *= static_cast<float>(j % padded16(c.d) < c.d);
    const Exact<int32_t> centroid(c.n);
    for (int64_t i = 0; i < c.n; ++i) centroid[i] = static_cast<int32_t>(c.rng() % kCentroids);
    for (const Codes& either : {from, Codes{columns.get(), c.n, 1, c.n}})
      for (const Coarse& coarse : {Coarse{nullptr, nullptr, 0}, Coarse{centroids.get(), centroid.get(), kCentroids},
                                   Coarse{centroids.get(), nullptr, 1}})
        add_scan(
            out, "pq_topk", k, c, [&](int64_t nq) { return pq_topk_scratch(m, ksub, dsub, nq, coarse.count); },
            [&](const Scan& s, Range rows, Range part, float* x) { k.pq_topk(either, p, coarse, s, rows, part, x); });
  }
}

// Beams narrower than the lanes that bound a stage's values, and wider; products of which many are equal.
void rq_family(Results& out, const Kernels& k, Case c) {
  if (!c.many || c.d > 400) return;
  constexpr int64_t kStages = 3, kWords = kStages * kRqWords;
  const Exact<float> books = c.floats(kWords * c.d, -1, 1), half = c.floats(kWords, 0, 9), y(c.n * c.d);
  const Exact<float> panels(c.d * kWords), products = c.floats(kWords * kRqWords, -9, 9);
  k.rq_pack(books.get(), kWords, c.d, panels.get());
  for (int64_t i = 0; i < products.n; ++i) products[i] = std::round(products[i]);
  for (const auto& [m, beam, keep] : {std::array<int64_t, 3>{kStages, 5, 5}, {kStages, 32, 1}, {1, 70, 70}}) {
    const Exact<float> scratch(rq_encode_scratch(c.d, m, beam));
    const Exact<uint8_t> codes(c.n * keep * m), others = c.random_bytes(c.n * m);
    const Rq p = {books.get(), panels.get(), half.get(), products.get(), m, c.d, beam, keep};
    k.rq_encode(c.rows(), p, {codes.get(), keep * m}, {0, c.n}, scratch.get());
    out.add("rq_encode", codes);
    add_decoded(out, "rq_decode", y, [&](RowsOut to) { k.rq_decode({others.get(), c.n, m}, p, to, {0, c.n}); });
  }
}

template <class Index>
void sparse_family(Results& out, const Kernels& k, const Case& c) {
  constexpr bool wide = sizeof(Index) == 4;
  for (const int64_t kept : {int64_t{1}, (c.d + 9) / 10, (c.d + 1) / 2, c.d}) {
    const Exact<Index> indices(c.n * kept);
    const Exact<float> values(c.n * kept), y(c.n * c.d), scratch(topk_encode_scratch(c.d));
    k.topk_encode(c.rows(), kept, {indices.get(), values.get(), wide}, {0, c.n}, scratch.get());
    out.add("topk_encode", indices);
    out.add("topk_encode", values);
    const int64_t entry = static_cast<int64_t>(sizeof(Index));
    const auto *i = reinterpret_cast<const char*>(indices.get()), *v = reinterpret_cast<const char*>(values.get());
    const Sparse s = {i, v, c.n, kept, entry * kept, 4 * kept, wide};
    k.topk_decode(s, c.d, y.get(), {0, c.n});
    out.add("topk_decode", y);
    add_scan(
        out, "sparse_topk", k, c, [&](int64_t nq) { return sparse_topk_scratch(c.d, nq); },
        [&](const Scan& scan, Range rows, Range part, float* m) { k.sparse_topk(s, scan, rows, part, m); });
  }
}

// With factors or without; with centroids or without.
void trellis_family(Results& out, const Kernels& k, Case c) {
  Exact<int8_t> books(kTrellisBooks * kTrellisLevels);
  for (int64_t i = 0; i < books.n; ++i) books[i] = static_cast<int8_t>(c.rng() % 255) - 127;
  const Exact<float> step = c.floats(c.d, 0.01f, 0.05f), weight = c.floats(c.d, 0, 1);
  const Exact<float> factors = c.floats(256, 0.5f, 2), inverse(c.d), centroids = c.floats(3 * padded16(c.d), -1, 1);
  const Exact<float> codewords = c.floats(2 * kRqWords * padded16(c.d), -1, 1);
  const Exact<uint8_t> rates(c.d);
  constexpr uint8_t falling[] = {12, 10, 8, 6, 4, 2, 1, 0};
  const int64_t units = (c.d + kTrellisUnit - 1) / kTrellisUnit;
  for (int64_t j = 0; j < c.d; ++j) {
    inverse[j] = 1 / step[j];
    rates[j] = c.d == 8 ? 1 : falling[j / kTrellisUnit * 8 / units];
    if (rates[j] == 1 && c.d % 2 && j / kTrellisUnit == units - 1) rates[j] = 0;  // no pairs
  }
  for (const Exact<float>* rows : {&centroids, &codewords})
    for (int64_t i = 0; i < rows->n; i += padded16(c.d))
      for (int64_t j = c.d; j < padded16(c.d); ++j) (*rows)[i + j] = 0;
  const Exact<int32_t> centroid(c.n);
  const Exact<uint8_t> words = c.random_bytes(3 * c.n);
  for (int64_t i = 0; i < c.n; ++i) centroid[i] = static_cast<int32_t>(i % 3);
  TrellisParams p = {};
  p.codebooks = books.get();
  p.step = step.get();
  p.inverse = inverse.get();
  p.weight = weight.get();
  p.rates = rates.get();
  p.d = c.d;
  trellis_plan(p);
  const Exact<uint8_t> codes(c.n * p.bytes), with_factor = c.random_bytes(c.n * (p.bytes + 1));
  const Exact<float> y(c.n * c.d), scratch(trellis_scratch(c.d)), levels(levels_scratch(c.d));
  k.trellis_encode(c.rows(), p, {codes.get(), p.bytes}, {0, c.n}, scratch.get());
  out.add("trellis_encode", codes);
  for (const bool extras : {false, true}) {
    p.factors = extras ? factors.get() : nullptr;
    const Codes from = extras ? Codes{with_factor.get(), c.n, p.bytes + 1} : Codes{codes.get(), c.n, p.bytes};
    k.trellis_decode(from, p, y.get(), {0, c.n}, levels.get());
    out.add("trellis_decode", y);
    for (const Coarse& coarse : {extras ? Coarse{centroids.get(), centroid.get(), 3} : Coarse{nullptr, nullptr, 0},
                                 Coarse{codewords.get(), nullptr, 2 * kRqWords, words.get(), 3, 2}})
      add_scan(
          out, "trellis_topk", k, c, [&](int64_t nq) { return int_scan_scratch(c.d, nq, coarse.count); },
          [&](const Scan& s, Range rows, Range part, float* m) { k.trellis_topk(from, p, coarse, s, rows, part, m); });
  }
}

Results run_all(const Kernels& k, int64_t n, int64_t d, const char* kind) {
  Results out;
  for (const auto family : {scalar_family, levels_family, binary_family, rotation_family, projection_family,
                            cluster_family, conversions, pq_family, rq_family, trellis_family})
    family(out, k, Case(n, d, kind));
  sparse_family<uint16_t>(out, k, Case(n, d, kind));
  sparse_family<uint32_t>(out, k, Case(n, d, kind));
  return out;
}

// Assignments are near-optimal: the scalar level's may differ, but each must be near enough.
bool passes(const std::string& kernel, const Bytes& got, const Bytes& want) {
  if (kernel == "vq_encode" || kernel == "pq_encode") return std::count(got.begin(), got.end(), 0) == 0;
  return got == want;
}

struct Tally {
  int cases = 0, wrong = 0;
};

// Several callers share the pool, each with more tasks than threads.
Tally threads() {
  Tally tally;
  std::vector<std::thread> callers;
  std::vector<int64_t> sums(8);
  for (int64_t& sum : sums)
    callers.emplace_back([&sum] {
      for (int round = 0; round < 50; ++round) {
        std::vector<int64_t> parts(64);
        parallel_for(64, 3, [&](int64_t i, int) { parts[static_cast<size_t>(i)] = i; });
        for (const int64_t part : parts) sum += part;
      }
    });
  for (std::thread& caller : callers) caller.join();
  for (const int64_t sum : sums) {
    ++tally.cases;
    tally.wrong += sum != 50 * 64 * 63 / 2;
  }
  return tally;
}

using Tallies = std::map<std::pair<std::string, std::string>, Tally>;  // by kernel and level
using Run = std::function<Results(const Kernels&)>;

void compare(const std::string& only, Tallies& tallies, std::mutex& mutex, const Run& run) {
  const Kernels* const scalar = levels()[0].kernels;  // the slowest: run once, and judged where results may differ
  const Results want = run(*scalar);
  for (const Level& level : levels()) {
    if (!level.available || (!only.empty() && only != level.name)) continue;
    const Results got = level.kernels == scalar ? want : run(*level.kernels);
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t i = 0; i < want.kernels().size(); ++i) {
      const auto& [kernel, bytes] = got.kernels()[i];
      Tally& tally = tallies[{kernel, level.name}];
      ++tally.cases;
      tally.wrong += !passes(kernel, bytes, want.kernels()[i].second);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string only = count > 1 ? arguments[1] : "";
  std::vector<Run> runs;
  for (const int64_t d : {33, 64})  // enough rows for lookup tables of bytes
    runs.push_back([=](const Kernels& k) {
      Results out;
      for (auto family : {pq_family, binary_family}) family(out, k, Case(4103, d, "normal"));
      return out;
    });
  for (const int64_t d : kDims)
    for (const int64_t n : kRows)
      for (const char* kind : kData) runs.push_back([=](const Kernels& k) { return run_all(k, n, d, kind); });
  Tallies tallies;
  std::mutex mutex;
  std::atomic<size_t> next{0};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    workers.emplace_back([&] {
      for (size_t at; (at = next++) < runs.size();) compare(only, tallies, mutex, runs[at]);
    });
  for (std::thread& worker : workers) worker.join();
  tallies[{"parallel_for", "all"}] = threads();
  int failures = 0;
  for (const auto& [name, tally] : tallies) {
    std::printf("%-16s %-10s %d cases, %d wrong\n", name.first.c_str(), name.second.c_str(), tally.cases, tally.wrong);
    failures += tally.wrong > 0;
  }
  return failures ? 1 : 0;
}
