// What the CUDA kernels offer to the binding: plain structs, raw device pointers. Nothing here waits for the device,
// except where a comment says so. C++ without CUDA: the binding is compiled by the host's compiler alone.
#pragma once
#include <stdexcept>

#include "../cpp/core.h"
#include "../cpp/kernels/table.h"

namespace embcodec {
namespace cuda {

// Where a call runs, and memory on the device that its caller owns.
struct Call {
  void* stream;
  // The lowest row that was refused, if below what is there already: a NaN or an infinity, indices out of order.
  unsigned long long* bad;
  char* scratch;
};

struct Search {
  const float* queries;  // (nq, d)
  int64_t nq, d;
  Metric metric;
  const uint8_t* mask;
  int64_t k;
  float* scores;  // (nq, k)
  int64_t* ids;
};

struct Unavailable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Each throws Unavailable without a driver.
int device_count();
int current_device();  // of the calling thread
void set_device(int device);
void synchronize(int device);  // waits for all that it was given

// Each kernel returns the bytes of scratch that it needs and does not have; then it did nothing, else it returns 0.
int64_t sq_encode(const Rows& x, const SqParams& p, CodesOut out, const Call& call);
int64_t sq_decode(const Codes& codes, const SqParams& p, float* out, const Call& call);
int64_t sq_topk(const Codes& codes, const SqParams& p, const Search& search, const Call& call);
int64_t rowsq_encode(const Rows& x, int bits, CodesOut out, float* scale, float* offset, const Call& call);
int64_t rowsq_decode(const Codes& codes, const RowSqParams& p, float* out, const Call& call);
int64_t rowsq_topk(const Codes& codes, const RowSqParams& p, const Search& search, const Call& call);
int64_t flat_topk(const Rows& x, const Search& search, const Call& call);

}  // namespace cuda
}  // namespace embcodec
