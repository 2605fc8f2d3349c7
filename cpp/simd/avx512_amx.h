// AVX-512 of Sapphire Rapids and later: products of tiles of bytes (AMX-INT8) on top of the avx512_icl level.
#pragma once
#define EMB_TILES 1
#include "avx512_icl.h"
