// Every CUDA kernel on arrays of exactly their size, for the sanitizers: what the kernels give is tested from Python.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>

#include "../../cuda/launch.h"
#include "machine.h"

namespace {

using namespace embcodec;
using cuda::Call;
using cuda::Search;

std::mt19937 generator(1);

template <class T>
struct Exact {  // exactly n elements on the heap
  explicit Exact(int64_t n) : n(n), data(new T[static_cast<size_t>(n)]()) {}
  T* get() const { return data.get(); }
  T& operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
  int64_t n;
  std::unique_ptr<T[]> data;
};

Exact<float> floats(int64_t n, float low, float high) {
  Exact<float> values(n);
  std::uniform_real_distribution<float> uniform(low, high);
  for (int64_t i = 0; i < n; ++i) values[i] = uniform(generator);
  return values;
}

Exact<uint8_t> bytes(int64_t n, unsigned below) {
  Exact<uint8_t> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = static_cast<uint8_t>(generator() % below);
  return values;
}

// Runs a kernel with the scratch that it asks for; it must refuse nothing.
void run(const std::function<int64_t(const Call&)>& kernel) {
  unsigned long long bad = ~0ull;
  Call call = {nullptr, &bad, nullptr};
  const int64_t needed = kernel(call);
  if (needed) {
    const Exact<char> scratch(needed);
    call.scratch = scratch.get();
    kernel(call);
  }
  if (bad != ~0ull) {
    std::printf("row %llu was refused\n", bad);
    std::exit(1);
  }
}

struct Case {
  Case(int64_t n, int64_t d) : n(n), d(d), x(floats(n * d, -1, 1)), queries(floats(5 * d, -1, 1)), mask(bytes(n, 2)) {}
  Rows rows() const { return {reinterpret_cast<const char*>(x.get()), n, d, 4 * d, 4, Dtype::f32}; }

  // One query and five, with every metric.
  void search(const std::function<int64_t(const Search&, const Call&)>& kernel) const {
    const int64_t k = n < 7 ? n : 7;
    for (const Metric metric : {Metric::ip, Metric::l2, Metric::cosine})
      for (const int64_t nq : {1, 5}) {
        const Exact<float> scores(nq * k);
        const Exact<int64_t> ids(nq * k);
        const Search search = {queries.get(), nq,       d, metric, nq == 1 ? mask.get() : nullptr, k,
                               scores.get(),  ids.get()};
        run([&](const Call& call) { return kernel(search, call); });
      }
  }

