// Compiled without ThreadSanitizer even where the kernels are compiled with it: only what they do may race.
#include "machine.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "fibre.h"

namespace cuda_on_cpu {

namespace {

constexpr size_t kSharedLimit = 99 << 10;  // of the architectures we build for, the least that a block can ask for
constexpr size_t kUnasked = 48 << 10;      // what a block may have of which nobody asked for more
constexpr unsigned kThreads = 1024, kResident = 2;
constexpr uint32_t kAll = 0xffffffffu;
constexpr int kOrders = -5;  // in place of a lane: a collective that orders memory

struct Lane;

// A collective of a warp: the lanes of `mask` deposit a value each, the last one to come hands out what each receives.
struct Collective {
  const char* name;
  int line;
  uint32_t mask, arrived;  // mask 0: none is open here
  uint64_t value[kWarp];
  int from[kWarp];  // whose value a lane wants
  Lane* waiting[kWarp];
};

struct Warp {
  std::vector<Collective> open;
  uint32_t exited = 0;
  uint32_t syncs[kWarp] = {};  // by the lowest lane of the mask: parts of a warp go on by themselves
  char tokens[kWarp][2];       // as those of a block's barriers
};

struct Shared {
  const void* key;  // the declaration
  size_t size;
  std::unique_ptr<char[]> memory;
};

struct Block {
  dim3 index;
  unsigned alive = 0;
  std::vector<Warp> warps;
  std::vector<Shared> shared;
  std::vector<Lane*> at_barrier;
  int barrier_line = 0;
  uint64_t barriers = 0;
  char tokens[2];  // barriers release and acquire, in turns
};

struct Lane {
  Fibre fibre;
  Block* block;
  dim3 index;
  unsigned linear;
  bool done;
  uint64_t received;
};

class Machine {
 public:
  static Machine& get() {
    static Machine machine;
    return machine;
  }

  Order order = Order::forward;
  uint64_t seed = 1;

  Lane& lane() { return *current_; }
  const dim3& grid() const { return grid_; }
  const dim3& threads() const { return threads_; }

  bool allow_dynamic(int64_t bytes) {
    if (bytes < 0 || static_cast<size_t>(bytes) > kSharedLimit) return false;
    allowed_ = static_cast<size_t>(bytes);
    return true;
  }

