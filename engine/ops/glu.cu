#include "engine/core/cuda.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

// x is rows of two halves of n elements, y rows of n.
template <class T>
void forward(const Tensor& x, int64_t n, const Tensor& y) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  each(y.context(), y.count(), "glu", [=] __device__(int64_t i) {
    const int64_t a = i + i / n * n;
    out[i] = in[a] / (T(1) + std::exp(-in[a + n]));
  });
}

// d may be x.
template <class T>
void backward(const Tensor& x, const Tensor& g, int64_t n, const Tensor& d) {
  const T *in = x.data<T>(), *pg = g.data<T>();
  T* out = d.data<T>();
  each(g.context(), g.count(), "glu backward", [=] __device__(int64_t i) {
    const int64_t a = i + i / n * n;
    const T s = T(1) / (T(1) + std::exp(-in[a + n])), gs = pg[i] * s;
    out[a + n] = gs * in[a] * (T(1) - s);
    out[a] = gs;
  });
}

}  // namespace

void glu(const Tensor& x, int64_t n, const Tensor& y) {
  with_float(x.dtype(), "glu", [&]<class T>() { forward<T>(x, n, y); });
}

void glu_backward(const Tensor& x, const Tensor& g, int64_t n, const Tensor& d) {
  with_float(x.dtype(), "glu", [&]<class T>() { backward<T>(x, g, n, d); });
}

}  // namespace alinea::cuda
