// Vector quantization, and the steps of k-means.
#include "kmeans.h"
#include "tensor.cuh"

namespace embcodec {
namespace cuda {
namespace {

__global__ void copy_some_rows(Rows x, const uint32_t* rows, const uint32_t* places, int64_t count, float* codebook) {
  const int64_t at = thread_number();
  if (at >= count * x.d) return;
  const int64_t i = at / x.d, j = at % x.d;
  codebook[places[i] * x.d + j] = element(x, rows[i], j);
}

__global__ void take_new_ids(const int32_t* new_ids, int64_t n, int32_t* ids, uint32_t* counts) {
  const int64_t row = thread_number();
  if (row >= n) return;
  const int32_t id = new_ids[row];
  if (ids[row] != id) atomicAdd(counts, 1u);
  ids[row] = id;
  atomicAdd(counts + 1 + id, 1u);
}

// A block a cluster: it lists the next rows of the cluster in order, each thread adds up dimensions of those listed.
__global__ void mean_of_cluster(Rows x, const int32_t* ids, int64_t first_dimension, float* codebook) {
  EMB_SHARED(uint32_t, listed, [kBlock]);
  EMB_SHARED(uint32_t, warps, [kBlock / 32]);
  const int32_t cluster = static_cast<int32_t>(blockIdx.x);
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t j = first_dimension + threadIdx.x;
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t first = 0; first < x.n; first += kBlock) {
    const int64_t row = first + threadIdx.x;
    const uint32_t votes = __ballot_sync(kAllLanes, row < x.n && ids[row] == cluster);
    if (lane == 0) warps[warp] = static_cast<uint32_t>(__popc(votes));
    __syncthreads();
    uint32_t before = static_cast<uint32_t>(__popc(votes & ((1u << lane) - 1u))), total = 0;
    for (unsigned i = 0; i < kBlock / 32; ++i) {
      before += i < warp ? warps[i] : 0;
      total += warps[i];
    }
    if (votes >> lane & 1) listed[before] = static_cast<uint32_t>(row);
    __syncthreads();
    for (uint32_t i = 0; i < total && j < x.d; ++i) sum += static_cast<double>(element(x, listed[i], j));
    count += total;
    __syncthreads();
  }
  if (count && j < x.d) codebook[cluster * x.d + j] = static_cast<float>(sum / static_cast<double>(count));
}

__global__ void error_of_rows(Rows x, const float* codebook, const int32_t* ids, double* errors) {
  const int64_t row = thread_number();
  if (row >= x.n) return;
  const float* codeword = codebook + ids[row] * x.d;
  double sum = 0.0;
  EMB_ROLLED for (int64_t j = 0; j < x.d; ++j) {
    const double t = static_cast<double>(element(x, row, j)) - static_cast<double>(codeword[j]);
    sum += t * t;
  }
  errors[row] = sum;
}

__global__ void sum_all(const double* errors, int64_t n, double* sum) {
  EMB_SHARED(double, sums, [kBlock]);
  double mine = 0.0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) mine += errors[i];
  sums[threadIdx.x] = mine;
  for (unsigned half = kBlock / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) *sum = sums[0];
}

}  // namespace

int64_t vq_encode(const Rows& x, const float* codebook, int64_t k, int32_t* ids, const Call& call) {
  return launch_nearest({x, codebook, 1, k, x.d, ids, {}}, call);
}

void copy_rows(const Rows& x, const uint32_t* rows, const uint32_t* places, int64_t count, float* codebook,
               const Call& call) {
  EMB_LAUNCH((copy_some_rows), blocks_for(count * x.d, kBlock), kBlock, 0, call.stream, x, rows, places, count,
             codebook);
  check(cudaGetLastError());
}

void take_ids(const int32_t* new_ids, int64_t n, int64_t k, int32_t* ids, uint32_t* counts, const Call& call) {
  check(cudaMemsetAsync(counts, 0, static_cast<size_t>(4 * (k + 1)), static_cast<cudaStream_t>(call.stream)));
  EMB_LAUNCH((take_new_ids), blocks_for(n, kBlock), kBlock, 0, call.stream, new_ids, n, ids, counts);
  check(cudaGetLastError());
}

void cluster_means(const Rows& x, const int32_t* ids, int64_t k, float* codebook, const Call& call) {
  for (int64_t first = 0; first < x.d; first += kBlock)
    EMB_LAUNCH((mean_of_cluster), static_cast<unsigned>(k), kBlock, 0, call.stream, x, ids, first, codebook);
  check(cudaGetLastError());
}

void squared_errors(const Rows& x, const float* codebook, const int32_t* ids, double* errors, const Call& call) {
  EMB_LAUNCH((error_of_rows), blocks_for(x.n, kBlock), kBlock, 0, call.stream, x, codebook, ids, errors);
  check(cudaGetLastError());
}

void sum_errors(const double* errors, int64_t n, double* sum, const Call& call) {
  EMB_LAUNCH((sum_all), 1, kBlock, 0, call.stream, errors, n, sum);
  check(cudaGetLastError());
}

void copy_to_host(void* to, const void* from, int64_t bytes, const Call& call) {
  const cudaStream_t stream = static_cast<cudaStream_t>(call.stream);
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream));
  check(cudaStreamSynchronize(stream));
}

void copy_on_device(void* to, const void* from, int64_t bytes, const Call& call) {
  const cudaStream_t stream = static_cast<cudaStream_t>(call.stream);
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream));
}

void copy_to_device(void* to, const void* from, int64_t bytes, const Call& call) {
  const cudaStream_t stream = static_cast<cudaStream_t>(call.stream);
  check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream));
}

}  // namespace cuda
}  // namespace embcodec
