// The random start of k-means, the same on every backend: python/embcodec/_native.pyi.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace embcodec {

inline uint64_t splitmix64(uint64_t& state) {
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// The first k of a Fisher-Yates shuffle of all rows.
inline std::vector<uint32_t> sample_rows(int64_t n, int64_t k, uint64_t seed) {
  std::vector<uint32_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0u);
  for (size_t i = 0; i < static_cast<size_t>(k); ++i)
    std::swap(rows[i], rows[i + splitmix64(seed) % (rows.size() - i)]);
  rows.resize(static_cast<size_t>(k));
  return rows;
}

// The `count` rows of largest error, ties to the lower row.
inline std::vector<uint32_t> farthest_rows(const std::vector<double>& error, size_t count) {
  std::vector<uint32_t> rows(error.size());
  std::iota(rows.begin(), rows.end(), 0u);
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                    [&](uint32_t a, uint32_t b) { return error[a] != error[b] ? error[a] > error[b] : a < b; });
  rows.resize(count);
  return rows;
}

}  // namespace embcodec
