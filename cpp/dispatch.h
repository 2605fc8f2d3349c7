// The ladder of levels: which are compiled in, which this machine can run, which one is used.
#pragma once
#include <string>
#include <vector>

#include "kernels/table.h"

namespace embcodec {

struct Level {
  const char* name;
  const Kernels* kernels;
  bool available;  // on this machine
};

const std::vector<Level>& levels();  // in ladder order
int default_level();  // index; the highest available one unless EMBCODEC_ISA or set_default_level says else
void set_default_level(const std::string& name);  // throws std::invalid_argument for an unknown or unavailable one

// The kernels of level `isa`, or of the default level for -1. Throws std::invalid_argument when it is not available.
const Kernels& kernels_of(int isa);

}  // namespace embcodec
