// The kernels compiled for the neon level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA neon
#include "../simd/neon.h"

#include "../kernels/all.inl.h"
