// How assignments and k-means are spread over threads.
#pragma once
#include "dispatch.h"

namespace embcodec {

// The nearest of the k codewords (k, x.d) for each row; returns kAllFinite or the lowest bad row.
int64_t assign(const Kernels& kernels, const Rows& x, const float* codebook, int64_t k, int32_t* ids, int threads);

// Lloyd's iterations as python/embcodec/_native.pyi describes them; the result does not depend on `threads`. `init`
// (k, x.d), or null: rows that the seed chooses. Writes codebook (k, x.d), ids (n) and the sum of squared errors; the
// last two are not asked for where `inertia` is null. Returns kAllFinite or the lowest bad row.
int64_t kmeans(const Kernels& kernels, const Rows& x, int64_t k, int iterations, uint64_t seed, const float* init,
               float* codebook, int32_t* ids, double* inertia, int threads);

}  // namespace embcodec
