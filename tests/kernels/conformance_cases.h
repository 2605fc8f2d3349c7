// What the conformance test runs kernels on: matrices of all shapes and kinds, and scans of them.
#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../../cpp/dispatch.h"
#include "../../cpp/topk.h"

namespace embcodec {

using Bytes = std::vector<uint8_t>;

constexpr int64_t kDims[] = {1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 384, 769};
constexpr int64_t kRows[] = {0, 1, 3, 65};
constexpr int64_t kFew = 3, kAll = 19;  // queries of a scan: one by one, and many together
constexpr int64_t kMost = 67;           // ... of many rows
constexpr const char* kData[] = {"normal", "cycle", "ties", "zeros", "denormals", "huge"};

template <class T>
struct Exact {  // exactly n elements on the heap, so that AddressSanitizer sees a step beyond them
  explicit Exact(int64_t n) : n(n), data(new T[static_cast<size_t>(n)]()) {}
  T* get() const { return data.get(); }
  T& operator[](int64_t i) const { return data[static_cast<size_t>(i)]; }
  int64_t n;
  std::unique_ptr<T[]> data;
};

// Codes of n rows, their bytes column by column.
inline Exact<uint8_t> in_columns(const Exact<uint8_t>& codes, int64_t n) {
  Exact<uint8_t> columns(codes.n);
  for (int64_t i = 0; i < codes.n; ++i) columns[i] = codes[i % n * (codes.n / n) + i / n];
  return columns;
}

// What kernels gave: for each of them all its bytes, in the order of the calls.
class Results {
 public:
  template <class T>
  void add(const char* kernel, const Exact<T>& array) {
    const auto* p = reinterpret_cast<const uint8_t*>(array.get());
    add(kernel, p, p + static_cast<size_t>(array.n) * sizeof(T));
  }
  void add(const char* kernel, bool good) {  // for a kernel that is judged, not compared
    const uint8_t byte = good;
    add(kernel, &byte, &byte + 1);
  }
  const std::vector<std::pair<std::string, Bytes>>& kernels() const { return kernels_; }

 private:
  void add(const char* kernel, const uint8_t* begin, const uint8_t* end) {
    const auto at =
        std::find_if(kernels_.begin(), kernels_.end(), [&](const auto& entry) { return entry.first == kernel; });
    Bytes& bytes = at != kernels_.end() ? at->second : kernels_.emplace_back(kernel, Bytes()).second;
    bytes.insert(bytes.end(), begin, end);
  }
  std::vector<std::pair<std::string, Bytes>> kernels_;
};

// One matrix of a kind, and parameters made from its own random numbers: the same each time a case is made.
struct Case {
  Case(int64_t n, int64_t d, const std::string& kind)
      : n(n),
        d(d),
        many(d < 100 || kind == "normal"),
        rng(static_cast<unsigned>(n * 1000 + d)),
        x(n * d),
        q(kMost * d),
        mask(n) {
    for (int64_t i = 0; i < n * d; ++i) x[i] = value(kind, i);
    if (kind == "huge" && n) x[static_cast<int64_t>(rng() % static_cast<unsigned>(n * d))] = 1e30f;
    for (int64_t i = 0; i < kMost * d; ++i) q[i] = normal(rng);
    for (int64_t i = 0; i < n; ++i) mask[i] = rng() % 2;
  }
  float value(const std::string& kind, int64_t i) {
    if (kind == "cycle") return static_cast<float>(i % 251 - 125);  // a prime: swapped blocks cannot cancel
    if (kind == "ties") return static_cast<float>(static_cast<int>(rng() % 5) - 2) / 2;
    if (kind == "zeros") return rng() % 2 ? 0.0f : -0.0f;
    return kind == "denormals" ? normal(rng) * 1e-40f : normal(rng);
  }
  Rows rows() const { return {reinterpret_cast<const char*>(x.get()), n, d, 4 * d, 4, Dtype::f32}; }
  Exact<float> floats(int64_t count, float low, float high) {
    Exact<float> values(count);
    std::uniform_real_distribution<float> uniform(low, high);
    for (int64_t i = 0; i < count; ++i) values[i] = uniform(rng);
    return values;
  }
  Exact<float> signs(int64_t count) {
    Exact<float> values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = rng() % 2 ? 1.0f : -1.0f;
    return values;
  }
  Exact<uint8_t> random_bytes(int64_t count) {
    Exact<uint8_t> values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = static_cast<uint8_t>(rng());
    return values;
  }
  int64_t n, d;
  bool many;  // whether scans are tried with many queries, which takes its time under an emulator
  std::mt19937 rng;
  std::normal_distribution<float> normal;
  Exact<float> x, q;
  Exact<uint8_t> mask;
};

using ScanPart = std::function<void(const Scan&, Range rows, Range queries, float* scratch)>;

// Rows, through the cache and past it.
inline void add_decoded(Results& out, const char* kernel, const Exact<float>& y,
                        const std::function<void(RowsOut)>& decode) {
  for (const bool stream : {false, true}) {
    std::fill_n(y.get(), y.n, -1.0f);
    decode({y.get(), stream});
    out.add(kernel, y);
  }
}

// Scores and ids of few queries and of many for every metric, with a mask and without. `room`: floats of scratch that
// so many queries need.
inline void add_scan(Results& out, const char* kernel, const Kernels& k, const Case& c,
                     const std::function<int64_t(int64_t queries)>& room, const ScanPart& scan) {
  const int best_k = static_cast<int>(std::min<int64_t>(c.n, 10));
  if (best_k == 0) return;
  for (const int64_t nq : {kFew, c.n > 4000 ? kMost : kAll}) {
    if (nq > kFew && !c.many) continue;
    const PaddedQueries queries(c.q.get(), nq, c.d, k.dot);
    for (const uint8_t* mask : {static_cast<const uint8_t*>(nullptr), static_cast<const uint8_t*>(c.mask.get())})
      for (const Metric metric : {Metric::ip, Metric::l2, Metric::cosine}) {
        Exact<float> scores(nq * best_k);
        Exact<int64_t> ids(nq * best_k);
        scan_in_parallel(
            c.n, nq, best_k, 1, 0,
            [&](TopK* best, Range rows, Range part, float*) {
              const Exact<float> scratch(room(nq));
              scan(Scan{queries.view(), metric, mask, best}, rows, part, scratch.get());
              return kAllFinite;
            },
            scores.get(), ids.get());
        out.add(kernel, scores);
        out.add(kernel, ids);
      }
  }
}

inline double squared_distance(const float* a, const float* b, int64_t d) {
  double sum = 0;
  for (int64_t j = 0; j < d; ++j) sum += (static_cast<double>(a[j]) - b[j]) * (static_cast<double>(a[j]) - b[j]);
  return sum;
}

// Whether codeword `id` is as near to x as the contract asks: within 1e-5 of the best distance.
inline bool near_enough(const float* x, const float* codebook, int64_t k, int64_t d, int64_t id) {
  if (id < 0 || id >= k) return false;
  double best = squared_distance(x, codebook, d);
  for (int64_t j = 1; j < k; ++j) best = std::min(best, squared_distance(x, codebook + j * d, d));
  return squared_distance(x, codebook + id * d, d) <= best * (1 + 1e-5);
}

}  // namespace embcodec
