// Lloyd's iterations over the device's steps, as cpp/cluster.cpp has them over threads.
#include "kmeans.h"

#include "../cpp/sampling.h"

namespace embcodec {
namespace cuda {
namespace {

// Scratch of one fit.
struct Memory {
  Memory(int64_t n, int64_t k, char* scratch) : n(n), k(k) {
    char* at = scratch;
    errors = take<double>(at, n + 1);
    ids = take<int32_t>(at, n);
    counts = take<uint32_t>(at, k + 1);
    rows = take<uint32_t>(at, k);
    places = take<uint32_t>(at, k);
    bytes = at - scratch;
  }
  template <class T>
  static T* take(char*& at, int64_t count) {
    T* p = reinterpret_cast<T*>(at);
    at += (count * static_cast<int64_t>(sizeof(T)) + 255) / 256 * 256;
    return p;
  }
  int64_t n, k, bytes;
  double* errors;  // and their sum
  int32_t* ids;
  uint32_t *counts, *rows, *places;
};

class Lloyd {
 public:
  Lloyd(const Rows& x, int64_t k, float* codebook, int32_t* ids, const Memory& memory, const Call& call)
      : x_(x), k_(k), codebook_(codebook), ids_(ids), memory_(memory), call_(call) {}

  void set_codewords(const std::vector<uint32_t>& rows, const std::vector<uint32_t>& places) {
    if (rows.empty()) return;
    const int64_t count = static_cast<int64_t>(rows.size());
    copy_to_device(memory_.rows, rows.data(), 4 * count, call_);
    copy_to_device(memory_.places, places.data(), 4 * count, call_);
    copy_rows(x_, memory_.rows, memory_.places, count, codebook_, call_);
  }

  // How many rows have another codeword than before; counts_ has those of each cluster.
  uint32_t assign() {
    vq_encode(x_, codebook_, k_, memory_.ids, call_);
    take_ids(memory_.ids, x_.n, k_, ids_, memory_.counts, call_);
    counts_.resize(static_cast<size_t>(k_ + 1));
    copy_to_host(counts_.data(), memory_.counts, 4 * (k_ + 1), call_);
    return counts_[0];
  }

  void update() {
    std::vector<uint32_t> empty, far;
    for (uint32_t c = 0; c < static_cast<uint32_t>(k_); ++c)
      if (counts_[c + 1] == 0) empty.push_back(c);
    if (!empty.empty()) {  // the farthest from the codewords before they move
      std::vector<double> errors(static_cast<size_t>(x_.n));
      squared_errors(x_, codebook_, ids_, memory_.errors, call_);
      copy_to_host(errors.data(), memory_.errors, 8 * x_.n, call_);
      far = farthest_rows(errors, empty.size());
    }
    cluster_means(x_, ids_, k_, codebook_, call_);
    set_codewords(far, empty);
  }

  double inertia() {
    double sum = 0.0;
    squared_errors(x_, codebook_, ids_, memory_.errors, call_);
    sum_errors(memory_.errors, x_.n, memory_.errors + x_.n, call_);
    copy_to_host(&sum, memory_.errors + x_.n, 8, call_);
    return sum;
  }

  bool refused() {
    unsigned long long bad;
    copy_to_host(&bad, call_.bad, 8, call_);
    return bad != ~0ull;
  }

 private:
  const Rows& x_;
  const int64_t k_;
  float* const codebook_;
  int32_t* const ids_;
  const Memory& memory_;
  const Call& call_;
  std::vector<uint32_t> counts_;
};

}  // namespace

int64_t kmeans_fit(const Rows& x, int64_t k, int iterations, uint64_t seed, const float* init, float* codebook,
                   int32_t* ids, double* inertia, const Call& call) {
  const Memory memory(x.n, k, call.scratch);
  if (!call.scratch) return memory.bytes;
  Lloyd lloyd(x, k, codebook, ids, memory, call);
  if (init) {
    copy_on_device(codebook, init, 4 * k * x.d, call);
  } else {
    std::vector<uint32_t> places(static_cast<size_t>(k));
    std::iota(places.begin(), places.end(), 0u);
    lloyd.set_codewords(sample_rows(x.n, k, seed), places);
  }
  lloyd.assign();
  if (lloyd.refused()) return 0;
  for (int i = 0; i < iterations; ++i) {
    lloyd.update();
    if (lloyd.assign() == 0) break;
  }
  if (inertia) *inertia = lloyd.inertia();
  return 0;
}

// The ids of a subspace stand at the end of the scratch memory.
int64_t pq_fit(const Rows& x, int64_t m, int bits, int iterations, uint64_t seed, float* codebooks, const Call& call) {
  const int64_t ksub = int64_t{1} << bits, dsub = x.d / m, own = Memory(x.n, ksub, nullptr).bytes;
  if (!call.scratch) return own + 4 * x.n;
  for (int64_t s = 0; s < m; ++s) {
    Rows part = x;
    part.data += s * dsub * x.col_stride;
    part.d = dsub;
    kmeans_fit(part, ksub, iterations, seed + static_cast<uint64_t>(s), nullptr, codebooks + s * ksub * dsub,
               reinterpret_cast<int32_t*>(call.scratch + own), nullptr, call);
  }
  return 0;
}

}  // namespace cuda
}  // namespace embcodec
