// Packed codes of numbers and what a query makes of them: for the scans that multiply or look them up as they lie.
#pragma once
#include "centroids.inl.h"

namespace embcodec {
namespace EMB_ISA {
namespace {

// Dimension j of a row is the float32 factor * (v * scale_j + offset_j) + addend * direction_j + its centroid's, where
// v is the code's value, 0..largest. Scale, offset and direction go into the query (CodeForm); factor and addend are
// the row's. How codes of `bits` bits lie in a row, and their values:
struct PackedCodes {
  int64_t d;
  int bits;
  bool msb;              // dimension 0 is the highest bit of its byte
  const uint8_t* table;  // the value of a code, if it is not the code itself
  int largest;
};

// Of a query: what multiplies the values (d floats), what the factor multiplies beside them, what multiplies the
// addend; the sums of the magnitudes of all that is added up for these; how far the products with a table's values may
// be off.
struct CodeForm {
  float constant, extra, sizes, extra_sizes, off;
};

// Fills d floats and gives the form of query x; sets factors and addends of `count` rows, with room for a multiple
// of 16 and ids that exist so far.
using FormOf = Callable<CodeForm(const float* x, float* folded)>;
using TermsOf = Callable<void(const int64_t* ids, int count, float* factor, float* addend)>;

// Of rows that have neither.
constexpr auto plain_terms = [](const int64_t*, int count, float* factor, float* addend) {
  for (int n = 0; n < count; ++n) factor[n] = 1.0f, addend[n] = 0.0f;
};

}  // namespace
}  // namespace EMB_ISA
}  // namespace embcodec
