// CUDA's names over the machine of machine.h, and the few functions of the runtime that our host code calls. Kernels
// compiled with EMB_ON_CPU include this in place of cuda_runtime.h (cuda/port.cuh).
#pragma once
#include <cstring>

#include "../../cpp/row/halves.h"
#include "machine.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)

#define threadIdx (::cuda_on_cpu::thread_index())
#define blockIdx (::cuda_on_cpu::block_index())
#define blockDim (::cuda_on_cpu::threads())
#define gridDim (::cuda_on_cpu::grid())

#define EMB_LAUNCH(kernel, grid, block, smem, stream, ...) \
  (static_cast<void>(stream), ::cuda_on_cpu::run(grid, block, smem, [=] { (kernel)(__VA_ARGS__); }))
#define EMB_SHARED(T, name, extent) \
  static const char name##_key = 0; \
  T(&name) extent = *static_cast<T(*) extent>(::cuda_on_cpu::shared(&name##_key, sizeof(T extent)))
#define EMB_DYN_SHARED(T, name) T* name = static_cast<T*>(::cuda_on_cpu::dynamic_shared())

#define __syncthreads() ::cuda_on_cpu::barrier(__LINE__)
#define __syncwarp(mask) ::cuda_on_cpu::sync_warp(__LINE__, mask)
#define __shfl_sync(mask, value, from) ::cuda_on_cpu::shuffle("__shfl_sync", __LINE__, mask, value, from)
#define __shfl_xor_sync(mask, value, flip)                         \
  ::cuda_on_cpu::shuffle("__shfl_xor_sync", __LINE__, mask, value, \
                         ::cuda_on_cpu::lane_number() ^ static_cast<unsigned>(flip))
#define __ballot_sync(mask, vote) \
  static_cast<uint32_t>(::cuda_on_cpu::exchange("__ballot_sync", __LINE__, mask, (vote) ? 1 : 0, ::cuda_on_cpu::kVotes))
#define __reduce_add_sync(mask, value) \
  ::cuda_on_cpu::reduce("__reduce_add_sync", __LINE__, mask, value, ::cuda_on_cpu::kSum)
#define __reduce_max_sync(mask, value) \
  ::cuda_on_cpu::reduce("__reduce_max_sync", __LINE__, mask, value, ::cuda_on_cpu::kMost)
#define __reduce_min_sync(mask, value) \
  ::cuda_on_cpu::reduce("__reduce_min_sync", __LINE__, mask, value, ::cuda_on_cpu::kLeast)

namespace cuda_on_cpu {

template <class Body>
void run(dim3 grid, dim3 threads, size_t dynamic_bytes, const Body& body) {
  launch(grid, threads, dynamic_bytes, [](const void* p) { (*static_cast<const Body*>(p))(); }, &body);
}

template <class T>
T shuffle(const char* name, int line, uint32_t mask, T value, unsigned from) {
  static_assert(sizeof(T) <= 8, "a register or two");
  uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  word = exchange(name, line, mask, word, static_cast<int>(from % kWarp));
  std::memcpy(&value, &word, sizeof(T));
  return value;
}

inline uint32_t reduce(const char* name, int line, uint32_t mask, uint32_t value, int how) {
  return static_cast<uint32_t>(exchange(name, line, mask, value, how));
}

}  // namespace cuda_on_cpu

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};

inline uint32_t atomicAdd(uint32_t* p, uint32_t value) { return __atomic_fetch_add(p, value, __ATOMIC_RELAXED); }
inline unsigned long long atomicMin(unsigned long long* p, unsigned long long value) {
  unsigned long long old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (value < old && !__atomic_compare_exchange_n(p, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }

inline unsigned __vimin3_u32(unsigned a, unsigned b, unsigned c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return static_cast<unsigned>(((static_cast<uint64_t>(high) << 32 | low) << (shift % 32)) >> 32);
}

// cuda/port.cuh has the layout. float_of() a half of a register.
template <int STEPS, class FloatOf>
void multiply_m16n8(float (&sum)[4], const uint32_t (&a)[2 * STEPS], const uint32_t (&b)[STEPS],
                    const FloatOf& float_of) {
  const unsigned group = ::cuda_on_cpu::lane_number() / 4, t = ::cuda_on_cpu::lane_number() % 4;
  const auto two = [](uint32_t low, uint32_t high) { return static_cast<uint64_t>(high) << 32 | low; };
  const auto element = [&](uint64_t four, unsigned i) { return float_of(static_cast<uint16_t>(four >> 16 * i)); };
  for (unsigned owner = 0; owner < 4; ++owner) {
    // The owner has columns k = 2 owner, k + 1 of a in rows[0], of row `group` before row `group` + 8, and k + 8, k + 9
    // in rows[1], if there are as many; and of b rows k, k + 1, k + 8, k + 9 of a column.
    uint64_t rows[STEPS], columns[2];
    for (int i = 0; i < STEPS; ++i) rows[i] = __shfl_sync(0xffffffffu, two(a[2 * i], a[2 * i + 1]), 4 * group + owner);
    for (unsigned i = 0; i < 2; ++i)
      columns[i] = __shfl_sync(0xffffffffu, two(b[0], STEPS == 2 ? b[STEPS - 1] : 0), 4 * (2 * t + i) + owner);
    for (unsigned i = 0; i < 4; ++i)
      for (unsigned j = 0; j < 2 * STEPS; ++j)
        sum[i] += element(rows[j / 2], i / 2 * 2 + j % 2) * element(columns[i % 2], j);
  }
}
inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline float float_of_bf16(uint16_t half) { return float_of_bits(static_cast<uint32_t>(half) << 16); }
inline float float_of_f16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, rest = half & 0x7fffu;
  if (rest >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  return float_of_bits(sign | rest << 13) * 0x1p112f;
}
inline void mma_m16n8k16(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  multiply_m16n8<2>(sum, a, b, float_of_bf16);
}
inline void mma_m16n8k16_f16(float (&sum)[4], const float (&from)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  std::memmove(sum, from, sizeof(sum));
  multiply_m16n8<2>(sum, a, b, float_of_f16);
}
inline void mma_m16n8k8_f16(float (&sum)[4], const float (&from)[4], const uint32_t (&a)[2], uint32_t b) {
  std::memmove(sum, from, sizeof(sum));
  multiply_m16n8<1>(sum, a, {b}, float_of_f16);
}
inline uint32_t two_f16(float low, float high) {
  const auto half = [](float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    const uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return 0x7fffu;
    if (rest >= 0x477ff000u) return sign | 0x7c00u;  // rounds to infinity
    // In front of a number of 24 bits whose last is the last of the half, the sum is rounded to that.
    if (rest < 0x38800000u) return sign | static_cast<uint32_t>((float_of_bits(rest) + 0.5f) * 0x1p24f - 0x1p23f);
    return sign | (rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13;
  };
  return half(low) | half(high) << 16;
}

inline uint32_t two_bf16(float low, float high) {
  const auto half = [](float v) {
    uint32_t bits;
    std::memcpy(&bits, &v, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fffu;
    return (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  };
  return half(high) << 16 | half(low);
}

inline uint32_t byte_of(uint32_t word, int i, uint32_t above) { return (above & ~255u) | (word >> 8 * i & 255u); }

inline float f32_of_half(uint16_t half) { return embcodec::f32_from_f16(half); }

// -- the runtime: one device, whose memory is the host's, and whose streams are always done

using cudaStream_t = void*;
using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0, cudaErrorInvalidValue = 1;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return ""; }
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel*, cudaFuncAttribute, int bytes) {
  return ::cuda_on_cpu::allow_dynamic(bytes) ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t) {
  return std::memset(p, value, bytes), cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return std::memcpy(to, from, bytes), cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
