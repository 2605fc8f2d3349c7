// The kernels compiled for the avx512_icl level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA avx512_icl
#include "../simd/avx512_icl.h"

#include "../kernels/all.inl.h"
