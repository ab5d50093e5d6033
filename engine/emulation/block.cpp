#include "engine/emulation/block.h"

#include <fmt/format.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

// Static shared memory, collected by shared.ld.
extern "C" char alinea_shared_begin[], alinea_shared_end[];

namespace alinea::emulation {

namespace {

constexpr size_t stack_bytes = 256 << 10, guard_bytes = 4096;
constexpr int warp = warpSize;

// A stack with the point where it goes on. One that has ended a thread goes on with the next thread it is given. Switching saves registers by
// _setjmp, which, unlike swapcontext, makes no system call; ucontext only enters a new stack.
struct Fiber {
  char* stack = nullptr;
  jmp_buf at;
  bool entered = false;
};

struct Thread {
  enum State { fresh, ready, at_block, at_warp, ended } state = fresh;
  Fiber* fiber = nullptr;
  Exchange exchange;
  uint64_t result = 0;
  std::source_location at;
};

// Positions 0 … n-1 in the order asked for; `round` varies the shuffled one.
class Order {
 public:
  Order(int64_t n, int64_t round) : n_(n) {
    const char* name = std::getenv("ALINEA_EMULATION_ORDER");
    const std::string_view order = name ? name : "ascending";
    if (order == "descending") first_ = n - 1, step_ = n - 1;
    if (order == "shuffled") {
      first_ = (round * 7919 + 13) % n;
      for (step_ = n * 5 / 8 + round % 3 + 1; std::gcd(step_, n) != 1;) ++step_;
    }
  }
  int64_t operator[](int64_t i) const { return (first_ + i * step_) % n_; }

 private:
  int64_t n_, first_ = 0, step_ = 1;
};

std::string name(std::source_location at) { return fmt::format("{}:{} in {}", at.file_name(), at.line(), at.function_name()); }

class Scheduler {
 public:
  std::string run_block(dim3 threads, size_t shared_bytes, const std::function<void()>& body);
  void wait(Thread::State state, const Exchange& exchange, std::source_location at);
  uint64_t result() const { return threads_[size_t(current_)].result; }
  int lane() const { return current_ % warp; }
  char* shared() { return shared_.data(); }

 private:
  static void enter();
  void give_way(Fiber& fiber);
  Fiber* idle_fiber();
  void resume(int thread);
  bool release_warps();
  bool release_block();
  bool release_lanes(int leader, int warp_begin);
  std::string stuck() const;
  std::string describe(int thread) const;
  void abandon();
  int count() const { return int(threads_.size()); }

