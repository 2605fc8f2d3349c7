// The one header that knows whether kernels are compiled for a GPU or, for tests, for tests/cuda_on_cpu. Kernels say
// EMB_LAUNCH, EMB_SHARED and EMB_DYN_SHARED, and include nothing of the host's.
#pragma once
#if defined(EMB_ON_CPU)
#include "cuda_on_cpu.h"
#define EMB_UNROLL
#define EMB_ROLLED
#else
#include <cuda_runtime.h>

// EMB_LAUNCH((kernel<Template, Arguments>), grid, block, bytes of dynamic shared memory, stream, arguments...)
// clang-format off
#define EMB_LAUNCH(kernel, grid, block, smem, stream, ...) \
  ((kernel)<<<grid, block, smem, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__))
// clang-format on
#define EMB_UNROLL _Pragma("unroll")    // before a loop over an array that shall stay in registers
#define EMB_ROLLED _Pragma("unroll 1")  // before a long body, which would only grow
#define EMB_SHARED(T, name, extent) __shared__ T name extent
#define EMB_DYN_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared)
#endif

namespace embcodec {
namespace cuda {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kBlock = 256;  // threads, where nothing speaks for another number

// Throws what an unsuccessful call means.
void check(cudaError_t status);

// Blocks of `each` for `count` items.
inline unsigned blocks_for(int64_t count, int64_t each) { return static_cast<unsigned>((count + each - 1) / each); }

}  // namespace cuda
}  // namespace embcodec
