// The kernels compiled for the avx2 level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA avx2
#include "../simd/avx2.h"

#include "../kernels/all.inl.h"
