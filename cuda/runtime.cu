// Devices, and errors of the runtime as exceptions.
#include <stdexcept>
#include <string>

#include "launch.h"
#include "port.cuh"

namespace embcodec {
namespace cuda {
namespace {

// Of a call without a driver the runtime says that the driver is too old.
bool driver_found() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess && version > 0;
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

}  // namespace cuda
}  // namespace embcodec
