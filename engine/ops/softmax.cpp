#include "engine/ops/softmax.h"

#include <limits>

#include "engine/core/device.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

template <class T>
ALINEA_INLINE T row_max(const T* x, int64_t n) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  Vec<T> m = splat(T(0)) + lowest;
  for (int64_t i = 0; i < n; i += lanes<T>) m = max(m, load_up_to(x + i, n - i, lowest));
  return max_of(m);
}

template <class T>
ALINEA_INLINE void fill_row(T* y, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) y[i] = value;
}

// softmax, or its logarithm.
template <bool logarithm, class T>
ALINEA_KERNEL void softmax_rows(const T* in, T* out, int64_t n, int64_t begin, int64_t end) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = begin; r < end; ++r) {
    const T* x = in + r * n;
    T* y = out + r * n;
    const T m = row_max(x, n);
    if (m == lowest) {
      fill_row(y, n, logarithm ? lowest : T(0));
      continue;
    }
    const T total = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) {
      const Vec<T> e = exp_nonpositive(load_up_to(x + i, rest, lowest) - m);
      if (!logarithm) store_up_to(y + i, e, rest);
      return e;
    });
    if (logarithm) {
      const T log_total = std::log(total);
      for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(y + i, load_up_to(x + i, n - i) - m - log_total, n - i);
    } else {
      const T scale = T(1) / total;
      for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(y + i, load_up_to(y + i, n - i) * scale, n - i);
    }
  }
}

template <class T>
ALINEA_KERNEL void softmax_backward_rows(const T* kept, const T* grad, T* out, int64_t n, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T *y = kept + r * n, *g = grad + r * n;
    const T dot = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return load_up_to(y + i, rest) * load_up_to(g + i, rest); });
    for (int64_t i = 0; i < n; i += lanes<T>)
      store_up_to(out + r * n + i, load_up_to(y + i, n - i) * (load_up_to(g + i, n - i) - dot), n - i);
  }
}

template <class T>
ALINEA_KERNEL void log_softmax_backward_rows(const T* kept, const T* grad, T* out, int64_t n, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T *y = kept + r * n, *g = grad + r * n;
    if (row_max(y, n) == -std::numeric_limits<T>::infinity()) {
      fill_row(out + r * n, n, T(0));
      continue;
    }
    const T total = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return load_up_to(g + i, rest); });
    for (int64_t i = 0; i < n; i += lanes<T>)
      store_up_to(out + r * n + i, load_up_to(g + i, n - i) - exp(load_up_to(y + i, n - i)) * total, n - i);
  }
}

// y from x by rows(in, out, n, begin, end), or by gpu(x, y).
template <class Rows, class Gpu>
Tensor run_forward(std::string_view op, const Tensor& x, Rows&& rows, Gpu&& gpu) {
  require(x.rank() >= 1, "{}: x has no axes; it needs at least one, [..., C]", op);
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  const int64_t n = x.shape().last();
  auto cpu = [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.shape().rows(), row_grain(4 * n), [&](int64_t begin, int64_t end) { rows(in, out, n, begin, end); });
  };
  on_device(x, [&] { with_float(x.dtype(), op, cpu); }, [&] { gpu(x, y); });
  return y;
}

// dx from y and g, in place of g where nobody else holds it, by rows(y, g, dx, n, begin, end) or by gpu(y, g, dx).
template <class Rows, class Gpu>
Tensor run_backward(std::string_view op, const Tensor& y, Tensor&& g, int64_t work, Rows&& rows, Gpu&& gpu) {
  g = g.compact();
  const int64_t n = g.shape().last();
  const Tensor dx = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  auto cpu = [&]<class T>() {
    const T *kept = y.data<T>(), *in = g.data<T>();
    T* out = dx.data<T>();
    parallel_for(g.shape().rows(), row_grain(work * n), [&](int64_t begin, int64_t end) { rows(kept, in, out, n, begin, end); });
  };
  on_device(g, [&] { with_float(g.dtype(), op, cpu); }, [&] { gpu(y, g, dx); });
  return dx;
}

}  // namespace

Tensor Softmax::forward(const Tensor& x, Saved* kept) const {
  const Tensor y = run_forward("softmax", x, [](auto... rows) { softmax_rows<false>(rows...); }, [](auto&... t) { cuda::softmax(t...); });
  if (kept) kept->y = y;
  return y;
}

Grads<1> Softmax::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  return {run_backward("softmax", kept.y, std::move(g), 1, [](auto... rows) { softmax_backward_rows(rows...); }, [](auto&... t) { cuda::softmax_backward(t...); })};
}

Tensor LogSoftmax::forward(const Tensor& x, Saved* kept) const {
  const Tensor y = run_forward("log_softmax", x, [](auto... rows) { softmax_rows<true>(rows...); }, [](auto&... t) { cuda::log_softmax(t...); });
  if (kept) kept->y = y;
  return y;
}

Grads<1> LogSoftmax::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  return {run_backward("log_softmax", kept.y, std::move(g), 4, [](auto... rows) { log_softmax_backward_rows(rows...); }, [](auto&... t) { cuda::log_softmax_backward(t...); })};
}

}  // namespace alinea