  void launch(dim3 g, dim3 t, size_t dynamic_bytes, void (*body)(const void*), const void* arguments) {
    const unsigned count = t.x * t.y * t.z;
    if (!count || count > kThreads || !g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
      throw std::runtime_error("launch: a grid or a block of a size that no GPU has");
    grid_ = g;
    threads_ = t;
    body_ = body;
    arguments_ = arguments;
    error_.clear();
    limit_ = dynamic_bytes <= allowed_ ? kSharedLimit : kUnasked;
    allowed_ = 0;
    if (dynamic_bytes > limit_) throw std::runtime_error(too_much(dynamic_bytes));
    std::mt19937_64 random(seed);
    std::vector<uint64_t> blocks(static_cast<uint64_t>(g.x) * g.y * g.z);
    for (size_t i = 0; i < blocks.size(); ++i) blocks[i] = i;
    permute(blocks, random);
    for (size_t i = 0; i < blocks.size(); i += kResident) {
      std::vector<std::unique_ptr<Block>> resident;
      for (size_t j = i; j < std::min<size_t>(blocks.size(), i + kResident); ++j)
        resident.push_back(open_block(blocks[j], count, dynamic_bytes, j - i));
      __tsan_release(&error_);
      run(resident, random);
      __tsan_acquire(&ended_);
      if (!error_.empty()) throw std::runtime_error(error_);
    }
  }

  // -- what a thread calls

  void barrier(int line) {
    Block& block = *current_->block;
    if (!block.at_barrier.empty() && block.barrier_line != line)
      fail("barrier: threads of a block wait in lines " + std::to_string(block.barrier_line) + " and " +
           std::to_string(line));
    block.barrier_line = line;
    char* token = block.tokens + block.barriers % 2;
    __tsan_release(token);
    block.at_barrier.push_back(current_);
    release_barrier(block);
    wait();
    __tsan_acquire(token);
  }

  // What lane `from` of the collective gave; for from = -1 a bit for each lane that gave something.
  uint64_t collective(const char* name, int line, uint32_t mask, uint64_t value, int from) {
    Warp& warp = current_->block->warps[current_->linear / kWarp];
    const unsigned me = current_->linear % kWarp;
    if (!(mask >> me & 1)) fail(at(name, line) + "the mask leaves out a lane that calls it");
    if (mask & warp.exited) fail(at(name, line) + "the mask names a lane that has ended");
    if (from >= 0 && !(mask >> from & 1)) fail(at(name, line) + "reads a lane that the mask leaves out");
    Collective& c = find(warp, name, line, mask);
    c.arrived |= 1u << me;
    c.value[me] = value;
    c.from[me] = from;
    c.waiting[me] = current_;
    if (c.arrived == mask) {
      warp.syncs[__builtin_ctz(mask)] += from == kOrders;
      finish(c);
    }
    wait();
    return current_->received;
  }

  void* shared(const void* key, size_t bytes) {
    Block& block = *current_->block;
    for (Shared& s : block.shared)
      if (s.key == key) {
        __tsan_acquire(s.memory.get());
        return s.memory.get();
      }
    size_t used = bytes;
    for (const Shared& s : block.shared) used += s.size;
    if (used > limit_) fail(too_much(used));
    block.shared.push_back(make_shared(key, bytes));
    __tsan_release(block.shared.back().memory.get());
    return block.shared.back().memory.get();
  }

  void* dynamic_shared() { return current_->block->shared[0].memory.get(); }

 private:
  static std::string at(const char* name, int line) {
    return std::string(name) + " in line " + std::to_string(line) + ": ";
  }

  static std::string too_much(size_t bytes) {
    return "shared memory: " + std::to_string(bytes) + " bytes are more than a block may have";
  }

  template <class T>
  void permute(std::vector<T>& items, std::mt19937_64& random) const {
    if (order == Order::reverse) std::reverse(items.begin(), items.end());
    if (order == Order::random) std::shuffle(items.begin(), items.end(), random);
  }

  // Memory that nobody has written to is full of what no kernel expects. Not aligned by more than its type.
  static Shared make_shared(const void* key, size_t bytes) {
    Shared s = {key, bytes, std::unique_ptr<char[]>(new char[bytes])};
    std::memset(s.memory.get(), 0xA5, bytes);
    return s;
  }

  std::unique_ptr<Block> open_block(uint64_t number, unsigned count, size_t dynamic_bytes, size_t slot) {
    std::unique_ptr<Block> block(new Block());
    block->index = dim3(static_cast<unsigned>(number % grid_.x), static_cast<unsigned>(number / grid_.x % grid_.y),
                        static_cast<unsigned>(number / grid_.x / grid_.y));
    block->alive = count;
    block->warps.resize((count + kWarp - 1) / kWarp);
    if (count % kWarp) block->warps.back().exited = kAll << count % kWarp;
    block->shared.push_back(make_shared(nullptr, dynamic_bytes));
    while (lanes_.size() < (slot + 1) * count) lanes_.emplace_back(new Lane());
    for (unsigned i = 0; i < count; ++i) {
      Lane& lane = *lanes_[slot * count + i];
      lane.block = block.get();
      lane.linear = i;
      lane.index = dim3(i % threads_.x, i / threads_.x % threads_.y, i / threads_.x / threads_.y);
      lane.done = false;
      lane.fibre.start(&Machine::run_lane, &lane);
      ready_.push_back(&lane);
    }
    return block;
  }

  static void run_lane(void* lane) {
    Machine& machine = get();
    __tsan_acquire(&machine.error_);
    machine.body_(machine.arguments_);
    __tsan_release(&machine.ended_);
    static_cast<Lane*>(lane)->done = true;
  }

  void run(const std::vector<std::unique_ptr<Block>>& resident, std::mt19937_64& random) {
    while (!ready_.empty() && error_.empty()) {
      std::vector<Lane*> batch;
      batch.swap(ready_);
      permute(batch, random);
      for (Lane* lane : batch) {
        current_ = lane;
        lane->fibre.resume();
        if (lane->done) leave(*lane);
        if (!error_.empty()) break;
      }
    }
    for (const auto& block : resident)
      if (error_.empty() && block->alive) error_ = deadlock(*block);
    ready_.clear();
  }

  void leave(Lane& lane) {
    Block& block = *lane.block;
    --block.alive;
    Warp& warp = block.warps[lane.linear / kWarp];
    warp.exited |= 1u << lane.linear % kWarp;
    for (const Collective& c : warp.open)
      if (c.mask & warp.exited) error_ = at(c.name, c.line) + "a lane of the mask has ended";
    release_barrier(block);
  }

  void release_barrier(Block& block) {
    if (block.at_barrier.empty() || block.at_barrier.size() < block.alive) return;
    ready_.insert(ready_.end(), block.at_barrier.begin(), block.at_barrier.end());
    block.at_barrier.clear();
    ++block.barriers;
  }

  Collective& find(Warp& warp, const char* name, int line, uint32_t mask) {
    Collective* unused = nullptr;
    for (Collective& c : warp.open) {
      if (c.mask == mask && c.line == line && c.name == name) return c;
      if (c.mask & mask) fail(at(name, line) + "lanes of its mask wait in " + at(c.name, c.line));
      if (!c.mask) unused = &c;
    }
    if (!unused) {
      warp.open.emplace_back();
      unused = &warp.open.back();
    }
    unused->name = name;
    unused->line = line;
    unused->mask = mask;
    unused->arrived = 0;
    return *unused;
  }

  void finish(Collective& c) {
    uint64_t of_all[] = {0, 0, 0, ~uint64_t{0}, 0};  // for -1, -2, ...
    for (uint32_t left = c.mask; left; left &= left - 1) {
      const int i = __builtin_ctz(left);
      of_all[~kVotes] |= uint64_t{c.value[i] != 0} << i;
      of_all[~kSum] += c.value[i];
      of_all[~kMost] = std::max(of_all[~kMost], c.value[i]);
      of_all[~kLeast] = std::min(of_all[~kLeast], c.value[i]);
    }
    for (uint32_t left = c.mask; left; left &= left - 1) {
      const int i = __builtin_ctz(left);
      c.waiting[i]->received = c.from[i] < 0 ? of_all[~c.from[i]] : c.value[c.from[i]];
      ready_.push_back(c.waiting[i]);
    }
    c.mask = 0;
  }

  std::string deadlock(const Block& block) const {
    if (!block.at_barrier.empty())
      return at("barrier", block.barrier_line) + std::to_string(block.at_barrier.size()) + " of " +
             std::to_string(block.alive) + " threads came";
    for (const Warp& warp : block.warps)
      for (const Collective& c : warp.open)
        if (c.mask) return at(c.name, c.line) + "not every lane of the mask came";
    return "threads that wait for nothing";
  }

  void wait() { current_->fibre.pause(); }

  // The kernel is given up: its fibres are never resumed.
  void fail(const std::string& message) {
    error_ = message;
    wait();
    std::abort();
  }

  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Lane*> ready_;
  Lane* current_ = nullptr;
  dim3 grid_, threads_;
  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  std::string error_;
  char ended_ = 0;  // a token apart: what a thread did before it ended is not ordered before others that begin
  size_t allowed_ = 0, limit_ = kUnasked;  // dynamic shared memory of the next kernel, all that of the one that runs
};

}  // namespace

void set_order(Order order, uint64_t seed) {
  Machine::get().order = order;
  Machine::get().seed = seed;
}
extern "C" __attribute__((visibility("default"))) void cuda_on_cpu_set_order(int order, uint64_t seed) {
  set_order(static_cast<Order>(order), seed);
}
dim3 grid() { return Machine::get().grid(); }
dim3 threads() { return Machine::get().threads(); }
dim3 block_index() { return Machine::get().lane().block->index; }
dim3 thread_index() { return Machine::get().lane().index; }
unsigned lane_number() { return Machine::get().lane().linear % kWarp; }

bool allow_dynamic(int64_t bytes) { return Machine::get().allow_dynamic(bytes); }
void launch(dim3 grid, dim3 threads, size_t dynamic_bytes, void (*body)(const void*), const void* arguments) {
  Machine::get().launch(grid, threads, dynamic_bytes, body, arguments);
}
void barrier(int line) {
  const Unwatched here;
  Machine::get().barrier(line);
}
void sync_warp(int line, uint32_t mask) {
  const Unwatched here;
  Lane& lane = Machine::get().lane();
  Warp& warp = lane.block->warps[lane.linear / kWarp];
  const int lowest = mask ? __builtin_ctz(mask) : 0;  // of none, `collective` complains
  char* token = warp.tokens[lowest] + warp.syncs[lowest] % 2;
  __tsan_release(token);
  Machine::get().collective("__syncwarp", line, mask, 0, kOrders);
  __tsan_acquire(token);
}
uint64_t exchange(const char* name, int line, uint32_t mask, uint64_t value, int from) {
  const Unwatched here;
  return Machine::get().collective(name, line, mask, value, from);
}
void* shared(const void* key, size_t bytes) {
  const Unwatched here;
  return Machine::get().shared(key, bytes);
}
void* dynamic_shared() { return Machine::get().dynamic_shared(); }

}  // namespace cuda_on_cpu
