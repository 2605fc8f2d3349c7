#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace embcodec {

#define EMB_DECLARE(LEVEL)      \
  namespace LEVEL {             \
  extern const Kernels kernels; \
  }
EMB_DECLARE(scalar)
EMB_DECLARE(avx2)
EMB_DECLARE(avx512)
EMB_DECLARE(avx512_icl)
EMB_DECLARE(avx512_amx)
EMB_DECLARE(neon)

namespace {

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") &&
         __builtin_cpu_supports("f16c");
}
#if !defined(EMB_NO_AVX512)
bool has_avx512() {
#if defined(EMB_EMULATED)
  return has_avx2();
#else
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
#endif
}
bool has_avx512_icl() {
#if defined(EMB_EMULATED)
  return has_avx2();
#else
  return has_avx512() && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bitalg") &&
         __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("gfni");
#endif
}
#if !defined(EMB_NO_AMX)
// A process has tiles once it has asked the system for room to keep their 8 KB when threads change. From then on the
// system refuses alternate signal stacks too small for them, so nothing is asked for where another level is forced.
bool has_avx512_amx() {
#if defined(EMB_EMULATED)
  return has_avx2();
#elif defined(__linux__)
  constexpr long kAskForRoom = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h
  const char* forced = std::getenv("EMBCODEC_ISA");
  return (!forced || !*forced || std::string(forced) == "avx512_amx") && has_avx512_icl() &&
         __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
         syscall(SYS_arch_prctl, kAskForRoom, kTileData) == 0;
#else
  return false;
#endif
}
#endif
#endif
#endif

std::vector<Level> build_ladder() {
  std::vector<Level> ladder = {{"scalar", &scalar::kernels, true}};
#if defined(__x86_64__)
  ladder.push_back({"avx2", &avx2::kernels, has_avx2()});
#if !defined(EMB_NO_AVX512)
  ladder.push_back({"avx512", &avx512::kernels, has_avx512()});
  ladder.push_back({"avx512_icl", &avx512_icl::kernels, has_avx512_icl()});
#if !defined(EMB_NO_AMX)
  ladder.push_back({"avx512_amx", &avx512_amx::kernels, has_avx512_amx()});
#endif
#endif
#elif defined(__aarch64__)
  ladder.push_back({"neon", &neon::kernels, true});
#endif
  return ladder;
}

std::string available_names() {
  std::string names;
  for (const Level& level : levels())
    if (level.available) names += (names.empty() ? "" : ", ") + std::string(level.name);
  return names;
}

int find_level(const std::string& name) {
  const auto& ladder = levels();
  for (size_t i = 0; i < ladder.size(); ++i) {
    if (name != ladder[i].name) continue;
    if (ladder[i].available) return static_cast<int>(i);
    throw std::invalid_argument("this machine lacks the level " + name + "; it has " + available_names());
  }
  throw std::invalid_argument("unknown level " + name + "; this machine has " + available_names());
}

int first_level() {
  const char* forced = std::getenv("EMBCODEC_ISA");
  if (forced && *forced) {
    try {
      return find_level(forced);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(std::string("EMBCODEC_ISA: ") + error.what());
    }
  }
  const auto& ladder = levels();
  int best = 0;
  for (size_t i = 0; i < ladder.size(); ++i)
    if (ladder[i].available) best = static_cast<int>(i);
#if defined(EMB_EMULATED)
  best = 1;  // the emulated levels run only when asked for
#endif
  return best;
}

std::atomic<int>& chosen() {
  static std::atomic<int> level{first_level()};
  return level;
}

}  // namespace

const std::vector<Level>& levels() {
  static const std::vector<Level> ladder = build_ladder();
  return ladder;
}

int default_level() { return chosen().load(std::memory_order_relaxed); }

void set_default_level(const std::string& name) { chosen().store(find_level(name), std::memory_order_relaxed); }

const Kernels& kernels_of(int isa) {
  const Level& level = levels().at(static_cast<size_t>(isa < 0 ? default_level() : isa));
  if (!level.available) throw std::invalid_argument(std::string("this machine lacks the level ") + level.name);
  return *level.kernels;
}

}  // namespace embcodec
