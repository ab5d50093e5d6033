// Weight normalisation; [O, C, K] is rows of K taps.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

// sums[k] = Σ a[row, k] b[row, k], in double.
template <class T>
void tap_sums(const Tensor& a, const Tensor& b, const Tensor& sums) {
  const T *pa = a.data<T>(), *pb = b.data<T>();
  const int64_t K = a.shape().last();
  sum_columns<double, 1>(a.context(), a.shape().rows(), K, "weight_norm", {{sums.data<double>()}, {0}},
                         [=] __device__(int64_t r, int64_t k, double* s) { *s += double(pa[r * K + k]) * double(pb[r * K + k]); });
}

template <class T>
void scale(const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& w) {
  const T *in = v.data<T>(), *scale = g.data<T>();
  double* length = lengths.data<double>();
  T* out = w.data<T>();
  const int64_t K = v.shape().last();
  each(v.context(), K, "weight_norm", [=] __device__(int64_t k) { length[k] = std::sqrt(length[k]); });
  each(v.context(), v.count(), "weight_norm", [=] __device__(int64_t i) { out[i] = in[i] * T(double(scale[i % K]) / length[i % K]); });
}

// dg and dv by the header's formulas; dv may be d.
template <class T>
void backward(const Tensor& d, const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& sums, const Tensor& dg, const Tensor& dv) {
  const double *n = lengths.data<double>(), *s = sums.data<double>();
  const int64_t K = d.shape().last();
  if (dg) {
    T* to = dg.data<T>();
    each(d.context(), K, "weight_norm backward", [=] __device__(int64_t k) { to[k] = T(s[k] / n[k]); });
  }
  if (!dv) return;
  const T *from = d.data<T>(), *in = v.data<T>(), *scale = g.data<T>();
  T* out = dv.data<T>();
  each(d.context(), d.count(), "weight_norm backward", [=] __device__(int64_t i) {
    const int64_t k = i % K;
    const double rate = double(scale[k]) / n[k];
    out[i] = from[i] * T(rate) - in[i] * T(rate * s[k] / (n[k] * n[k]));
  });
}

}  // namespace

void weight_norm(const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& w) {
  with_float(v.dtype(), "weight_norm", [&]<class T>() {
    tap_sums<T>(v, v, lengths);
    scale<T>(v, g, lengths, w);
  });
}

void weight_norm_backward(const Tensor& d, const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& dg, const Tensor& dv) {
  const Tensor sums = d.context().empty(lengths.shape(), DType::f64);
  with_float(d.dtype(), "weight_norm", [&]<class T>() {
    tap_sums<T>(d, v, sums);
    backward<T>(d, v, g, lengths, sums, dg, dv);
  });
}

}  // namespace alinea::cuda
