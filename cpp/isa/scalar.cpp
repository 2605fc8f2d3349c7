// The kernels compiled for the scalar level: CMakeLists.txt gives this file its instruction-set flags.
#define EMB_ISA scalar
#include "../simd/scalar.h"

#include "../kernels/all.inl.h"
