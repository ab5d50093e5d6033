// AdamW over flat buffers: one kernel for a whole group of parameters, whatever their number.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/adamw_step.h"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

template <class T>
void adamw(Context& context, const AdamWStep<T>& s, const AdamWBuffers<T>& a, int64_t n) {
  each(context, n, "adamw", [=] __device__(int64_t i) {
    const T g = a.g[i] * s.grad_scale + a.p[i] * s.penalty;
    const T m = a.m[i] + (g - a.m[i]) * s.rest1, v = a.v[i] * s.beta2 + g * g * s.rest2;
    a.new_p[i] = a.p[i] * s.keep - m * s.rate / (std::sqrt(v) * s.inverse_root2 + s.eps);
    a.new_m[i] = m;
    a.new_v[i] = v;
  });
}

template void adamw(Context&, const AdamWStep<float>&, const AdamWBuffers<float>&, int64_t);
template void adamw(Context&, const AdamWStep<double>&, const AdamWBuffers<double>&, int64_t);

namespace {

template <class T>
Tensor squares(const Tensor& x) {
  const T* in = x.data<T>();
  return total_parts<double>(x.context(), x.count(), "sum_of_squares", [=] __device__(int64_t i) { return double(in[i]) * double(in[i]); });
}

}  // namespace

double sum_of_squares(const Tensor& x) {
  const Tensor parts = with_float(x.dtype(), "sum_of_squares", [&]<class T>() { return squares<T>(x); });
  double total = 0;
  for (const double part : parts.values<double>()) total += part;
  return total;
}

}  // namespace alinea::cuda
