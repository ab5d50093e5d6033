#include "engine/ops/replace_elements.h"

#include "engine/core/device.h"
#include "engine/ops/cuda_losses.h"

namespace alinea {

std::vector<double> replace_elements(const Tensor& x, const std::vector<int64_t>& places, double value) {
  for (const int64_t at : places) require(at >= 0 && at < x.count(), "replace_elements: element {} of {}, which has {}", at, x.shape(), x.count());
  if (places.empty()) return {};
  auto on_cpu = [&] {
    std::vector<double> before;
    with_float(x.dtype(), "replace_elements", [&]<class T>() {
      for (const int64_t at : places) before.push_back(double(std::exchange(x.data<T>()[at], T(value))));
    });
    return before;
  };
  return on_device(x, on_cpu, [&] { return cuda::replace_elements(x, places, value); });
}

}  // namespace alinea
