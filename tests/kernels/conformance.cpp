// Every function of the table of kernels, on every level against the scalar level: the same inputs, the same bytes (or,
// for assignments, distances as good). Every array has exactly its size, so that AddressSanitizer sees a step beyond
// it. The Python conformance test compares with the references; this one runs where Python's memory hides mistakes.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "../../cpp/dispatch.h"
#include "../../cpp/parallel.h"
#include "../../cpp/topk.h"

namespace {

using namespace embcodec;
using Bytes = std::vector<uint8_t>;

constexpr int64_t kDims[] = {1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 384, 769};
constexpr int64_t kRows[] = {0, 1, 3, 65};
constexpr const char* kData[] = {"normal", "cycle", "ties", "zeros", "denormals", "huge"};

template <class T>
struct Exact {  // an array of exactly n elements on the heap
  explicit Exact(int64_t n) : n(n), data(new T[static_cast<size_t>(n)]()) {}
  T* get() const { return data.get(); }
  T& operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
  Bytes bytes() const {
    const auto* p = reinterpret_cast<const uint8_t*>(data.get());
    return Bytes(p, p + static_cast<size_t>(n) * sizeof(T));
  }
  int64_t n;
  std::unique_ptr<T[]> data;
};

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// One matrix, and parameters for every kernel, made from it in the same way each time.
struct Case {
  Case(int64_t n, int64_t d, const char* data)
      : n(n), d(d), x(n * d), q(3 * d), rng(static_cast<unsigned>(n * 1000 + d)) {
    std::normal_distribution<float> normal;
    const std::string kind = data;
    for (int64_t i = 0; i < n * d; ++i) {
      if (kind == "cycle")
        x[i] = static_cast<float>(i % 251 - 125);
      else if (kind == "ties")
        x[i] = static_cast<float>(static_cast<int>(rng() % 5) - 2) / 2;
      else if (kind == "zeros")
        x[i] = rng() % 2 ? 0.0f : -0.0f;
      else if (kind == "denormals")
        x[i] = normal(rng) * 1e-40f;
      else
        x[i] = normal(rng);
    }
    if (kind == "huge" && n) x[static_cast<int64_t>(rng() % static_cast<unsigned>(n * d))] = 1e30f;
    for (int64_t i = 0; i < 3 * d; ++i) q[i] = normal(rng);
  }
  Rows rows() const { return {reinterpret_cast<const char*>(x.get()), n, d, 4 * d, 4, Dtype::f32}; }
  Exact<float> floats(int64_t count, float low, float high) {
    Exact<float> values(count);
    std::uniform_real_distribution<float> uniform(low, high);
    for (int64_t i = 0; i < count; ++i) values[i] = uniform(rng);
    return values;
  }
  Exact<uint8_t> random_bytes(int64_t count) {
    Exact<uint8_t> values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<uint8_t>(rng());
    return values;
  }
  int64_t n, d;
  Exact<float> x, q;
  std::mt19937 rng;
};

using Run = std::function<Bytes(const Kernels&, Case)>;

Exact<float> scratch_of(int64_t floats) { return Exact<float>(floats); }

// A scan's result as bytes: scores and ids of the 3 queries, for every metric.
Bytes scanned(const Kernels& k, const Case& c, int64_t scratch_floats,
              const std::function<void(const Scan&, Range, Range, float*)>& scan) {
  Bytes all;
  if (c.n == 0) return all;
  const int best_k = static_cast<int>(std::min<int64_t>(c.n, 10));
  const PaddedQueries queries(c.q.get(), 3, c.d, k.dot);
  for (const Metric metric : {Metric::ip, Metric::l2, Metric::cosine}) {
    Exact<float> scores(3 * best_k);
    Exact<int64_t> ids(3 * best_k);
    scan_in_parallel(
        c.n, 3, best_k, 1, scratch_floats,
        [&](TopK* best, Range rows, Range part, float*) {
          const Exact<float> scratch = scratch_of(scratch_floats);
          scan(Scan{queries.view(), metric, nullptr, best}, rows, part, scratch.get());
          return kAllFinite;
        },
        scores.get(), ids.get());
    all = joined({all, scores.bytes(), ids.bytes()});
  }
  return all;
}

Bytes scalar_family(const Kernels& k, Case c) {
  Bytes all;
  for (const int bits : {8, 6, 4}) {
    const Exact<float> lo = c.floats(c.d, -2, 0), step = c.floats(c.d, 0, 0.1f);
    Exact<float> inverse(c.d);
    for (int64_t j = 0; j < c.d; ++j) inverse[j] = step[j] > 0 ? 1 / step[j] : 0;
    const SqParams p = {lo.get(), step.get(), inverse.get(), c.d, bits};
    const int64_t size = (c.d * bits + 7) / 8;
    const Exact<uint8_t> codes(c.n * size), row_codes(c.n * size);
    const Exact<float> y(c.n * c.d), z(c.n * c.d), scale(c.n), offset(c.n), scratch(row_scratch(c.d));
    const Range r = {0, c.n};
    k.sq_encode(c.rows(), p, {codes.get(), size}, r, scratch.get());
    k.sq_decode({codes.get(), c.n, size}, p, y.get(), r, scratch.get());
    k.rowsq_encode(c.rows(), bits, {row_codes.get(), size}, scale.get(), offset.get(), r, scratch.get());
    const RowSqParams rp = {scale.get(), offset.get(), c.d, bits};
    k.rowsq_decode({row_codes.get(), c.n, size}, rp, z.get(), r, scratch.get());
    all = joined({all, codes.bytes(), y.bytes(), row_codes.bytes(), scale.bytes(), offset.bytes(), z.bytes()});
    const Codes from = {codes.get(), c.n, size}, row_from = {row_codes.get(), c.n, size};
    all =
        joined({all,
                scanned(k, c, scan_scratch(c.d),
                        [&](const Scan& s, Range rows, Range part, float* m) { k.sq_topk(from, p, s, rows, part, m); }),
                scanned(k, c, scan_scratch(c.d), [&](const Scan& s, Range rows, Range part, float* m) {
                  k.rowsq_topk(row_from, rp, s, rows, part, m);
                })});
  }
  return joined({all, scanned(k, c, scan_scratch(c.d), [&](const Scan& s, Range rows, Range part, float* m) {
                   k.flat_topk(c.rows(), s, rows, part, m);
                 })});
}

Bytes binary_family(const Kernels& k, Case c) {
  Bytes all;
  const int64_t size = (c.d + 7) / 8;
  const Exact<float> threshold = c.floats(c.d, -0.1f, 0.1f), low = c.floats(c.d, -1, 0), high = c.floats(c.d, 0, 1);
  for (const bool msb : {true, false}) {
    const Exact<uint8_t> codes(c.n * size);
    const Exact<float> y(c.n * c.d), scratch(row_scratch(c.d));
    const BitsParams p = {low.get(), high.get(), c.d, msb};
    k.bits_encode(c.rows(), threshold.get(), msb, {codes.get(), size}, {0, c.n}, scratch.get());
    const Codes from = {codes.get(), c.n, size};
    k.bits_decode(from, p, y.get(), {0, c.n}, scratch.get());
    all = joined(
        {all, codes.bytes(), y.bytes(),
         scanned(k, c, scan_scratch(c.d),
                 [&](const Scan& s, Range rows, Range part, float* m) { k.bits_topk(from, p, s, rows, part, m); }),
         scanned(k, c, 0, [&](const Scan& s, Range rows, Range part, float*) {
           const Codes queries = {codes.get(), std::min<int64_t>(c.n, 3), size};
           k.hamming_topk(from, queries, size, nullptr, s.best, rows, {0, std::min(part.end, queries.n)});
         })});
  }
  return all;
}

Bytes rotation_family(const Kernels& k, Case c) {
  Bytes all;
  for (const int64_t size :
       {int64_t{1024}, int64_t{768}, int64_t{1280}}) {  // of 1, 12 and 20 blocks, 2 to a power each
    Exact<float> signs(size);
    for (int64_t j = 0; j < size; ++j) signs[j] = c.rng() % 2 ? 1.0f : -1.0f;
    if (c.d > size) continue;
    const float scale = 1 / std::sqrt(static_cast<float>(size));
    const Exact<float> y(c.n * size), z(c.n * size), scratch(rotation_scratch(size, size));
    const Rows rotated = {reinterpret_cast<const char*>(y.get()), c.n, size, 4 * size, 4, Dtype::f32};
    k.hadamard_rotate(c.rows(), {signs.get(), size, scale, false}, y.get(), {0, c.n}, scratch.get());
    k.hadamard_rotate(rotated, {signs.get(), size, scale, true}, z.get(), {0, c.n}, scratch.get());
    all = joined({all, y.bytes(), z.bytes()});
  }
  return all;
}

Bytes sparse_family(const Kernels& k, Case c) {
  const int64_t kept = (c.d + 2) / 3;
  const Exact<uint16_t> indices(c.n * kept);
  const Exact<float> values(c.n * kept), y(c.n * c.d), scratch(topk_encode_scratch(c.d));
  k.topk_encode(c.rows(), kept, {indices.get(), values.get(), false}, {0, c.n}, scratch.get());
  const Sparse s = {reinterpret_cast<const char*>(indices.get()),
                    reinterpret_cast<const char*>(values.get()),
                    c.n,
                    kept,
                    2 * kept,
                    4 * kept,
                    false};
  k.topk_decode(s, c.d, y.get(), {0, c.n});
  return joined({indices.bytes(), values.bytes(), y.bytes(),
                 scanned(k, c, sparse_topk_scratch(c.d), [&](const Scan& scan, Range rows, Range part, float* m) {
                   k.sparse_topk(s, scan, rows, part, m);
                 })});
}

Bytes trellis_family(const Kernels& k, Case c) {
  if (c.d < kTrellisUnit) return {};
  Exact<int8_t> books(kTrellisBooks * kTrellisStates);
  for (int64_t i = 0; i < books.n; ++i) books[i] = static_cast<int8_t>(c.rng());
  const Exact<float> step = c.floats(c.d, 0.01f, 0.05f), weight = c.floats(c.d, 0, 1);
  Exact<float> inverse(c.d);
  Exact<uint8_t> rates(c.d);
  constexpr uint8_t falling[] = {12, 10, 8, 6, 4, 2, 1, 0};
  TrellisParams p = {books.get(), step.get(), inverse.get(), weight.get(), rates.get(), c.d, 0, 0, 0};
  const int64_t units = c.d / kTrellisUnit;
  for (int64_t j = 0; j < c.d; ++j) {
    inverse[j] = 1 / step[j];
    rates[j] = j < units * kTrellisUnit ? falling[std::min<int64_t>(7, j / kTrellisUnit * 7 / units)] : 0;
    p.coded += rates[j] > 0;
  }
  for (int64_t j = 0; j < p.coded; j += rates[j] == 1 ? 2 : 1) p.last_window += j ? trellis_shift(rates[j]) : 0;
  p.bytes = (p.last_window + 15) / 8;
  const Exact<uint8_t> codes(c.n * p.bytes);
  const Exact<float> y(c.n * c.d), scratch(trellis_scratch(c.d));
  k.trellis_encode(c.rows(), p, {codes.get(), p.bytes}, {0, c.n}, scratch.get());
  const Codes from = {codes.get(), c.n, p.bytes};
  k.trellis_decode(from, p, y.get(), {0, c.n}, nullptr);
  const Exact<float> factor = c.floats(c.n, 0.5f, 2);
  return joined(
      {codes.bytes(), y.bytes(), scanned(k, c, scan_scratch(c.d), [&](const Scan& s, Range rows, Range part, float* m) {
         k.trellis_topk(from, p, {factor.get(), nullptr, nullptr}, s, rows, part, m);
       })});
}

// Look-ups by codes that do not depend on the level.
Bytes pq_family(const Kernels& k, Case c) {
  Bytes all;
  for (const int64_t ksub : {256, 16}) {
    const Exact<float> books = c.floats(c.d * ksub, -1, 1);
    const Pq p = {books.get(), nullptr, c.d, ksub, 1};
    const int64_t size = ksub == 256 ? c.d : (c.d + 1) / 2;
    Exact<uint8_t> codes = c.random_bytes(c.n * size);
    if (ksub == 16 && c.d % 2)
      for (int64_t i = 0; i < c.n; ++i) codes[(i + 1) * size - 1] &= 15;
    const Codes from = {codes.get(), c.n, size};
    const Exact<float> y(c.n * c.d);
    k.pq_decode(from, p, y.get(), {0, c.n});
    all = joined({all, y.bytes(),
                  scanned(k, c, pq_topk_scratch(c.d, ksub, 1), [&](const Scan& s, Range rows, Range part, float* m) {
                    k.pq_topk(from, p, s, rows, part, m);
                  })});
  }
  return all;
}

double squared_distance(const float* a, const float* b, int64_t d) {
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += (static_cast<double>(a[j]) - b[j]) * (static_cast<double>(a[j]) - b[j]);
  return sum;
}

// Assignments are near-optimal: judged by distance, not by bytes.
bool assigns_well(const Kernels& k, Case c) {
  constexpr int64_t count = 21;
  const Exact<float> book = c.floats(count * c.d, -1, 1), scratch(nearest_scratch(c.d));
  const Exact<float> packed(packed_floats(count, c.d));
  const Exact<int32_t> ids(c.n);
  k.codebook_pack(book.get(), count, c.d, packed.get());
  k.vq_encode(c.rows(), {book.get(), packed.get(), count, c.d}, ids.get(), {0, c.n}, scratch.get());
  for (int64_t i = 0; i < c.n; ++i) {
    if (ids[i] < 0 || ids[i] >= count) return false;
    double best = INFINITY;
    for (int64_t j = 0; j < count; ++j)
      best = std::min(best, squared_distance(c.x.get() + i * c.d, book.get() + j * c.d, c.d));
    if (squared_distance(c.x.get() + i * c.d, book.get() + ids[i] * c.d, c.d) > best * (1 + 1e-5)) return false;
  }
  return true;
}

int failures = 0;

void report(const char* what, const char* level, int64_t cases, int64_t wrong) {
  std::printf("%-10s %-10s %lld cases, %lld wrong\n", what, level, static_cast<long long>(cases),
              static_cast<long long>(wrong));
  failures += wrong > 0;
}

void for_cases(const std::function<void(Case)>& work) {
  for (const int64_t d : kDims)
    for (const int64_t n : kRows)
      for (const char* data : kData)
        if (n == 65 || data == kData[0] || data == kData[1]) work(Case(n, d, data));
}

void compare(const char* family, const Level& level, const Run& run) {
  int64_t cases = 0, wrong = 0;
  for_cases([&](Case c) {
    const Case same(std::move(c));
    ++cases;
    wrong += run(*level.kernels, Case(same.n, same.d, kData[cases % 6])) !=
             run(*levels()[0].kernels, Case(same.n, same.d, kData[cases % 6]));
  });
  report(family, level.name, cases, wrong);
}

// Several callers share the pool, each with more tasks than threads.
void threads() {
  int64_t wrong = 0;
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
  for (const int64_t sum : sums) wrong += sum != 50 * 64 * 63 / 2;
  report("threads", "all", 8, wrong);
}

}  // namespace

int main() {
  for (const Level& level : levels()) {
    if (!level.available) continue;
    compare("scalar", level, scalar_family);
    compare("binary", level, binary_family);
    compare("rotation", level, rotation_family);
    compare("pq", level, pq_family);
    compare("sparse", level, sparse_family);
    compare("trellis", level, trellis_family);
    int64_t cases = 0, wrong = 0;
    for_cases([&](Case c) {
      ++cases;
      wrong += !assigns_well(*level.kernels, std::move(c));
    });
    report("cluster", level.name, cases, wrong);
  }
  threads();
  return failures ? 1 : 0;
}
