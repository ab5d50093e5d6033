// AdamW over flat buffers: one kernel for a whole group of parameters, whatever their number.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_adamw.h"

namespace alinea::cuda {

template <class T>
void adamw(Context& context, const AdamWStep<T>& s, const AdamWBuffers<T>& a, int64_t n) {
  each(context, n, "adamw", [=] __device__(int64_t i) {
    const T scale = a.grad_scale ? *a.grad_scale : T(1);
    if (scale != scale) return;
    const T g = a.g[i] * scale + a.p[i] * s.penalty;
    const T m = a.m[i] + (g - a.m[i]) * s.rest1, v = a.v[i] * s.beta2 + g * g * s.rest2;
    a.new_p[i] = a.p[i] * s.keep - m * s.rate / (std::sqrt(v) * s.inverse_root2 + s.eps);
    a.new_m[i] = m;
    a.new_v[i] = v;
  });
}

template void adamw(Context&, const AdamWStep<float>&, const AdamWBuffers<float>&, int64_t);
template void adamw(Context&, const AdamWStep<double>&, const AdamWBuffers<double>&, int64_t);

template <class T>
void clip_scale(Context& context, const double* norm, double max_norm, T* scale) {
  each(context, 1, "clip_scale", [=] __device__(int64_t) { *scale = T(alinea::clip_scale(*norm, max_norm)); });
}

template void clip_scale(Context&, const double*, double, float*);
template void clip_scale(Context&, const double*, double, double*);

namespace {

template <class T>
Tensor squares(const Tensor& x) {
  const T* in = x.data<T>();
  return total_parts<double>(x.context(), x.count(), "l2_norm", [=] __device__(int64_t i) { return double(in[i]) * double(in[i]); });
}

}  // namespace

void l2_norm(const Tensor& x, const Tensor& norm) {
  const Tensor parts = with_float(x.dtype(), "l2_norm", [&]<class T>() { return squares<T>(x); });
  const double* part = parts.data<double>();
  const int64_t n = parts.count();
  double* out = norm.data<double>();
  each_row(x.context(), 1, n, "l2_norm", [=] __device__(int64_t) {
    const double total = over_row<double>(n, Sum{}, [=](int64_t i) { return part[i]; });
    if (threadIdx.x == 0) *out = std::sqrt(total);
  });
}

}  // namespace alinea::cuda
