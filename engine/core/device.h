// Choosing the kernel of a device. ALINEA_CUDA is read here alone.
#pragma once
#include <string_view>

#include "engine/core/tensor.h"

namespace alinea {

#ifdef ALINEA_CUDA
inline constexpr bool have_cuda = true;
#else
inline constexpr bool have_cuda = false;
#endif

/// GPUs that this build and machine can use (0 without CUDA).
int cuda_device_count();

/// Refuses tensors on different devices: a kernel of one cannot read the memory of another. Missing tensors fit everywhere.
template <class... T>
void same_device(std::string_view op, const Tensor& first, const T&... others) {
  auto check = [&](const Tensor& t) {
    if (t && &t.context() != &first.context())
      fail(Exit::usage, "{}: one tensor is on {}, another on {}; move them to one device with to(context)", op, first.context().name(), t.context().name());
  };
  (check(others), ...);
}

/// Runs on_cpu() or on_cuda() by where x lies. Without CUDA the second one is never instantiated, so no stubs are needed.
template <class Cpu, class Cuda>
decltype(auto) on_device(const Tensor& x, Cpu&& on_cpu, Cuda&& on_cuda) {
  if constexpr (have_cuda) {
    if (x.context().device() == Device::cuda) return on_cuda();
  }
  return on_cpu();
}

}  // namespace alinea