  std::vector<Thread> threads_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  std::vector<char> shared_;
  const std::function<void()>* body_ = nullptr;
  jmp_buf home_;
  int current_ = 0;
};

Scheduler& scheduler() {
  static Scheduler s;
  return s;
}

// The bottom of every stack: runs the current thread to its end, again and again.
void Scheduler::enter() {
  Scheduler& s = scheduler();
  for (;;) {
    (*s.body_)();
    Thread& thread = s.threads_[size_t(s.current_)];
    Fiber& fiber = *thread.fiber;
    thread.state = Thread::ended;
    s.idle_.push_back(&fiber);
    s.give_way(fiber);
  }
}

[[gnu::noinline]] void Scheduler::give_way(Fiber& fiber) {
  if (_setjmp(fiber.at) == 0) _longjmp(home_, 1);
}

Fiber* Scheduler::idle_fiber() {
  if (!idle_.empty()) {
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }
  auto fiber = std::make_unique<Fiber>();
  void* memory = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  mprotect(memory, guard_bytes, PROT_NONE);                  // a kernel with too many local values stops here
  fiber->stack = static_cast<char*>(memory);
  return fibers_.emplace_back(std::move(fiber)).get();
}

[[gnu::noinline]] void Scheduler::resume(int thread) {
  current_ = thread;
  threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / blockDim.x / blockDim.y};
  Thread& t = threads_[size_t(thread)];
  if (!t.fiber) t.fiber = idle_fiber();
  if (_setjmp(home_) != 0) return;
  if (t.fiber->entered) _longjmp(t.fiber->at, 1);
  t.fiber->entered = true;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = t.fiber->stack;
  context.uc_stack.ss_size = stack_bytes;
  makecontext(&context, enter, 0);
  setcontext(&context);
}

void Scheduler::wait(Thread::State state, const Exchange& exchange, std::source_location at) {
  Thread& thread = threads_[size_t(current_)];
  thread.state = state, thread.exchange = exchange, thread.at = at;
  give_way(*thread.fiber);
}

std::string Scheduler::run_block(dim3 threads, size_t shared_bytes, const std::function<void()>& body) {
  threads_.assign(size_t(threads.x) * threads.y * threads.z, {});
  shared_.assign(shared_bytes, char(0xFF));
  body_ = &body;
  for (int64_t round = 0;; ++round) {
    const Order order(count(), round);
    for (int i = 0; i < count(); ++i)
      if (const int t = int(order[i]); threads_[size_t(t)].state <= Thread::ready) resume(t);
    if (release_warps() || release_block()) continue;
    for (const Thread& t : threads_)
      if (t.state != Thread::ended) {
        const std::string problem = stuck();
        abandon();
        return problem;
      }
    return {};
  }
}

bool Scheduler::release_warps() {
  bool any = false;
  for (int begin = 0; begin < count(); begin += warp)
    for (int t = begin; t < std::min(begin + warp, count()); ++t)
      if (threads_[size_t(t)].state == Thread::at_warp) any |= release_lanes(t, begin);
  return any;
}

// Lets the lanes that `leader` names go on, when all of them wait at the same place for the same lanes.
bool Scheduler::release_lanes(int leader, int begin) {
  const Thread& first = threads_[size_t(leader)];
  auto named = [mask = first.exchange.mask](int l) { return (mask >> l & 1) != 0; };
  if (!named(leader - begin)) return false;
  uint64_t ballot = 0;
  for (int l = 0; l < warp; ++l) {
    if (!named(l)) continue;
    if (begin + l >= count()) return false;
    const Thread& t = threads_[size_t(begin + l)];
    const bool together = t.state == Thread::at_warp && t.exchange.mask == first.exchange.mask && t.exchange.kind == first.exchange.kind &&
                          t.at.line() == first.at.line() && t.at.column() == first.at.column();
    if (!together || !named(t.exchange.kind == Exchange::shuffle ? t.exchange.read : l)) return false;
    ballot |= uint64_t(t.exchange.bits != 0) << l;
  }
  for (int l = 0; l < warp; ++l)
    if (named(l)) {
      Thread& t = threads_[size_t(begin + l)];
      t.result = t.exchange.kind == Exchange::ballot ? ballot : threads_[size_t(begin + t.exchange.read)].exchange.bits;
      t.state = Thread::ready;
    }
  return true;
}

bool Scheduler::release_block() {
  const Thread& first = threads_[0];
  for (const Thread& t : threads_)
    if (t.state != Thread::at_block || t.at.line() != first.at.line() || t.at.column() != first.at.column()) return false;
  for (Thread& t : threads_) t.state = Thread::ready;
  return true;
}

std::string Scheduler::describe(int i) const {
  const Thread& t = threads_[size_t(i)];
  const auto x = unsigned(i);
  const auto where = fmt::format("thread ({}, {}, {})", x % blockDim.x, x / blockDim.x % blockDim.y, x / blockDim.x / blockDim.y);
  if (t.state == Thread::ended) return where + " has ended";
  if (t.state == Thread::at_block) return fmt::format("{} waits for its block at {}", where, name(t.at));
  return fmt::format("{} waits for lanes {:#010x} of its warp, wants lane {}, at {}", where, t.exchange.mask, t.exchange.read, name(t.at));
}

// Two threads that cannot meet, as an error message.
std::string Scheduler::stuck() const {
  int first = 0;
  while (threads_[size_t(first)].state == Thread::ended) ++first;
  for (int i = 0; i < count(); ++i)
    if (threads_[size_t(i)].state == Thread::at_warp) first = i;
  const Thread& t = threads_[size_t(first)];
  int other = first;
  for (int i = 0; i < count(); ++i) {
    const Thread& o = threads_[size_t(i)];
    const bool apart = o.state != t.state || o.at.line() != t.at.line();
    if (apart && (t.state == Thread::at_block || i / warp == first / warp)) other = i;
  }
  return fmt::format("block ({}, {}, {}): {}, {}", blockIdx.x, blockIdx.y, blockIdx.z, describe(first),
                     other == first ? "which is not among the lanes that wait there" : "but " + describe(other));
}

// Stacks of threads that will not go on start anew.
void Scheduler::abandon() {
  for (const Thread& t : threads_)
    if (t.fiber && t.state != Thread::ended) t.fiber->entered = false, idle_.push_back(t.fiber);
}

}  // namespace

std::string run_grid(dim3 blocks, dim3 threads, size_t dynamic_shared_bytes, const std::function<void()>& body) {
  blockDim = threads, gridDim = blocks;
  std::memset(alinea_shared_begin, 0xFF, size_t(alinea_shared_end - alinea_shared_begin));
  const int64_t count = int64_t(blocks.x) * blocks.y * blocks.z;
  const Order order(count, 0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t b = order[i];
    blockIdx = {unsigned(b % blocks.x), unsigned(b / blocks.x % blocks.y), unsigned(b / blocks.x / blocks.y)};
    if (std::string problem = scheduler().run_block(threads, dynamic_shared_bytes, body); !problem.empty()) return problem;
  }
  return {};
}

void wait_for_block(std::source_location at) { scheduler().wait(Thread::at_block, {}, at); }

uint64_t wait_for_warp(const Exchange& exchange, std::source_location at) {
  scheduler().wait(Thread::at_warp, exchange, at);
  return scheduler().result();
}

int lane() { return scheduler().lane(); }

void* dynamic_shared_memory() { return scheduler().shared(); }

}  // namespace alinea::emulation
