// The one place that knows threads: a pool shared by all kernels and callers of the process.
#pragma once
#include <cstdint>
#include <functional>

#include "core.h"

namespace embcodec {

int get_num_threads();              // EMBCODEC_NUM_THREADS at first use, else the processors this process may run on
void set_num_threads(int threads);  // throws std::invalid_argument below 1

// Calls task(i, worker) for i in [0, tasks), on at most `threads` threads (0: the default), the caller's own among
// them; worker < threads. Returns when all are done. Calls from several threads share the pool and do not wait for
// each other's tasks. `task` must not throw.
void parallel_for(int64_t tasks, int threads, const std::function<void(int64_t task, int worker)>& task);

// The number of threads worth using for `items` of which each should get at least `grain`.
int useful_threads(int64_t items, int64_t grain, int threads);

// Splits [0, n) into shares of about equal size, several a thread, and calls share(range, scratch); `floats` is the
// size of the scratch memory, one 64-byte aligned piece for each thread.
void parallel_ranges(int64_t n, int64_t grain, int threads, int64_t floats,
                     const std::function<void(Range range, float* scratch)>& share);

// The same for shares that may come upon a row they refuse: share() returns it or kAllFinite. Returns the lowest one.
int64_t lowest_bad_row(int64_t n, int64_t grain, int threads, int64_t floats,
                       const std::function<int64_t(Range range, float* scratch)>& share);

}  // namespace embcodec
