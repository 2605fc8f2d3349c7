// AVX-512 of Ice Lake, Zen 4 and later: VBMI, VNNI, BITALG and VPOPCNTDQ on top of the avx512 level.
#pragma once
#define EMB_VNNI
#include "avx512.h"
