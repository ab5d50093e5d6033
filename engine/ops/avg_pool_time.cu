#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

// Real rows in a window.
__device__ int64_t members(const int32_t* lengths, int64_t item, int64_t steps, int64_t window, int64_t ratio) {
  const int64_t rest = (lengths ? lengths[item] : steps) - window * ratio;
  return rest < 0 ? 0 : rest < ratio ? rest : ratio;
}

template <class T>
void forward(const Tensor& x, int64_t ratio, const Tensor& lengths, const Tensor& y) {
  const T* in = x.data<T>();
  const int32_t* length = pointer<int32_t>(lengths);
  T* out = y.data<T>();
  const int64_t steps = x.size(1), C = x.size(2), windows = y.size(1);
  each(y.context(), y.count(), "avg_pool_time", [=] __device__(int64_t i) {
    const int64_t c = i % C, w = i / C % windows, item = i / C / windows, n = members(length, item, steps, w, ratio);
    T s = 0;
    for (int64_t t = 0; t < n; ++t) s += in[(item * steps + w * ratio + t) * C + c];
    out[i] = n > 0 ? s / T(n) : T(0);
  });
}

template <class T>
void backward(const Tensor& g, int64_t ratio, const Tensor& lengths, const Tensor& d) {
  const T* in = g.data<T>();
  const int32_t* length = pointer<int32_t>(lengths);
  T* out = d.data<T>();
  const int64_t steps = d.size(1), C = d.size(2), windows = g.size(1);
  each(d.context(), d.count(), "avg_pool_time backward", [=] __device__(int64_t i) {
    const int64_t c = i % C, t = i / C % steps, item = i / C / steps, w = t / ratio, n = members(length, item, steps, w, ratio);
    out[i] = t < w * ratio + n ? in[(item * windows + w) * C + c] / T(n) : T(0);
  });
}

}  // namespace

void avg_pool_time(const Tensor& x, int64_t ratio, const std::vector<int32_t>& lengths, const Tensor& y) {
  const Tensor device_lengths = upload(x.context(), lengths);
  with_float(x.dtype(), "avg_pool_time", [&]<class T>() { forward<T>(x, ratio, device_lengths, y); });
}

void avg_pool_time_backward(const Tensor& g, int64_t ratio, const std::vector<int32_t>& lengths, const Tensor& d) {
  const Tensor device_lengths = upload(g.context(), lengths);
  with_float(g.dtype(), "avg_pool_time", [&]<class T>() { backward<T>(g, ratio, device_lengths, d); });
}

}  // namespace alinea::cuda
