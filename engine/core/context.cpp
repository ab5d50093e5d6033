#include "engine/core/context.h"

#include <omp.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>

#include "engine/core/cuda_tensor.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/tensor.h"

namespace alinea {

namespace {

int thread_count = 0;

int cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// Keeps released blocks for reuse: without that, every training step would fault its pages in again.
// A block serves a request up to a quarter smaller; when more is cached than is live, the cache is given back.
class CpuContext final : public Context {
 public:
  ~CpuContext() override { trim(); }
  Device device() const override { return Device::cpu; }
  std::string name() const override { return "cpu"; }

  Memory memory() const override {
    std::lock_guard lock(mutex_);
    return memory_;
  }
  void reset_peak() override {
    std::lock_guard lock(mutex_);
    memory_.peak = memory_.live;
  }

  void* allocate(int64_t bytes) override {
    const int64_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    memory_.live += size;
    memory_.peak = std::max(memory_.peak, memory_.live);
    if (const auto it = free_.lower_bound(size); it != free_.end() && it->first == size) {
      void* p = it->second;
      free_.erase(it);
      memory_.cached -= size;
      return p;
    }
    if (memory_.cached > std::max<int64_t>(memory_.live, 64 << 20)) trim();
    void* p = std::aligned_alloc(size >= huge ? size_t(2 << 20) : 64, size_t(size));
    if (!p) {
      memory_.live -= size;
      fail(Exit::device, "out of memory: {} bytes asked for, {} are held by tensors; lower the batch size", bytes, memory_.live);
    }
    if (size >= huge) madvise(p, size_t(size), MADV_HUGEPAGE);
    return p;
  }
  void release(void* p, int64_t bytes) noexcept override {
    const int64_t size = rounded(bytes);
    std::lock_guard lock(mutex_);
    memory_.live -= size;
    memory_.cached += size;
    free_.emplace(size, p);
  }
  void zero(void* p, int64_t bytes) override {
    parallel_for(bytes, 1 << 20, [&](int64_t b, int64_t e) { std::memset(static_cast<char*>(p) + b, 0, size_t(e - b)); });
  }
  void copy_from_host(void* to, const void* from, int64_t bytes) override { copy_within(to, from, bytes); }
  void copy_to_host(void* to, const void* from, int64_t bytes) override { copy_within(to, from, bytes); }
  void copy_within(void* to, const void* from, int64_t bytes) override {
    parallel_for(bytes, 1 << 20, [&](int64_t b, int64_t e) { std::memcpy(static_cast<char*>(to) + b, static_cast<const char*>(from) + b, size_t(e - b)); });
  }

 private:
  static constexpr int64_t huge = 4 << 20;
  // Few size classes, so that blocks of neighbouring batch lengths serve each other: 8 steps per power of two, but from 4 MiB on no step below
  // 2 MiB (a page) and none above 4 MiB, so that a buffer of all weights wastes little.
  static int64_t rounded(int64_t bytes) {
    if (bytes <= 1024) return std::max<int64_t>(64, (bytes + 63) / 64 * 64);
    int64_t step = 64;
    while (step * 16 <= bytes) step *= 2;
    if (bytes >= huge) step = std::clamp<int64_t>(step, 2 << 20, 4 << 20);
    return (bytes + step - 1) / step * step;
  }
  void trim() {
    for (const auto& [size, p] : free_) std::free(p);
    free_.clear();
    memory_.cached = 0;
  }

  mutable std::mutex mutex_;
  std::multimap<int64_t, void*> free_;
  Memory memory_;
};

}  // namespace

void set_threads(int threads) {
  thread_count = threads > 0 ? threads : cores();
  omp_set_num_threads(thread_count);
}

int threads() {
  if (thread_count == 0) set_threads(0);
  return thread_count;
}

Context& Context::cpu() {
  static CpuContext* context = new CpuContext;   // never destroyed: tensors with static lifetime may outlive main()
  return *context;
}

namespace {

int64_t bytes_needed(const Shape& shape, DType dtype) {
  int64_t bytes = bytes_of(dtype);
  bool fits = true, none = false;
  for (int i = 0; i < shape.rank; ++i) {
    require(shape.dim[i] >= 0, "tensor: the shape {} has a negative size", shape);
    none = none || shape.dim[i] == 0;
    fits = fits && !__builtin_mul_overflow(bytes, shape.dim[i], &bytes);
  }
  require(fits || none, "tensor: {} {} is too large for any memory", dtype, shape);
  return none ? 0 : bytes;
}

}  // namespace

Tensor Context::empty(const Shape& shape, DType dtype) { return Tensor(std::make_shared<Storage>(*this, bytes_needed(shape, dtype)), shape, dtype); }

Tensor Context::placeholder(const Shape& shape, DType dtype) {
  return Tensor(std::make_shared<Storage>(*this, bytes_needed(shape, dtype), nullptr, nullptr), shape, dtype);
}

Tensor Context::zeros(const Shape& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  t.zero();
  return t;
}

Tensor Context::full(const Shape& shape, DType dtype, double value) {
  const Tensor t = empty(shape, dtype);
  on_device(
      t,
      [&] {
        with_any(dtype, [&]<class T>() {
          if constexpr (std::is_same_v<T, bf16>) std::fill_n(t.data<T>(), t.count(), bf16(float(value)));
          else std::fill_n(t.data<T>(), t.count(), T(value));
        });
      },
      [&] { cuda::fill(t, value); });
  return t;
}

Context& Context::from_name(const std::string& name) {
  if (name == "cpu" || (name == "auto" && cuda_device_count() == 0)) return cpu();
  if (name == "auto" || name == "cuda") return cuda(0);
  if (name.starts_with("cuda:") && name.size() > 5 && name.find_first_not_of("0123456789", 5) == std::string::npos)
    return cuda(std::stoi(name.substr(5)));
  fail(Exit::usage, "device '{}': expected auto, cpu, cuda or cuda:N", name);
}

}  // namespace alinea
