#include "engine/ops/layout.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast_axes.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/reduce.h"

namespace alinea {

Tensor Reshape::forward(const Tensor& x, Saved* kept) const {
  if (kept) kept->x = x.shape();
  return x.reshape(shape);
}

Grads<1> Reshape::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const { return {g.compact().reshape(kept.x)}; }

Tensor Permute::forward(const Tensor& x, Saved*) const { return x.permute(order); }

Grads<1> Permute::backward(Saved&&, Tensor&& g, const Needs<1>&) const {
  std::vector<int> back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[size_t(g.shape().index(order[i]))] = int(i);
  return {g.permute(back)};
}

Tensor Slice::forward(const Tensor& x, Saved* kept) const {
  if (kept) kept->x = x.shape();
  return x.slice(axis, begin, end);
}

Grads<1> Slice::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  if (g.shape() == kept.x) return {std::move(g)};
  const Tensor d = g.context().zeros(kept.x, g.dtype());
  d.slice(axis, begin, end).copy_from(g);
  return {d};
}

Tensor Compact::forward(const Tensor& x, Saved*) const { return x.compact(); }

Grads<1> Compact::backward(Saved&&, Tensor&& g, const Needs<1>&) const { return {std::move(g)}; }

Tensor Concat::forward(const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& d, Saved* kept) const {
  const std::array<const Tensor*, 4> parts{&a, &b, &c, &d};
  Shape shape = a.shape();
  const int along = shape.index(axis);
  shape.dim[along] = 0;
  for (const Tensor* p : parts) {
    if (!*p) continue;
    Shape rest = p->shape();
    if (along < rest.rank) rest.dim[along] = shape.dim[along];
    require(rest == shape && p->dtype() == a.dtype(), "concat: a part is {} {}, the first {} {}; dtypes and all axes but axis {} must be equal",
            p->dtype(), p->shape(), a.dtype(), a.shape(), along);
    shape.dim[along] += p->size(along);
  }
  const Tensor y = a.context().empty(shape, a.dtype());
  int64_t at = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!*parts[i]) continue;
    const int64_t size = parts[i]->size(along);
    y.slice(along, at, at + size).copy_from(*parts[i]);
    at += size;
    if (kept) kept->sizes[i] = size;
  }
  return y;
}

Grads<4> Concat::backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const {
  Grads<4> d;
  int64_t at = 0;
  for (size_t i = 0; i < 4; at += kept.sizes[i++])
    if (need[i]) d[i] = g.slice(axis, at, at + kept.sizes[i]);
  return d;
}

Tensor expand_to(const Tensor& x, const Shape& shape, double factor) {
  const BroadcastAxes axes(x.shape(), shape, "expand");
  const Tensor y = x.context().empty(shape, x.dtype());
  if (y.count() == 0) return y;
  auto on_cpu = [&] {
    with_float(x.dtype(), "expand", [&]<class T>() {
      const T *in = x.data<T>(), scale = T(factor);
      T* out = y.data<T>();
      const int64_t inner = axes.inner, times = axes.repeated.count(), step = axes.inner_repeated ? 1 : inner;
      parallel_for(axes.own.count() * times, std::max<int64_t>(1, 32768 / inner), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          T* to = out + axes.own.offset(i / times) + axes.repeated.offset(i % times);
          const T* from = in + i / times * step;
          if (axes.inner_repeated) std::fill_n(to, inner, *from * scale);
          else for (int64_t k = 0; k < inner; ++k) to[k] = from[k] * scale;
        }
      });
    });
  };
  on_device(x, on_cpu, [&] { cuda::expand(x, factor, y); });
  return y;
}

Tensor Expand::forward(const Tensor& x, Saved* kept) const {
  if (kept) kept->x = x.shape();
  return expand_to(x, shape);
}

Grads<1> Expand::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const { return {sum_over(g.compact(), kept.x)}; }

}  // namespace alinea
