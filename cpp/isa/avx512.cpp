// The kernels compiled for the avx512 level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA avx512
#include "../simd/avx512.h"

#include "../kernels/all.inl.h"
