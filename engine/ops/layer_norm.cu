// Layer normalisation: a row belongs to a warp, or to a block when it is long, and stays in the cache for its three passes.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

template <class T>
void forward(const NormForward& a, T eps) {
  const int64_t n = a.x.shape().last();
  const T *x = a.x.data<T>(), *residual = pointer<T>(a.residual), *weight = a.weight.data<T>(), *bias = a.bias.data<T>();
  T *sum = pointer<T>(a.sum), *y = a.y.data<T>(), *mean_of = pointer<T>(a.mean), *rstd_of = pointer<T>(a.rstd);
  each_row(a.x.context(), a.x.shape().rows(), n, "layer_norm", [=] __device__(int64_t r) {
    const T* row = residual ? sum + r * n : x + r * n;       // a thread reads back only what it has written itself
    if (residual)
      for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum[r * n + i] = x[r * n + i] + residual[r * n + i];
    const T mean = over_row<T>(n, Sum{}, [=](int64_t i) { return row[i]; }) / T(n);
    const T square = over_row<T>(n, Sum{}, [=](int64_t i) { return (row[i] - mean) * (row[i] - mean); });
    const T rstd = T(1) / std::sqrt(square / T(n) + eps);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) y[r * n + i] = (row[i] - mean) * rstd * weight[i] + bias[i];
    if (mean_of && threadIdx.x == 0) mean_of[r] = mean, rstd_of[r] = rstd;
  });
}

template <class T>
void parameter_gradients(const NormBackward& a) {
  const int64_t n = a.g.shape().last();
  const T *g = a.g.data<T>(), *x = a.dweight ? a.x.data<T>() : nullptr, *mean = pointer<T>(a.mean), *rstd = pointer<T>(a.rstd);
  const ColumnSums<T, 2> sums{{pointer<T>(a.dweight), pointer<T>(a.dbias)}, {T(a.beta_weight), T(a.beta_bias)}};
  sum_columns<T, 2>(a.g.context(), a.g.shape().rows(), n, "layer_norm backward", sums, [=] __device__(int64_t r, int64_t c, T* s) {
    const T v = g[r * n + c];
    if (x) s[0] += v * (x[r * n + c] - mean[r]) * rstd[r];
    s[1] += v;
  });
}

// dx may be g or add: a thread has read its elements before it writes them.
template <class T>
void input_gradient(const NormBackward& a) {
  const int64_t n = a.g.shape().last();
  const T *g = a.g.data<T>(), *x = a.x.data<T>(), *weight = a.weight.data<T>(), *mean = a.mean.data<T>(), *rstd = a.rstd.data<T>(), *add = pointer<T>(a.add);
  T* dx = a.dx.data<T>();
  each_row(a.g.context(), a.g.shape().rows(), n, "layer_norm backward", [=] __device__(int64_t r) {
    const T *gr = g + r * n, *xr = x + r * n, m = mean[r], s = rstd[r];
    const T h = over_row<T>(n, Sum{}, [=](int64_t i) { return gr[i] * weight[i]; }) / T(n);
    const T hx = over_row<T>(n, Sum{}, [=](int64_t i) { return gr[i] * weight[i] * (xr[i] - m) * s; }) / T(n);
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
      const T d = (gr[i] * weight[i] - h - (xr[i] - m) * s * hx) * s;
      dx[r * n + i] = add ? d + add[r * n + i] : d;
    }
  });
}

}  // namespace

void layer_norm(const NormForward& a, double eps) {
  with_float(a.x.dtype(), "layer_norm", [&]<class T>() { forward<T>(a, T(eps)); });
}

void layer_norm_backward(const NormBackward& a) {
  with_float(a.g.dtype(), "layer_norm", [&]<class T>() {
    if (a.dweight || a.dbias) parameter_gradients<T>(a);
    if (a.dx) input_gradient<T>(a);
  });
}

}  // namespace alinea::cuda
