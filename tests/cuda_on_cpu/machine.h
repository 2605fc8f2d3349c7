// The machine that kernels run on here: blocks of fibres, a barrier for each block, collectives for each warp, shared
// memory of exactly the size asked for. What a GPU leaves undefined is an error with its line.
#pragma once
#include <cstddef>
#include <cstdint>

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace cuda_on_cpu {

constexpr unsigned kWarp = 32;

// In which order blocks, and the threads that are ready, take their turns. Two blocks are on the machine at a time.
enum class Order { forward, reverse, random };
void set_order(Order order, uint64_t seed);

// Lets the next kernel have that much dynamic shared memory, where it is more than the 48 KB that need no word; false
// where no block may have it. (On a GPU the kernel keeps the permission: ours ask before each launch.)
bool allow_dynamic(int64_t bytes);

// Runs body(arguments) on every thread; std::runtime_error says what a kernel did wrong, after which its threads are
// given up.
void launch(dim3 grid, dim3 threads, size_t dynamic_bytes, void (*body)(const void*), const void* arguments);

// -- what a thread asks for

dim3 grid();
dim3 threads();
dim3 block_index();
dim3 thread_index();
unsigned lane_number();
void barrier(int line);
void sync_warp(int line, uint32_t mask);  // orders memory, as exchange() does not
// What lane `from` gave, or in place of a lane: a bit for each lane whose value is not 0, the sum, the most, the least.
constexpr int kVotes = -1, kSum = -2, kMost = -3, kLeast = -4;
uint64_t exchange(const char* name, int line, uint32_t mask, uint64_t value, int from);
void* shared(const void* key, size_t bytes);  // `key`: the address of something that is the declaration's own
void* dynamic_shared();

}  // namespace cuda_on_cpu
