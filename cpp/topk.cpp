#include "topk.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel.h"
#include "row/order.h"

namespace embcodec {
namespace {

constexpr int64_t kRowsPerThread = 512;    // below this a thread costs more than it saves
constexpr int64_t kQueriesPerThread = 32;  // from here on, splitting queries beats merging the results of row parts

void write_best(std::vector<uint64_t>& keys, int k, float* scores, int64_t* ids) {
  std::sort(keys.begin(), keys.end(), std::greater<uint64_t>());
  const size_t found = std::min(keys.size(), static_cast<size_t>(k));
  for (size_t i = 0; i < found; ++i) {
    scores[i] = key_score(keys[i]);
    ids[i] = key_row(keys[i]);
  }
  std::fill(scores + found, scores + k, -std::numeric_limits<float>::infinity());
  std::fill(ids + found, ids + k, int64_t{-1});
}

}  // namespace

PaddedQueries::PaddedQueries(const float* data, int64_t n, int64_t d, float (*dot)(const float*, const float*, int64_t))
    : n_(n),
      d_(d),
      stride_(padded16(d)),
      values_(static_cast<size_t>(n * stride_)),
      squares_(static_cast<size_t>(n)),
      norms_(static_cast<size_t>(n)) {
  for (int64_t i = 0; i < n; ++i) {
    float* row = values_.data() + i * stride_;
    std::copy(data + i * d, data + (i + 1) * d, row);
    squares_[static_cast<size_t>(i)] = dot(row, row, stride_);
    norms_[static_cast<size_t>(i)] = std::sqrt(squares_[static_cast<size_t>(i)]);
  }
}

Queries PaddedQueries::view() const { return {values_.data(), squares_.data(), norms_.data(), n_, d_, stride_}; }

int64_t scan_in_parallel(int64_t n, int64_t nq, int k, int threads, int64_t scratch_floats,
                         const std::function<int64_t(TopK*, Range, Range, float*)>& part, float* scores, int64_t* ids) {
  const int wanted = threads > 0 ? threads : get_num_threads();
  const bool by_query = nq >= kQueriesPerThread * wanted;
  const int64_t parts = by_query ? std::min<int64_t>(wanted, nq) : useful_threads(n, kRowsPerThread, threads);
  const int64_t heaps = by_query ? nq : nq * parts;  // row parts keep a heap for every query each
  std::vector<uint64_t> keys(static_cast<size_t>(heaps * k));
  std::vector<TopK> best(static_cast<size_t>(heaps));
  for (int64_t i = 0; i < heaps; ++i)
    best[static_cast<size_t>(i)] = {keys.data() + i * k, k, 0, -std::numeric_limits<float>::infinity()};

  const auto run_parts = [&](Range range, float* scratch) {
    int64_t lowest = kAllFinite;
    for (int64_t i = range.begin; i < range.end; ++i) {
      const Range rows = by_query ? Range{0, n} : Range{n * i / parts, n * (i + 1) / parts};
      const Range queries = by_query ? Range{nq * i / parts, nq * (i + 1) / parts} : Range{0, nq};
      const int64_t row = part(best.data() + (by_query ? 0 : i * nq), rows, queries, scratch);
      if (row != kAllFinite && (lowest == kAllFinite || row < lowest)) lowest = row;
    }
    return lowest;
  };
  const int64_t bad = lowest_bad_row(parts, 1, static_cast<int>(parts), scratch_floats, run_parts);
  if (bad != kAllFinite) return bad;

  parallel_ranges(nq, 64, threads, 0, [&](Range range, float*) {
    std::vector<uint64_t> merged;
    for (int64_t q = range.begin; q < range.end; ++q) {
      merged.clear();
      for (int64_t i = q; i < heaps; i += nq) {
        const TopK& heap = best[static_cast<size_t>(i)];
        merged.insert(merged.end(), heap.keys, heap.keys + heap.count);
      }
      write_best(merged, k, scores + q * k, ids + q * k);
    }
  });
  return kAllFinite;
}

}  // namespace embcodec
