#include "engine/ops/accumulate.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/cuda_kernels.h"

namespace alinea {

namespace {

template <class T>
ALINEA_KERNEL void add_range(T* sum, const T* x, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) sum[i] += x[i];
}

}  // namespace

void add_into(const Tensor& sum, const Tensor& x) {
  require(sum.shape() == x.shape() && sum.dtype() == x.dtype(), "add_into: {} {} cannot be added to {} {}", x.dtype(), x.shape(), sum.dtype(), sum.shape());
  same_device("add_into", sum, x);
  const Tensor from = x.compact();
  on_device(
      sum,
      [&] {
        with_float(sum.dtype(), "add_into", [&]<class T>() {
          parallel_for(sum.count(), 65536, [&](int64_t begin, int64_t end) { add_range<T>(sum.data<T>(), from.data<T>(), begin, end); });
        });
      },
      [&] { cuda::add_into(sum, from); });
}

}  // namespace alinea
