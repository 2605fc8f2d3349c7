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
  int64_t first = 0;  // the number of the first row
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
// Refuses the rows that are marked, (n,).
void refuse_rows(const uint8_t* marked, int64_t n, const Call& call);

// Each kernel returns the bytes of scratch that it needs and does not have; then it did nothing, else it returns 0.
int64_t sq_encode(const Rows& x, const SqParams& p, CodesOut out, const Call& call);
int64_t sq_decode(const Codes& codes, const SqParams& p, float* out, const Call& call);
int64_t sq_topk(const Codes& codes, const SqParams& p, const Search& search, const Call& call);
int64_t rowsq_encode(const Rows& x, int bits, CodesOut out, float* scale, float* offset, const Call& call);
int64_t rowsq_decode(const Codes& codes, const RowSqParams& p, float* out, const Call& call);
int64_t rowsq_topk(const Codes& codes, const RowSqParams& p, const Search& search, const Call& call);
// `half`: Dtype::f16 or Dtype::bf16; codes that are read lie at even addresses.
int64_t half_encode(const Rows& x, Dtype half, CodesOut out, const Call& call);
int64_t half_decode(const Codes& codes, int64_t d, Dtype half, float* out, const Call& call);
int64_t flat_topk(const Rows& x, const Search& search, const Call& call);

// Of RowExtras and Coarse, centroids (count, d) and the direction (d,) are not padded here.
int64_t levels_encode(const Rows& x, const LevelsParams& p, CodesOut out, const Call& call);
int64_t levels_decode(const Codes& codes, const LevelsParams& p, float* out, const Call& call);
int64_t levels_topk(const Codes& codes, const LevelsParams& p, const RowExtras& extras, const Search& search,
                    const Call& call);

// Of ShapeParams, nothing is padded here.
int64_t shape_encode(const Rows& x, const ShapeParams& p, CodesOut out, const Call& call);
int64_t shape_decode(const Codes& codes, const ShapeParams& p, float* out, const Call& call);

int64_t bits_encode(const Rows& x, const float* threshold, bool msb, CodesOut out, const Call& call);
int64_t bits_decode(const Codes& codes, const BitsParams& p, float* out, const Call& call);
int64_t bits_topk(const Codes& codes, const BitsParams& p, const Search& search, const Call& call);
// The search's `queries` are unused: `wanted` holds them, `bytes` each.
int64_t hamming_topk(const Codes& codes, const Codes& wanted, int64_t bytes, const Search& search, const Call& call);

int64_t hadamard_rotate(const Rows& x, const Rotation& p, float* out, const Call& call);
int64_t hadamard_sq_encode(const Rows& x, const Rotation& p, const SqParams& sq, CodesOut out, const Call& call);

int64_t project(const Rows& x, const Projection& p, float* out, const Call& call);

// m codebooks of ksub codewords each, side by side in a row of x.
int64_t vq_encode(const Rows& x, const float* codebook, int64_t k, int32_t* ids, const Call& call);
int64_t pq_encode(const Rows& x, const Pq& p, CodesOut out, const Call& call);
int64_t pq_decode(const Codes& codes, const Pq& p, float* out, const Call& call);
int64_t pq_tables(const Pq& p, const float* queries, int64_t nq, Metric metric, float* tables, const Call& call);
int64_t pq_topk(const Codes& codes, const Pq& p, const Coarse& coarse, const Search& search, const Call& call);
// These two wait for the device after each iteration. `inertia` is the host's; `init` may be null.
int64_t kmeans_fit(const Rows& x, int64_t k, int iterations, uint64_t seed, const float* init, float* codebook,
                   int32_t* ids, double* inertia, const Call& call);
int64_t pq_fit(const Rows& x, int64_t m, int bits, int iterations, uint64_t seed, float* codebooks, const Call& call);

// Of Rq, `panels` and `half` are unused: the encoder has its own in scratch memory.
int64_t rq_encode(const Rows& x, const Rq& p, CodesOut out, const Call& call);
int64_t rq_decode(const Codes& codes, const Rq& p, float* out, const Call& call);

int64_t topk_encode(const Rows& x, int64_t k, const SparseOut& out, const Call& call);
int64_t topk_decode(const Sparse& s, int64_t d, float* out, const Call& call);
int64_t sparse_topk(const Sparse& s, const Search& search, const Call& call);

// `rates` is the host's.
int64_t trellis_encode(const Rows& x, const TrellisParams& p, CodesOut out, const Call& call);
int64_t trellis_decode(const Codes& codes, const TrellisParams& p, float* out, const Call& call);
int64_t trellis_topk(const Codes& codes, const TrellisParams& p, const Coarse& coarse, const Search& search,
                     const Call& call);

}  // namespace cuda
}  // namespace embcodec
