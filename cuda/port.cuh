// The one header that knows whether kernels are compiled for a GPU or, for tests, for tests/cuda_on_cpu. Kernels say
// EMB_LAUNCH, EMB_SHARED and EMB_DYN_SHARED, and include nothing of the host's. What is PTX on a GPU, mma_m16n8k16
// and its neighbours, is C++ there.
#pragma once
#if defined(EMB_ON_CPU)
#include "cuda_on_cpu.h"
#define EMB_UNROLL
#define EMB_UNROLL_4
#define EMB_ROLLED
#else
#include <cuda_runtime.h>

// EMB_LAUNCH((kernel<Template, Arguments>), grid, block, bytes of dynamic shared memory, stream, arguments...)
// clang-format off
#define EMB_LAUNCH(kernel, grid, block, smem, stream, ...) \
  ((kernel)<<<grid, block, smem, static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__))
// clang-format on
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define EMB_HOPPER 1  // registers suffice there for some kernels that others spill
#endif
#define EMB_UNROLL _Pragma("unroll")      // before a loop over an array that shall stay in registers
#define EMB_UNROLL_4 _Pragma("unroll 4")  // before a loop of short steps
#define EMB_ROLLED _Pragma("unroll 1")    // before a long body, which would only grow
#define EMB_SHARED(T, name, extent) __shared__ T name extent
#define EMB_DYN_SHARED(T, name)                                   \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared)

// sum (16 x 8) += a (16 x 16) b (16 x 8) by a whole warp, bfloat16 with float32 sums. With group = lane / 4 and
// t = lane % 4 a lane has, low halves of registers first (PTX ISA, fragments of mma.m16n8k16):
//   of a, 8 elements: number i is row group + 8 (i / 2 % 2), column 2 t + i % 2 + 8 (i / 4);
//   of b, 4 elements: number i is row 2 t + i % 2 + 8 (i / 2), column group;
//   of sum, 4 elements: number i is row group + 8 (i / 2), column 2 t + i % 2.
__device__ inline void mma_m16n8k16(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same of float16, sum = from + a b; and without the last 8 columns of a and rows of b.
__device__ inline void mma_m16n8k16_f16(float (&sum)[4], const float (&from)[4], const uint32_t (&a)[4],
                                        const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%10, %11, %12, %13};"
      : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(from[0]), "f"(from[1]), "f"(from[2]),
        "f"(from[3]));
}
__device__ inline void mma_m16n8k8_f16(float (&sum)[4], const float (&from)[4], const uint32_t (&a)[2], uint32_t b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
               : "=f"(sum[0]), "=f"(sum[1]), "=f"(sum[2]), "=f"(sum[3])
               : "r"(a[0]), "r"(a[1]), "r"(b), "f"(from[0]), "f"(from[1]), "f"(from[2]), "f"(from[3]));
}

// Both rounded to the nearest float16, half to even; `low` in the low half.
__device__ inline uint32_t two_f16(float low, float high) {
  uint32_t two;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(high), "f"(low));
  return two;
}

// The same to bfloat16.
__device__ inline uint32_t two_bf16(float low, float high) {
  uint32_t two;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(high), "f"(low));
  return two;
}

// Byte i of a word, below the three upper bytes of `above`.
__device__ inline uint32_t byte_of(uint32_t word, int i, uint32_t above) {
  return __byte_perm(word, above, 0x7650u + static_cast<uint32_t>(i));
}

// A float16 as float32, in one instruction; which NaN a NaN becomes is open.
__device__ inline float f32_of_half(uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
#endif

namespace embcodec {
namespace cuda {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kBlock = 256;  // threads, where nothing speaks for another number

// Throws what an unsuccessful call means.
void check(cudaError_t status);

// Lets a kernel have more dynamic shared memory than the 48 KB that need no word. Every GPU we build for has 99 KB for
// a block, of which static shared memory is a part.
template <class Kernel>
void allow_dynamic_shared(Kernel* kernel, int64_t bytes) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

// Blocks of `each` for `count` items.
inline unsigned blocks_for(int64_t count, int64_t each) { return static_cast<unsigned>((count + each - 1) / each); }

}  // namespace cuda
}  // namespace embcodec
