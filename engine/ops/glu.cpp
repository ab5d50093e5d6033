#include "engine/ops/glu.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/cuda_kernels.h"

namespace alinea {

namespace {

// x is rows of two halves of n elements, y rows of n. Elements begin … end-1 of y, which may start and stop within a row.
template <class T>
ALINEA_KERNEL void glu_range(const T* x, T* y, int64_t n, int64_t begin, int64_t end) {
  for (int64_t at = begin; at < end;) {
    const int64_t row = at / n, stop = std::min(end, (row + 1) * n);
    const T *a = x + row * n, *b = a + n;   // a[at] is x[2 row n + (at - row n)]
    for (; at + lanes<T> <= stop; at += lanes<T>) store(y + at, load(a + at) * sigmoid(load(b + at)));
    if (const int64_t rest = stop - at; rest > 0) store_part(y + at, load_part(a + at, rest) * sigmoid(load_part(b + at, rest)), rest);
    at = stop;
  }
}

// dx may be x.
template <class T>
ALINEA_KERNEL void glu_slope_range(const T* x, const T* g, T* dx, int64_t n, int64_t begin, int64_t end) {
  for (int64_t at = begin; at < end;) {
    const int64_t row = at / n, stop = std::min(end, (row + 1) * n);
    const T *a = x + row * n, *b = a + n;
    T *da = dx + row * n, *db = da + n;
    for (; at + lanes<T> <= stop; at += lanes<T>) {
      const Vec<T> s = sigmoid(load(b + at)), gs = load(g + at) * s;
      store(db + at, gs * load(a + at) * (T(1) - s));
      store(da + at, gs);
    }
    if (const int64_t rest = stop - at; rest > 0) {
      const Vec<T> s = sigmoid(load_part(b + at, rest)), gs = load_part(g + at, rest) * s;
      store_part(db + at, gs * load_part(a + at, rest) * (T(1) - s), rest);
      store_part(da + at, gs, rest);
    }
    at = stop;
  }
}

// Elements of one half: the axis' half and everything behind it.
int64_t half(const Shape& shape, int axis) {
  int64_t n = shape[axis] / 2;
  for (int i = shape.index(axis) + 1; i < shape.rank; ++i) n *= shape.dim[i];
  return n;
}

}  // namespace

Tensor Glu::forward(const Tensor& x, Saved* kept) const {
  require(x.rank() >= 1 && x.size(axis) % 2 == 0, "glu: x is {}; axis {} must have an even size, it is split into value and gate", x.shape(), axis);
  Shape shape = x.shape();
  shape[axis] /= 2;
  const Tensor y = x.context().empty(shape, x.dtype());
  const int64_t n = half(x.shape(), axis);
  auto on_cpu = [&] {
    with_float(x.dtype(), "glu", [&]<class T>() {
      const T* in = x.data<T>();
      T* out = y.data<T>();
      parallel_for(y.count(), 16384, [&](int64_t begin, int64_t end) { glu_range(in, out, n, begin, end); });
    });
  };
  on_device(x, on_cpu, [&] { cuda::glu(x, n, y); });
  if (kept) kept->x = x;
  return y;
}

Grads<1> Glu::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  g = g.compact();
  const Tensor& x = kept.x;
  const Tensor d = x.sole_owner() ? x : x.context().empty(x.shape(), x.dtype());
  const int64_t n = half(x.shape(), axis);
  auto on_cpu = [&] {
    with_float(x.dtype(), "glu", [&]<class T>() {
      const T *in = x.data<T>(), *pg = g.data<T>();
      T* out = d.data<T>();
      parallel_for(g.count(), 16384, [&](int64_t begin, int64_t end) { glu_slope_range(in, pg, out, n, begin, end); });
    });
  };
  on_device(x, on_cpu, [&] { cuda::glu_backward(x, g, n, d); });
  return {d};
}

}  // namespace alinea
