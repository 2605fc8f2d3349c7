// How a scan is spread over threads, and how the best rows of its parts become one answer.
#pragma once
#include <functional>
#include <vector>

#include "core.h"

namespace embcodec {

// Copies of the queries as a scan wants them: padded rows and their lengths.
class PaddedQueries {
 public:
  PaddedQueries(const float* data, int64_t n, int64_t d, float (*dot)(const float*, const float*, int64_t));
  Queries view() const;

 private:
  int64_t n_, d_, stride_;
  std::vector<float> values_, squares_, norms_;
};

// Runs part(best, rows, queries, scratch) over a split of the n rows (or of the nq queries, when there are many) and
// writes scores and ids (nq, k): best first, id -1 and score -inf where fewer than k rows were left. `best` has a heap
// for each of the nq queries; a part touches those of its own queries. `part` returns kAllFinite or a bad row; the
// lowest bad row is returned.
int64_t scan_in_parallel(int64_t n, int64_t nq, int k, int threads, int64_t scratch_floats,
                         const std::function<int64_t(TopK* best, Range rows, Range queries, float* scratch)>& part,
                         float* scores, int64_t* ids);

}  // namespace embcodec
