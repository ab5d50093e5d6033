// Host values for a kernel, without waiting for the GPU.
#pragma once
#include <vector>

#include "engine/core/cuda.cuh"

namespace alinea::cuda {

/// Values that travel as a kernel argument: the launch copies them, so nothing has to outlive the call.
template <class V>
struct Parcel {
  static constexpr int64_t size = 2048 / int64_t(sizeof(V));
  V values[size];
};

/// The values as a tensor of the context, none for no values. Few travel in launches; many are copied.
template <class V>
Tensor upload(Context& context, const std::vector<V>& values) {
  constexpr int64_t most_launches = 8;
  const auto n = int64_t(values.size());
  if (n == 0) return {};
  if (n > most_launches * Parcel<V>::size) return context.from(values.data(), Shape{n});
  const Tensor t = context.empty(Shape{n}, dtype_of<V>);
  V* const out = t.data<V>();
  for (int64_t first = 0; first < n; first += Parcel<V>::size) {
    Parcel<V> parcel{};
    const int64_t count = std::min(Parcel<V>::size, n - first);
    std::copy_n(values.begin() + first, count, parcel.values);
    each(context, count, "upload", [=] __device__(int64_t i) { out[first + i] = parcel.values[i]; });
  }
  return t;
}

}  // namespace alinea::cuda
