// Fibres: functions with stacks of their own that one host thread switches between. setjmp and longjmp make a switch of
// under 100 ns; under a sanitizer, which must be told of every switch, it is swapcontext.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#if defined(__SANITIZE_ADDRESS__) || defined(EMB_TSAN)
#define EMB_SANITIZED 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(EMB_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#else
inline void __tsan_acquire(void*) {}
inline void __tsan_release(void*) {}
#endif

namespace cuda_on_cpu {

// While one lives, its fibre's memory accesses cannot race: for the machine's own, inside memmove and the like.
struct Unwatched {
#if defined(EMB_TSAN)
  Unwatched() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unwatched() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
#else
  Unwatched() {}
#endif
};

class Fibre {
 public:
  static constexpr size_t kStack = 64 << 10;

  Fibre() : stack_(new char[kStack]) {}
  Fibre(const Fibre&) = delete;
  ~Fibre() { forget(); }

  // The next resume() begins body(argument). A fibre that ended its last one goes on to this; else it begins anew.
  void start(void (*body)(void*), void* argument) {
    body_ = body;
    argument_ = argument;
    if (idle_) return;
    forget();
#if defined(EMB_TSAN)
    tsan_ = __tsan_create_fiber(0);
#endif
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = kStack;
    context_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&context_, reinterpret_cast<void (*)()>(&Fibre::main), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
    started_ = false;
  }

  // From the host's stack: on to the next pause, or to the end.
  void resume() {
#if defined(EMB_SANITIZED)
    enter();
    swapcontext(&host_, &context_);
    left();
#else
    if (_setjmp(host_) != 0) return;
    if (started_) _longjmp(jump_, 1);
    started_ = true;
    setcontext(&context_);
#endif
  }

  // From the fibre's own stack: back to the host.
  void pause() {
#if defined(EMB_SANITIZED)
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_, host_bottom_, host_size_);
#endif
#if defined(EMB_TSAN)
    __tsan_switch_to_fiber(tsan_host_, 1);  // 1: the switch orders nothing
#endif
    swapcontext(&context_, &host_);
    arrived();
#else
    if (_setjmp(jump_) == 0) _longjmp(host_, 1);
#endif
  }

 private:
  static void main(unsigned high, unsigned low) {
    Fibre* self = reinterpret_cast<Fibre*>(static_cast<uintptr_t>(high) << 32 | low);
    self->arrived();
    for (;;) {
      self->idle_ = false;
      self->body_(self->argument_);
      self->idle_ = true;
      self->pause();
    }
  }

#if defined(__SANITIZE_ADDRESS__)
  void enter() { __sanitizer_start_switch_fiber(&host_fake_, stack_.get(), kStack); }
  void left() { __sanitizer_finish_switch_fiber(host_fake_, nullptr, nullptr); }
  void arrived() { __sanitizer_finish_switch_fiber(fake_, &host_bottom_, &host_size_); }
  void forget() { fake_ = nullptr; }
  void *fake_ = nullptr, *host_fake_ = nullptr;
  const void* host_bottom_ = nullptr;
  size_t host_size_ = 0;
#elif defined(EMB_TSAN)
  void enter() {
    tsan_host_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(tsan_, 1);
  }
  void left() {}
  void arrived() {}
  void forget() {
    if (tsan_) __tsan_destroy_fiber(tsan_);
    tsan_ = nullptr;
  }
  void *tsan_ = nullptr, *tsan_host_ = nullptr;
#else
  void arrived() {}
  void forget() {}
#endif

  std::unique_ptr<char[]> stack_;
  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  ucontext_t context_;
#if defined(EMB_SANITIZED)
  ucontext_t host_;
#else
  jmp_buf host_, jump_;
#endif
  bool started_ = false, idle_ = false;
};

}  // namespace cuda_on_cpu
