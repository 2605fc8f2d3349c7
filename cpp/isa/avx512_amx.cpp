// The kernels compiled for the avx512_amx level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA avx512_amx
#include "../simd/avx512_amx.h"

#include "../kernels/all.inl.h"
