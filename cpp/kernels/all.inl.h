// Every family, compiled for the level whose simd header was included before, and the level's table.
#pragma once
#include "scalar.inl.h"

namespace embcodec {
namespace EMB_ISA {

extern const Kernels kernels;
const Kernels kernels = {
    sq_encode, sq_decode, sq_topk, rowsq_encode, rowsq_decode, rowsq_topk, flat_topk, dot16,
};

}  // namespace EMB_ISA
}  // namespace embcodec
