// One block of Philox gives a thread the numbers of four neighbouring elements.
#include "engine/core/cuda.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

template <class T>
void drop(const RandomKey& key, uint64_t offset, double p, const Tensor& x, const Tensor& y) {
  const T* in = x.data<T>();
  T *out = y.data<T>(), scale = T(1 / (1 - p));
  const int64_t count = x.count();
  const auto threshold = uint32_t(p * 0x1p32);
  each(x.context(), (count + 3) / 4, "dropout", [=] __device__(int64_t b) {
    const auto numbers = key.block(offset + uint64_t(b));
    for (int64_t k = 0; k < 4 && 4 * b + k < count; ++k) out[4 * b + k] = numbers[size_t(k)] >= threshold ? in[4 * b + k] * scale : T(0);
  });
}

}  // namespace

void dropout(const RandomKey& key, uint64_t offset, double p, const Tensor& x, const Tensor& y) {
  with_float(x.dtype(), "dropout", [&]<class T>() { drop<T>(key, offset, p, x, y); });
}

}  // namespace alinea::cuda