  int64_t n, d;
  Exact<float> x, queries;
  Exact<uint8_t> mask;
};

void scalar_family(const Case& c) {
  const Exact<float> lo = floats(c.d, -1, 0), step = floats(c.d, 0.01f, 0.1f), y(c.n * c.d), scale(c.n), offset(c.n);
  for (const int bits : {8, 6, 4}) {
    const int64_t size = (c.d * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size);
    const Codes from = {codes.get(), c.n, size};
    const SqParams p = {lo.get(), step.get(), nullptr, c.d, bits};
    const RowSqParams rp = {scale.get(), offset.get(), c.d, bits};
    run([&](const Call& call) { return cuda::sq_encode(c.rows(), p, {codes.get(), size}, call); });
    run([&](const Call& call) { return cuda::sq_decode(from, p, y.get(), call); });
    c.search([&](const Search& s, const Call& call) { return cuda::sq_topk(from, p, s, call); });
    run([&](const Call& call) {
      return cuda::rowsq_encode(c.rows(), bits, {codes.get(), size}, scale.get(), offset.get(), call);
    });
    run([&](const Call& call) { return cuda::rowsq_decode(from, rp, y.get(), call); });
    c.search([&](const Search& s, const Call& call) { return cuda::rowsq_topk(from, rp, s, call); });
  }
  for (const Dtype half : {Dtype::f16, Dtype::bf16}) {
    const Exact<uint8_t> codes(c.n * 2 * c.d);
    const Rows halves = {reinterpret_cast<const char*>(codes.get()), c.n, c.d, 2 * c.d, 2, half};
    run([&](const Call& call) { return cuda::half_encode(c.rows(), half, {codes.get(), 2 * c.d}, call); });
    run([&](const Call& call) { return cuda::half_decode({codes.get(), c.n, 2 * c.d}, c.d, half, y.get(), call); });
    c.search([&](const Search& s, const Call& call) { return cuda::flat_topk(halves, s, call); });
  }
  c.search([&](const Search& s, const Call& call) { return cuda::flat_topk(c.rows(), s, call); });
}

void runtime_family(const Case& c) {
  const Exact<uint8_t> marked(c.n);
  run([&](const Call& call) {
    cuda::refuse_rows(marked.get(), c.n, call);
    return int64_t{0};
  });
}

void levels_family(const Case& c) {
  const Exact<float> step = floats(c.d, 0.5f, 1), y(c.n * c.d), factor = floats(c.n, 0, 1), line = floats(c.d, 0, 1);
  for (const int bits : {1, 3, 8}) {
    const Exact<float> levels(1 << bits);
    for (int i = 0; i < 1 << bits; ++i) levels[i] = static_cast<float>(i);
    const int64_t size = (c.d * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size);
    const Codes from = {codes.get(), c.n, size};
    const LevelsParams p = {levels.get(), nullptr, step.get(), nullptr, c.d, bits};
    const Column column = {Column::f32, reinterpret_cast<const char*>(factor.get()), 4};
    const RowExtras extras = {column, {line.get(), nullptr, 1}, column, line.get()};
    run([&](const Call& call) { return cuda::levels_encode(c.rows(), p, {codes.get(), size}, call); });
    run([&](const Call& call) { return cuda::levels_decode(from, p, y.get(), call); });
    c.search([&](const Search& s, const Call& call) { return cuda::levels_topk(from, p, extras, s, call); });
    const Exact<float> scales = floats(2, 0.5f, 2);
    const Exact<uint8_t> shapes(c.n * (size + 3));
    const ShapeParams sp = {p, line.get(), scales.get(), 2};
    run([&](const Call& call) { return cuda::shape_encode(c.rows(), sp, {shapes.get(), size + 3}, call); });
    run([&](const Call& call) { return cuda::shape_decode({shapes.get(), c.n, size + 3}, sp, y.get(), call); });
  }
}

void binary_family(const Case& c) {
  const Exact<float> low = floats(c.d, -1, 0), high = floats(c.d, 0, 1), y(c.n * c.d);
  const int64_t size = (c.d + 7) / 8;
  const Exact<uint8_t> codes(c.n * size), wanted = bytes(5 * size, 256);
  const Codes from = {codes.get(), c.n, size};
  const BitsParams p = {low.get(), high.get(), c.d, true};
  run([&](const Call& call) { return cuda::bits_encode(c.rows(), low.get(), true, {codes.get(), size}, call); });
  run([&](const Call& call) { return cuda::bits_decode(from, p, y.get(), call); });
  c.search([&](const Search& s, const Call& call) { return cuda::bits_topk(from, p, s, call); });
  c.search([&](Search s, const Call& call) {
    s.d = 0;
    return cuda::hamming_topk(from, {wanted.get(), 5, size}, size, s, call);
  });
}

void rotation_family(const Case& c) {
  for (const int64_t m : {1, 12, 20}) {
    int64_t size = m;
    while (size < c.d) size *= 2;
    const Exact<float> signs(size), y(c.n * size), lo = floats(size, -1, 0), step = floats(size, 0.01f, 0.1f);
    const Exact<uint8_t> codes(c.n * size);
    for (int64_t i = 0; i < size; ++i) signs[i] = i % 3 ? 1.0f : -1.0f;
    run([&](const Call& call) {
      return cuda::hadamard_rotate(c.rows(), {signs.get(), size, 0.1f, false}, y.get(), call);
    });
    run([&](const Call& call) {
      return cuda::hadamard_sq_encode(c.rows(), {signs.get(), size, 0.1f, false},
                                      {lo.get(), step.get(), nullptr, size, 8}, {codes.get(), size}, call);
    });
  }
}

void projection_family(const Case& c) {
  const Exact<float> mean = floats(c.d, -1, 1);
  for (const int64_t columns : {1, 70}) {
    const Exact<float> matrix = floats(c.d * columns, -1, 1), y(c.n * columns);
    run([&](const Call& call) {
      return cuda::project(c.rows(), {matrix.get(), mean.get(), c.d, columns}, y.get(), call);
    });
  }
}

void cluster_family(const Case& c) {
  const int64_t k = c.n < 5 ? c.n : 5;
  const Exact<float> book(k * c.d);
  const Exact<int32_t> ids(c.n);
  double inertia;
  const Exact<float> init = floats(k * c.d, -1, 1);
  for (const float* from : {static_cast<const float*>(nullptr), static_cast<const float*>(init.get())})
    run([&](const Call& call) {
      return cuda::kmeans_fit(c.rows(), k, 3, 1, from, book.get(), ids.get(), &inertia, call);
    });
  run([&](const Call& call) { return cuda::vq_encode(c.rows(), book.get(), k, ids.get(), call); });
}

// Faults of arithmetic, such as a wrong register of a matrix, disturb no sanitizer.
void expect_nearest(const Case& c, const Pq& p, const Exact<uint8_t>& codes) {
  for (int64_t at = 0; at < c.n * p.m; ++at) {
    const int64_t row = at / p.m, s = at % p.m,
                  of = p.ksub == 256 ? codes[at] : codes[row * ((p.m + 1) / 2) + s / 2] >> s % 2 * 4 & 15;
    const auto distance = [&](int64_t code) {
      double sum = 0.0;
      for (int64_t i = 0; i < p.dsub; ++i) {
        const double t = static_cast<double>(c.x[at * p.dsub + i]) - p.codebooks[(s * p.ksub + code) * p.dsub + i];
        sum += t * t;
      }
      return sum;
    };
    for (int64_t code = 0; code < p.ksub; ++code)
      if (distance(code) * (1 + 1e-5) < distance(of)) {
        std::printf("code %lld is not that of the nearest codeword\n", static_cast<long long>(at));
        std::exit(1);
      }
  }
}

void pq_family(const Case& c) {
  const int64_t m = c.d % 3 ? 1 : 3;
  for (const int64_t ksub : {16, 256}) {
    const Exact<float> books = floats(ksub * c.d, -1, 1), y(c.n * c.d), tables(5 * m * ksub);
    const int64_t size = ksub == 256 ? m : (m + 1) / 2;
    const Exact<uint8_t> codes(c.n * size);
    const Codes from = {codes.get(), c.n, size};
    const Pq p = {books.get(), nullptr, m, ksub, c.d / m};
    run([&](const Call& call) { return cuda::pq_encode(c.rows(), p, {codes.get(), size}, call); });
    expect_nearest(c, p, codes);
    run([&](const Call& call) { return cuda::pq_decode(from, p, y.get(), call); });
    run([&](const Call& call) { return cuda::pq_tables(p, c.queries.get(), 5, Metric::l2, tables.get(), call); });
    const Exact<float> centroids = floats(2 * c.d, -1, 1);
    const Exact<int32_t> centroid(c.n);
    for (int64_t i = 0; i < c.n; ++i) centroid[i] = static_cast<int32_t>(i % 2);
    c.search([&](const Search& s, const Call& call) { return cuda::pq_topk(from, p, {nullptr, nullptr, 0}, s, call); });
    c.search([&](const Search& s, const Call& call) {
      return cuda::pq_topk(from, p, {centroids.get(), centroid.get(), 2}, s, call);
    });
  }
  if (c.n < 16) return;
  const Exact<float> books(16 * c.d);
  run([&](const Call& call) { return cuda::pq_fit(c.rows(), m, 4, 2, 1, books.get(), call); });
}

void rq_family(const Case& c) {
  constexpr int64_t m = 3;
  const Exact<float> books = floats(m * kRqWords * c.d, -1, 1), y(c.n * c.d);
  const Exact<float> products = floats(m * (m - 1) / 2 * kRqWords * kRqWords, -1, 1);
  for (const int64_t beam : {1, 40})
    for (const int64_t keep : {int64_t{1}, beam}) {
      const Exact<uint8_t> codes(c.n * keep * m);
      const Rq p = {books.get(), nullptr, nullptr, products.get(), m, c.d, beam, keep};
      run([&](const Call& call) { return cuda::rq_encode(c.rows(), p, {codes.get(), keep * m}, call); });
      run([&](const Call& call) { return cuda::rq_decode({codes.get(), c.n, keep * m}, p, y.get(), call); });
    }
}

// Behind the first 1024 rows five queries and more are searched by tensor cores, fewer by tables alone. Every other
// query is parallel to code 1, and bfloat16 makes both smaller by as much as it can; early rows, of code 0, are a shade
// worse.
void expect_same_rows() {
  constexpr int64_t kFirst = 1024, n = kFirst + 150, nq = 72, m = 5, d = 8 * m, k = 7;
  const Exact<float> books = floats(256 * d, -1, 1), queries = floats(nq * d, -1, 1);
  const Exact<uint8_t> codes = bytes(n * m, 256), mask(n);
  constexpr float kLow = 1 + 0.98f / 256;
  for (int64_t i = 0; i < 256 * d; ++i)
    if (i / 8 % 256 < 2) books[i] = i / 8 == 0 ? 0.998f * kLow : kLow;
  for (int64_t i = 0; i < nq * d; ++i)
    if (i / d % 2) queries[i] = kLow;
  for (int64_t i = 0; i < n; ++i) {
    mask[i] = i < 20 || i >= kFirst;
    for (int64_t s = 0; s < m; ++s)
      if (i < kFirst || i % 3 == 0) codes[i * m + s] = i >= kFirst;
  }
  const Pq p = {books.get(), nullptr, m, 256, 8};
  const Exact<float> centroids = floats(3 * d, -1, 1);
  const Exact<int32_t> centroid(n);
  for (int64_t i = 0; i < n; ++i) centroid[i] = static_cast<int32_t>(generator() % 3);
  struct Form {
    Metric metric;
    int64_t centroids, at_a_time;  // as tiles, or as 8, 4 and 1 of few queries
  };
  for (const auto& [metric, count, at_a_time] : {Form{Metric::ip, 0, nq},
                                                 {Metric::ip, 0, nq / 9},
                                                 {Metric::ip, 3, nq},
                                                 {Metric::l2, 0, nq / 2},
                                                 {Metric::cosine, 0, nq / 4}}) {
    const Coarse coarse = {centroids.get(), centroid.get(), count};
    const Exact<float> scores(2 * nq * k);
    const Exact<int64_t> ids(2 * nq * k);
    const auto search = [&, metric = metric](int64_t first, int64_t queries_of, int64_t to) {
      const Search s = {queries.get() + first * d, queries_of,        d, metric, mask.get(), k,
                        scores.get() + to * k,     ids.get() + to * k};
      run([&](const Call& call) { return cuda::pq_topk({codes.get(), n, m}, p, coarse, s, call); });
    };
    for (int64_t first = 0; first < nq; first += at_a_time) search(first, at_a_time, first);
    constexpr int64_t kTables = 4;
    for (int64_t first = 0; first < nq; first += kTables) search(first, kTables, nq + first);
    for (int64_t i = 0; i < nq * k; ++i)
      if (ids[i] != ids[nq * k + i] || scores[i] != scores[nq * k + i]) {
        std::printf("result %lld is not that of tables\n", static_cast<long long>(i));
        std::exit(1);
      }
  }
}

void sparse_family(const Case& c) {
  for (const int64_t k : {int64_t{1}, c.d}) {
    const Exact<uint16_t> indices(c.n * k);
    const Exact<float> values(c.n * k), y(c.n * c.d);
    const Sparse s = {reinterpret_cast<const char*>(indices.get()),
                      reinterpret_cast<const char*>(values.get()),
                      c.n,
                      k,
                      2 * k,
                      4 * k,
                      false};
    run([&](const Call& call) { return cuda::topk_encode(c.rows(), k, {indices.get(), values.get(), false}, call); });
    run([&](const Call& call) { return cuda::topk_decode(s, c.d, y.get(), call); });
    c.search([&](const Search& search, const Call& call) { return cuda::sparse_topk(s, search, call); });
  }
}

void trellis_family(const Case& c) {
  const Exact<int8_t> books(kTrellisBooks * kTrellisLevels);
  for (int64_t i = 0; i < books.n; ++i) books[i] = static_cast<int8_t>(generator() % 255) - 127;
  const Exact<float> step = floats(c.d, 0.01f, 0.02f), weight = floats(c.d, 0, 1), factors = floats(256, 0, 1);
  const Exact<float> y(c.n * c.d), centroid = floats(c.d, 0, 1);
  const Exact<uint8_t> rates(c.d);
  constexpr uint8_t falling[] = {12, 4, 1, 0};
  for (int64_t j = 0; j < c.d; ++j) rates[j] = falling[j / kTrellisUnit];
  TrellisParams p = {};
  p.codebooks = books.get();
  p.step = step.get();
  p.weight = weight.get();
  p.rates = rates.get();
  p.d = c.d;
  trellis_plan(p);
  const Exact<uint8_t> codes(c.n * p.bytes), longer = bytes(c.n * (p.bytes + 1), 256);
  run([&](const Call& call) { return cuda::trellis_encode(c.rows(), p, {codes.get(), p.bytes}, call); });
  run([&](const Call& call) { return cuda::trellis_decode({codes.get(), c.n, p.bytes}, p, y.get(), call); });
  p.factors = factors.get();
  const Exact<float> codewords = floats(2 * kRqWords * c.d, -1, 1);
  const Exact<uint8_t> words = bytes(c.n * 2, 256);
  for (const Coarse& coarse :
       {Coarse{centroid.get(), nullptr, 1}, Coarse{codewords.get(), nullptr, 2 * kRqWords, words.get(), 2, 2}})
    c.search([&](const Search& s, const Call& call) {
      return cuda::trellis_topk({longer.get(), c.n, p.bytes + 1}, p, coarse, s, call);
    });
}

// Tensor cores nominate among the last rows, of codes at odd addresses.
void many_family(const Case& c) {
  if (c.n != 1) return;
  constexpr int64_t n = 1024 + 70, d = 19, most = 9, k = 3, bits = 3, stride = (d * bits + 7) / 8 + 1;
  const Exact<float> queries = floats(most * d, -1, 1), x = floats(n * d, -1, 1), scores(most * k), levels(1 << bits);
  const Exact<float> step = floats(d, 0.5f, 1), factor = floats(n, 0, 1), line = floats(d, 0, 1);
  const Exact<uint8_t> codes = bytes(n * stride - 1, 256);
  const Exact<int64_t> ids(most * k);
  for (int i = 0; i < 1 << bits; ++i) levels[i] = static_cast<float>(i - 4);
  const Column column = {Column::f32, reinterpret_cast<const char*>(factor.get()), 4};
  for (const auto& [metric, nq] : {std::pair<Metric, int64_t>{Metric::cosine, 1}, {Metric::l2, most}}) {
    const Search s = {queries.get(), nq, d, metric, nullptr, k, scores.get(), ids.get()};
    run([&](const Call& call) {
      return cuda::flat_topk({reinterpret_cast<const char*>(x.get()), n, d, 4 * d, 4, Dtype::f32}, s, call);
    });
    run([&](const Call& call) {
      const LevelsParams p = {levels.get(), nullptr, step.get(), nullptr, d, bits};
      return cuda::levels_topk({codes.get(), n, stride}, p, {column, {line.get(), nullptr, 1}, column, line.get()}, s,
                               call);
    });
  }
}

}  // namespace

