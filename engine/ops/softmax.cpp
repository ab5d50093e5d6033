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

template <class T>
ALINEA_KERNEL void softmax_rows(const T* in, T* out, int64_t n, int64_t begin, int64_t end) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = begin; r < end; ++r) {
    const T* x = in + r * n;
    T* y = out + r * n;
    const T m = row_max(x, n);
    if (m == lowest) {
      fill_row(y, n, T(0));
      continue;
    }
    const T total = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) {
      const Vec<T> e = exp(load_up_to(x + i, rest, lowest) - m);
      store_up_to(y + i, e, rest);
      return e;
    });
    const T scale = T(1) / total;
    for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(y + i, load_up_to(y + i, n - i) * scale, n - i);
  }
}

template <class T>
ALINEA_KERNEL void log_softmax_rows(const T* in, T* out, int64_t n, int64_t begin, int64_t end) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = begin; r < end; ++r) {
    const T* x = in + r * n;
    T* y = out + r * n;
    const T m = row_max(x, n);
    if (m == lowest) {
      fill_row(y, n, lowest);
      continue;
    }
    const T log_total = std::log(row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return exp(load_up_to(x + i, rest, lowest) - m); }));
    for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(y + i, load_up_to(x + i, n - i) - m - log_total, n - i);
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

void check(const Tensor& x, std::string_view op) {
  require(x.rank() >= 1, "{}: x has no axes; it needs at least one, [..., C]", op);
}

}  // namespace

Tensor Softmax::forward(const Tensor& x, Saved* kept) const {
  check(x, "softmax");
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  const int64_t n = x.shape().last();
  on_device(
      x,
      [&] {
        with_float(x.dtype(), "softmax", [&]<class T>() {
          const T* in = x.data<T>();
          T* out = y.data<T>();
          parallel_for(x.shape().rows(), row_grain(4 * n), [&](int64_t begin, int64_t end) { softmax_rows(in, out, n, begin, end); });
        });
      },
      [&] { cuda::softmax(x, y); });
  if (kept) kept->y = y;
  return y;
}

Grads<1> Softmax::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  g = g.compact();
  const int64_t n = g.shape().last();
  const Tensor dx = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  on_device(
      g,
      [&] {
        with_float(g.dtype(), "softmax", [&]<class T>() {
          const T *y = kept.y.data<T>(), *in = g.data<T>();
          T* out = dx.data<T>();
          parallel_for(g.shape().rows(), row_grain(n), [&](int64_t begin, int64_t end) { softmax_backward_rows(y, in, out, n, begin, end); });
        });
      },
      [&] { cuda::softmax_backward(kept.y, g, dx); });
  return {dx};
}

Tensor LogSoftmax::forward(const Tensor& x, Saved* kept) const {
  check(x, "log_softmax");
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  const int64_t n = x.shape().last();
  on_device(
      x,
      [&] {
        with_float(x.dtype(), "log_softmax", [&]<class T>() {
          const T* in = x.data<T>();
          T* out = y.data<T>();
          parallel_for(x.shape().rows(), row_grain(4 * n), [&](int64_t begin, int64_t end) { log_softmax_rows(in, out, n, begin, end); });
        });
      },
      [&] { cuda::log_softmax(x, y); });
  if (kept) kept->y = y;
  return y;
}

Grads<1> LogSoftmax::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  g = g.compact();
  const int64_t n = g.shape().last();
  const Tensor dx = g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype());
  on_device(
      g,
      [&] {
        with_float(g.dtype(), "log_softmax", [&]<class T>() {
          const T *y = kept.y.data<T>(), *in = g.data<T>();
          T* out = dx.data<T>();
          parallel_for(g.shape().rows(), row_grain(4 * n), [&](int64_t begin, int64_t end) { log_softmax_backward_rows(y, in, out, n, begin, end); });
        });
      },
      [&] { cuda::log_softmax_backward(kept.y, g, dx); });
  return {dx};
}

}  // namespace alinea
