#include "parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace embcodec {
namespace {

int processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int first_num_threads() {
  const char* text = std::getenv("EMBCODEC_NUM_THREADS");
  if (!text || !*text) return processors();
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end || value < 1 || value > 4096)
    throw std::invalid_argument("EMBCODEC_NUM_THREADS must be a number from 1 to 4096, got " + std::string(text));
  return static_cast<int>(value);
}

std::atomic<int>& default_threads() {
  static std::atomic<int> threads{first_num_threads()};
  return threads;
}

struct Job {
  const std::function<void(int64_t, int)>* task;
  int64_t tasks;
  std::atomic<int64_t> next{0};
  std::atomic<int> workers{1};  // the caller is worker 0
  int limit;                    // most threads that may join
  int inside = 0;               // pool threads at work on it; guarded by the pool's mutex
};

class Pool {
 public:
  void run(const std::shared_ptr<Job>& job) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (static_cast<int>(size_) < job->limit - 1) {
        std::thread([this] { serve(); }).detach();
        ++size_;
      }
      jobs_.push_back(job);
    }
    wake_.notify_all();
    work(*job, 0);
    std::unique_lock<std::mutex> lock(mutex_);
    forget(job);
    done_.wait(lock, [&] { return job->inside == 0; });
  }

 private:
  static void work(Job& job, int worker) {
    for (int64_t i; (i = job.next.fetch_add(1)) < job.tasks;) (*job.task)(i, worker);
  }

  void forget(const std::shared_ptr<Job>& job) {
    const auto at = std::find(jobs_.begin(), jobs_.end(), job);
    if (at != jobs_.end()) jobs_.erase(at);
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return !jobs_.empty(); });
      const std::shared_ptr<Job> job = jobs_.front();
      const int worker = job->workers.fetch_add(1);
      if (worker + 1 >= job->limit) forget(job);  // full: nobody else may join
      ++job->inside;
      lock.unlock();
      work(*job, worker);
      lock.lock();
      forget(job);  // its tasks are all taken
      if (--job->inside == 0) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::deque<std::shared_ptr<Job>> jobs_;
  size_t size_ = 0;
};

// Never destroyed: its threads may outlive main. A forked child has none of them and starts with a pool of its own.
Pool* pool_of_process = nullptr;

Pool& pool() {
  static const bool once = [] {
    pool_of_process = new Pool;
    pthread_atfork(nullptr, nullptr, [] { pool_of_process = new Pool; });
    return true;
  }();
  (void)once;
  return *pool_of_process;
}

struct Scratch {
  explicit Scratch(int64_t floats)
      : data(static_cast<float*>(::operator new(static_cast<size_t>(floats + 16) * 4, std::align_val_t{64}))) {}
  ~Scratch() { ::operator delete(data, std::align_val_t{64}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data;
};

}  // namespace

int get_num_threads() { return default_threads().load(std::memory_order_relaxed); }

void set_num_threads(int threads) {
  if (threads < 1) throw std::invalid_argument("set_num_threads: threads must be at least 1");
  default_threads().store(threads, std::memory_order_relaxed);
}

int useful_threads(int64_t items, int64_t grain, int threads) {
  const int wanted = threads > 0 ? threads : get_num_threads();
  return static_cast<int>(std::clamp<int64_t>(items / std::max<int64_t>(grain, 1), 1, wanted));
}

void parallel_for(int64_t tasks, int threads, const std::function<void(int64_t, int)>& task) {
  const int limit = static_cast<int>(std::min<int64_t>(threads > 0 ? threads : get_num_threads(), tasks));
  if (limit <= 1) {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
    return;
  }
  const auto job = std::make_shared<Job>();
  job->task = &task;
  job->tasks = tasks;
  job->limit = limit;
  pool().run(job);
}

void parallel_ranges(int64_t n, int64_t grain, int threads, int64_t floats,
                     const std::function<void(Range, float*)>& share) {
  const int workers = useful_threads(n, grain, threads);
  std::vector<std::unique_ptr<Scratch>> scratch;
  for (int i = 0; i < workers; ++i) scratch.push_back(std::make_unique<Scratch>(floats));
  // Four shares a thread even out threads of unequal speed.
  const int64_t shares = workers == 1 ? 1 : std::min<int64_t>(4 * workers, std::max<int64_t>(n / grain, 1));
  parallel_for(shares, workers, [&](int64_t i, int worker) {
    share(Range{n * i / shares, n * (i + 1) / shares}, scratch[static_cast<size_t>(worker)]->data);
  });
}

int64_t lowest_bad_row(int64_t n, int64_t grain, int threads, int64_t floats,
                       const std::function<int64_t(Range, float*)>& share) {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  std::atomic<int64_t> bad{kNone};
  parallel_ranges(n, grain, threads, floats, [&](Range range, float* scratch) {
    const int64_t row = share(range, scratch);
    if (row == kAllFinite) return;
    for (int64_t seen = bad.load(); row < seen && !bad.compare_exchange_weak(seen, row);) {
    }
  });
  return bad.load() == kNone ? kAllFinite : bad.load();
}

}  // namespace embcodec
