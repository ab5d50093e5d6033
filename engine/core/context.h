// A Context owns what is per device: the caching allocator with its counters, the number of threads, the stream.
// Tensors know their context, so ops take none; only code that creates tensors does.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "engine/core/dtype.h"
#include "engine/core/shape.h"

namespace alinea {

class Tensor;

enum class Device { cpu, cuda };

/// Bytes: held by tensors now, their largest sum so far, and kept by the allocator for reuse.
struct Memory {
  int64_t live = 0, peak = 0, cached = 0;
};

class Context {
 public:
  /// The CPU. Its threads are OpenMP's; set_threads(0) takes one per core this process may use.
  static Context& cpu();
  /// GPU `index`. Throws Error{device} when this build has no CUDA or the machine no such GPU.
  static Context& cuda(int index = 0);
  /// "cpu", "cuda", "cuda:1" or "auto" (a GPU when there is one).
  static Context& from_name(const std::string& name);
  virtual ~Context() = default;

  Tensor empty(const Shape&, DType);
  /// A shape without memory: a parameter whose weights are loaded later. Touching its elements is an error.
  Tensor placeholder(const Shape&, DType);
  Tensor zeros(const Shape&, DType);
  /// Every element `value`.
  Tensor full(const Shape&, DType, double value);
  /// A copy of `count()` host values.
  template <class T>
  Tensor from(const T* values, const Shape&);

  virtual Device device() const = 0;
  virtual std::string name() const = 0;
  virtual Memory memory() const = 0;
  virtual void reset_peak() = 0;
  virtual void synchronize() {}

  // What Tensor needs of a device; bytes may be 0.
  virtual void* allocate(int64_t bytes) = 0;
  virtual void release(void* p, int64_t bytes) noexcept = 0;
  virtual void zero(void* p, int64_t bytes) = 0;
  virtual void copy_from_host(void* to, const void* from, int64_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, int64_t bytes) = 0;
  virtual void copy_within(void* to, const void* from, int64_t bytes) = 0;
};

/// OpenMP threads used by CPU kernels (0: one per core this process may use).
void set_threads(int threads);
int threads();

}  // namespace alinea
