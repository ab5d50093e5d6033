#include "engine/ops/bias.h"

#include <vector>

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/activate.h"
#include "engine/ops/cuda_kernels.h"

namespace alinea {

namespace {

// act'(·): from y for relu, from h for gelu (Φ(h) + h φ(h)).
template <Vector V>
ALINEA_INLINE V slope(V v, Activation a) {
  using T = Lane<V>;
  if (a == Activation::relu) return v > 0 ? splat(T(1)) : splat(T(0));
  const V cdf = T(0.5) * (T(1) + erf(v * T(0.70710678118654752)));
  return cdf + v * T(0.39894228040143268) * exp(v * v * T(-0.5));
}

template <class T>
ALINEA_KERNEL void forward_rows(T* h, const T* bias, T* y, int64_t begin, int64_t end, int64_t n, Activation act) {
  for (int64_t r = begin; r < end; ++r) {
    T* in = h + r * n;
    T* out = y + r * n;
    int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      Vec<T> v = load(in + i);
      if (bias) v += load(bias + i);
      if (in != out) store(in + i, v);
      store(out + i, activate(v, act));
    }
    if (const int64_t rest = n - i; rest > 0) {
      Vec<T> v = load_part(in + i, rest);
      if (bias) v += load_part(bias + i, rest);
      if (in != out) store_part(in + i, v, rest);
      store_part(out + i, activate(v, act), rest);
    }
  }
}

template <class T>
ALINEA_KERNEL void backward_rows(const T* g, const T* hidden, T* out, T* sums, int64_t begin, int64_t end, int64_t n, Activation act) {
  for (int64_t r = begin; r < end; ++r) {
    const int64_t at = r * n;
    int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      Vec<T> v = load(g + at + i);
      if (hidden) v *= slope(load(hidden + at + i), act);
      if (hidden || out != g) store(out + at + i, v);
      if (sums) store(sums + i, load(sums + i) + v);
    }
    if (const int64_t rest = n - i; rest > 0) {
      Vec<T> v = load_part(g + at + i, rest);
      if (hidden) v *= slope(load_part(hidden + at + i, rest), act);
      store_part(out + at + i, v, rest);
      if (sums) store_part(sums + i, load_part(sums + i, rest) + v, rest);
    }
  }
}

}  // namespace

Tensor bias_activation(const Tensor& h, const Tensor& bias, Activation activation, bool keep_hidden) {
  same_device("bias_activation", h, bias);
  if (!bias && activation == Activation::none) return h;
  const Tensor y = activation == Activation::gelu && keep_hidden ? h.context().empty(h.shape(), h.dtype()) : h;
  const int64_t n = h.shape().last();
  auto on_cpu = [&] {
    with_float(h.dtype(), "bias_activation", [&]<class T>() {
      parallel_for(h.shape().rows(), std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n)), [&](int64_t begin, int64_t end) {
        forward_rows<T>(h.data<T>(), bias ? bias.data<T>() : nullptr, y.data<T>(), begin, end, n, activation);
      });
    });
  };
  on_device(h, on_cpu, [&] { cuda::bias_activation(h, bias, activation, y); });
  if (!y.shares_storage(h)) leave_recipe(y, [h] { return bias_activation(h, {}, Activation::gelu, true); });   // backward keeps h anyway
  return y;
}

Tensor activation_backward(Tensor&& g, const Tensor& hidden, Activation activation, const Need& need_bias, Tensor& bias_grad) {
  if (activation == Activation::none && !need_bias) return std::move(g);
  double beta = 0;
  if (need_bias) {
    const GradTarget target(need_bias, Shape{g.shape().last()}, g.dtype(), g.context());
    bias_grad = target.tensor, beta = target.beta;
  }
  const int64_t n = g.shape().last(), rows = g.shape().rows(), grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n));
  const Tensor out = activation == Activation::none || g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "activation_backward", [&]<class T>() {
      const int parts = std::max(1, threads_for(rows, grain));
      std::vector<T> sums(need_bias ? size_t(parts * n) : 0, T(0));   // one row of partial sums per thread, added in order
      parallel_for(parts, 1, [&](int64_t first, int64_t last) {
        for (int64_t p = first; p < last; ++p)
          backward_rows<T>(g.data<T>(), activation == Activation::none ? nullptr : hidden.data<T>(), out.data<T>(), need_bias ? sums.data() + p * n : nullptr,
                           rows * p / parts, rows * (p + 1) / parts, n, activation);
      });
      if (!need_bias) return;
      T* to = bias_grad.data<T>();
      for (int64_t i = 0; i < n; ++i) {
        T s = beta == 0 ? T(0) : to[i];
        for (int p = 0; p < parts; ++p) s += sums[size_t(p * n + i)];
        to[i] = s;
      }
    });
  };
  on_device(g, on_cpu, [&] {
    cuda::activation_backward(g, hidden, activation, out);
    if (need_bias) cuda::column_sums(out, beta, bias_grad);
  });
  return out;
}

}  // namespace alinea