// suite FAMILY...: all of them without a name.
int main(int count, char** names) {
  const std::pair<const char*, void (*)(const Case&)> families[] = {{"runtime", runtime_family},
                                                                    {"scalar", scalar_family},
                                                                    {"levels", levels_family},
                                                                    {"binary", binary_family},
                                                                    {"rotation", rotation_family},
                                                                    {"projection", projection_family},
                                                                    {"cluster", cluster_family},
                                                                    {"pq", pq_family},
                                                                    {"rq", rq_family},
                                                                    {"sparse", sparse_family},
                                                                    {"trellis", trellis_family},
                                                                    {"many", many_family}};
#if defined(__SANITIZE_THREAD__)  // slow, and finds a race in any order
  constexpr cuda_on_cpu::Order kOrders[] = {cuda_on_cpu::Order::random};
#else
  constexpr cuda_on_cpu::Order kOrders[] = {cuda_on_cpu::Order::forward, cuda_on_cpu::Order::random};
#endif
  for (const auto order : kOrders) {
    cuda_on_cpu::set_order(order, 7);
    for (const auto& [name, family] : families) {
      bool wanted = count == 1;
      for (int i = 1; i < count; ++i) wanted |= std::string(names[i]) == name;
      if (!wanted) continue;
      try {
        for (const auto& [n, d] : {std::pair<int64_t, int64_t>{1, 1}, {3, 17}, {9, 51}}) family(Case(n, d));
        if (family == sparse_family) family(Case(2, 2100));  // by blocks
        if (family == levels_family) family(Case(3, 150));   // half a warp takes 128 columns at a time
        if (family != pq_family) continue;
        family(Case(37, 8));  // by tensor cores, more rows than a warp's
        expect_same_rows();
      } catch (const std::exception& error) {
        std::printf("%s: %s\n", name, error.what());
        return 1;
      }
    }
  }
  return 0;
}
