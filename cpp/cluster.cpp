#include "cluster.h"

#include <numeric>
#include <vector>

#include "parallel.h"
#include "sampling.h"

namespace embcodec {
namespace {

constexpr int64_t kRowsPerThread = 256;  // below this a thread costs more than it saves
constexpr int64_t kClustersPerThread = 4;

Rows single_row(const Rows& x, int64_t row) {
  Rows one = x;
  one.data += row * x.row_stride;
  one.n = 1;
  return one;
}

// The rows of each cluster, in ascending order: cluster c has order[starts[c]] .. order[starts[c+1] - 1].
struct Members {
  std::vector<uint32_t> order;
  std::vector<int64_t> starts;

  void sort(const int32_t* ids, int64_t n, int64_t k) {
    order.resize(static_cast<size_t>(n));
    starts.assign(static_cast<size_t>(k + 1), 0);
    for (int64_t i = 0; i < n; ++i) ++starts[static_cast<size_t>(ids[i]) + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    std::vector<int64_t> next(starts.begin(), starts.end() - 1);
    for (int64_t i = 0; i < n; ++i)
      order[static_cast<size_t>(next[static_cast<size_t>(ids[i])]++)] = static_cast<uint32_t>(i);
  }

  std::vector<int64_t> empty() const {
    std::vector<int64_t> clusters;
    for (size_t c = 0; c + 1 < starts.size(); ++c)
      if (starts[c] == starts[c + 1]) clusters.push_back(static_cast<int64_t>(c));
    return clusters;
  }
};

class Lloyd {
 public:
  Lloyd(const Kernels& kernels, const Rows& x, int64_t k, float* codebook, int32_t* ids, int threads)
      : kernels_(kernels), x_(x), k_(k), codebook_(codebook), ids_(ids), threads_(threads) {}

  int64_t assign_rows() { return assign(kernels_, x_, codebook_, k_, ids_, threads_); }

  void set_codeword(int64_t cluster, int64_t row) {
    std::vector<float> scratch(static_cast<size_t>(row_scratch(x_.d)));
    kernels_.convert_rows(single_row(x_, row), codebook_ + cluster * x_.d, {0, 1}, scratch.data());
  }

  void update() {
    members_.sort(ids_, x_.n, k_);
    const std::vector<int64_t> empty = members_.empty();
    std::vector<uint32_t> far;
    if (!empty.empty()) far = farthest_rows(errors(), empty.size());  // from the codewords before they move
    parallel_ranges(k_, kClustersPerThread, threads_, means_scratch(x_.d), [&](Range clusters, float* scratch) {
      kernels_.cluster_means(x_, members_.order.data(), members_.starts.data(), codebook_, clusters, scratch);
    });
    for (size_t i = 0; i < empty.size(); ++i) set_codeword(empty[i], far[i]);
  }

  const std::vector<double>& errors() {
    errors_.resize(static_cast<size_t>(x_.n));
    parallel_ranges(x_.n, kRowsPerThread, threads_, row_scratch(x_.d), [&](Range rows, float* scratch) {
      kernels_.squared_errors(x_, codebook_, ids_, errors_.data(), rows, scratch);
    });
    return errors_;
  }

 private:
  const Kernels& kernels_;
  const Rows& x_;
  const int64_t k_;
  float* const codebook_;
  int32_t* const ids_;
  const int threads_;
  Members members_;
  std::vector<double> errors_;
};

}  // namespace

int64_t assign(const Kernels& kernels, const Rows& x, const float* codebook, int64_t k, int32_t* ids, int threads) {
  std::vector<float> packed(static_cast<size_t>(packed_floats(k, x.d)));
  if (x.n >= few_rows(x.d)) kernels.codebook_pack(codebook, k, x.d, packed.data());
  const Codebook c = {codebook, packed.data(), k, x.d};
  return lowest_bad_row(x.n, kRowsPerThread, threads, nearest_scratch(x.d, k),
                        [&](Range rows, float* scratch) { return kernels.vq_encode(x, c, ids, rows, scratch); });
}

int64_t kmeans(const Kernels& kernels, const Rows& x, int64_t k, int iterations, uint64_t seed, const float* init,
               float* codebook, int32_t* ids, double* inertia, int threads) {
  Lloyd lloyd(kernels, x, k, codebook, ids, threads);
  if (init) {
    std::copy_n(init, k * x.d, codebook);
  } else {
    const std::vector<uint32_t> rows = sample_rows(x.n, k, seed);
    for (int64_t c = 0; c < k; ++c) lloyd.set_codeword(c, rows[static_cast<size_t>(c)]);
  }
  const int64_t bad = lloyd.assign_rows();
  if (bad != kAllFinite) return bad;
  std::vector<int32_t> before;
  for (int i = 0; i < iterations; ++i) {
    before.assign(ids, ids + x.n);
    lloyd.update();
    if (!inertia && i + 1 == iterations) break;
    lloyd.assign_rows();
    if (std::equal(before.begin(), before.end(), ids)) break;
  }
  if (!inertia) return kAllFinite;
  const std::vector<double>& errors = lloyd.errors();
  *inertia = std::accumulate(errors.begin(), errors.end(), 0.0);
  return kAllFinite;
}

}  // namespace embcodec
