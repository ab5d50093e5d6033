#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/elementwise_math.h"

namespace alinea::cuda {

namespace {

struct Identity {
  template <class T>
  __device__ T value(T x) const { return x; }
};

// f(h + b), row by row; h + b stays in h when y is another tensor.
template <class T, class F>
void add_and_apply(F f, const Tensor& h, const Tensor& bias, const Tensor& y) {
  T *in = h.data<T>(), *out = y.data<T>();
  const T* b = bias ? bias.data<T>() : nullptr;
  const int64_t n = h.shape().last();
  each(h.context(), h.count(), "bias_activation", [=] __device__(int64_t i) {
    const T v = b ? in[i] + b[i % n] : in[i];
    if (in != out) in[i] = v;
    out[i] = f.value(v);
  });
}

template <class T>
void add_three(const Tensor& x, const Tensor& residual, const Tensor& bias, const Tensor& hidden, const Tensor& y) {
  const T *px = x.data<T>(), *pr = residual.data<T>(), *pb = bias.data<T>();
  T *h = hidden ? hidden.data<T>() : nullptr, *out = y.data<T>();
  const int64_t n = x.shape().last();
  each(x.context(), x.count(), "add_bias_gelu", [=] __device__(int64_t i) {
    const T v = px[i] + pr[i] + pb[i % n];
    if (h) h[i] = v;
    out[i] = math::Gelu{}.value(v);
  });
}

template <class T>
void sum_rows(const Tensor& x, double beta, const Tensor& sums) {
  const T* in = x.data<T>();
  const int64_t n = x.shape().last();
  sum_columns<T, 1>(x.context(), x.shape().rows(), n, "column sums", {{sums.data<T>()}, {T(beta)}}, [=] __device__(int64_t r, int64_t c, T* s) { *s += in[r * n + c]; });
}

}  // namespace

void bias_activation(const Tensor& h, const Tensor& bias, Activation activation, const Tensor& y) {
  with_float(h.dtype(), "bias_activation", [&]<class T>() {
    if (activation == Activation::relu) add_and_apply<T>(math::Relu{}, h, bias, y);
    else if (activation == Activation::gelu) add_and_apply<T>(math::Gelu{}, h, bias, y);
    else add_and_apply<T>(Identity{}, h, bias, y);
  });
}

void add_bias_gelu(const Tensor& x, const Tensor& residual, const Tensor& bias, const Tensor& hidden, const Tensor& y) {
  with_float(x.dtype(), "add_bias_gelu", [&]<class T>() { add_three<T>(x, residual, bias, hidden, y); });
}

void activation_backward(const Tensor& g, const Tensor& hidden, Activation activation, const Tensor& out) {
  if (activation == Activation::relu) apply_slope(math::Relu{}, hidden, g, out);
  if (activation == Activation::gelu) apply_slope(math::Gelu{}, hidden, g, out);
}

void column_sums(const Tensor& x, double beta, const Tensor& sums) {
  with_float(x.dtype(), "column sums", [&]<class T>() { sum_rows<T>(x, beta, sums); });
}

}  // namespace alinea::cuda
