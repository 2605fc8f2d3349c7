// Devices, errors of the runtime as exceptions, and rows that others than kernels refuse.
#include <stdexcept>
#include <string>

#include "rows.cuh"

namespace embcodec {
namespace cuda {
namespace {

// Of a call without a driver the runtime says that the driver is too old.
bool driver_found() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess && version > 0;
}

__global__ void refuse_marked(const uint8_t* marked, int64_t n, Call call) {
  const int64_t row = thread_number();
  if (row < n && marked[row]) refuse(call, row);
}

}  // namespace

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  if (!driver_found()) throw Unavailable("no NVIDIA driver found");
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

int device_count() {
  if (!driver_found()) throw Unavailable("no NVIDIA driver found");
  int count = 0;
  check(cudaGetDeviceCount(&count));
  return count;
}

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device));
  return device;
}

void set_device(int device) { check(cudaSetDevice(device)); }

void synchronize(int device) {
  const int before = current_device();
  set_device(device);
  check(cudaDeviceSynchronize());
  set_device(before);
}

void refuse_rows(const uint8_t* marked, int64_t n, const Call& call) {
  if (n == 0) return;
  EMB_LAUNCH((refuse_marked), blocks_for(n, kBlock), kBlock, 0, call.stream, marked, n, call);
  check(cudaGetLastError());
}

}  // namespace cuda
}  // namespace embcodec
