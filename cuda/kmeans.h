// The steps of Lloyd's iterations on the device; the order they come in is in kmeans.cpp.
#pragma once
#include "launch.h"

namespace embcodec {
namespace cuda {

// Codewords places[i] become rows rows[i], i < count; both lists are the device's.
void copy_rows(const Rows& x, const uint32_t* rows, const uint32_t* places, int64_t count, float* codebook,
               const Call& call);
// Takes over the new ids; counts[0]: how many were others, counts[1 + c]: the rows of cluster c.
void take_ids(const int32_t* new_ids, int64_t n, int64_t k, int32_t* ids, uint32_t* counts, const Call& call);
// The means of the rows of each cluster that has any, float64 sums in order of row.
void cluster_means(const Rows& x, const int32_t* ids, int64_t k, float* codebook, const Call& call);
void squared_errors(const Rows& x, const float* codebook, const int32_t* ids, double* errors, const Call& call);
// Sums in an order that the number alone fixes.
void sum_errors(const double* errors, int64_t n, double* sum, const Call& call);

void copy_to_host(void* to, const void* from, int64_t bytes, const Call& call);  // waits
void copy_on_device(void* to, const void* from, int64_t bytes, const Call& call);
void copy_to_device(void* to, const void* from, int64_t bytes, const Call& call);

}  // namespace cuda
}  // namespace embcodec
