#include "engine/ops/reduce.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/broadcast_axes.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/layout.h"

namespace alinea {

namespace {

constexpr int64_t grain = 32768, block = 4096;

// Σ x[0 … n-1]: four chains of lanes within a block, blocks in double.
template <class T>
ALINEA_INLINE double sum_run(const T* x, int64_t n) {
  constexpr int64_t w = lanes<T>;
  double total = 0;
  for (int64_t at = 0; at < n; at += block) {
    const int64_t size = std::min(block, n - at);
    const T* p = x + at;
    Vec<T> a{}, b{}, c{}, d{};
    int64_t i = 0;
    for (; i + 4 * w <= size; i += 4 * w) a += load(p + i), b += load(p + i + w), c += load(p + i + 2 * w), d += load(p + i + 3 * w);
    for (; i + w <= size; i += w) a += load(p + i);
    if (size > i) b += load_part(p + i, size - i);
    total += double(sum((a + b) + (c + d)));
  }
  return total;
}

// Outputs first … last-1, each the sum of `repeated` runs of `inner` elements.
template <class T>
ALINEA_KERNEL void sum_runs(const T* x, T* y, const BroadcastAxes& axes, double factor, int64_t first, int64_t last) {
  const int64_t runs = axes.repeated.count();
  for (int64_t o = first; o < last; ++o) {
    const T* p = x + axes.own.offset(o);
    double total = 0;
    for (int64_t r = 0; r < runs; ++r) total += sum_run(p + axes.repeated.offset(r), axes.inner);
    y[o] = T(factor * total);
  }
}

// Columns begin … end-1 of one output row: the runs added in order.
template <class T>
ALINEA_KERNEL void add_runs(const T* x, T* y, const AxisWalk& repeated, T factor, int64_t begin, int64_t end) {
  const int64_t runs = repeated.count();
  for (int64_t i = begin; i < end; ++i) y[i] = 0;
  for (int64_t r = 0; r < runs; ++r) {
    const T* p = x + repeated.offset(r);
    for (int64_t i = begin; i < end; ++i) y[i] += p[i];
  }
  if (factor != 1)
    for (int64_t i = begin; i < end; ++i) y[i] *= factor;
}

template <class T>
ALINEA_KERNEL void sum_parts(const T* x, double* parts, int64_t n, int64_t count, int64_t first, int64_t last) {
  for (int64_t p = first; p < last; ++p) parts[p] = sum_run(x + n * p / count, n * (p + 1) / count - n * p / count);
}

// Everything into one number: blocks of a fixed size, whatever the number of threads.
template <class T>
T sum_all(const T* x, int64_t n, double factor) {
  const int64_t count = std::max<int64_t>(1, n / grain);
  std::vector<double> parts(size_t(count), 0.0);
  parallel_for(count, 2, [&](int64_t first, int64_t last) { sum_parts(x, parts.data(), n, count, first, last); });
  double total = 0;
  for (const double p : parts) total += p;
  return T(factor * total);
}

}  // namespace

Tensor sum_over(const Tensor& x, const Shape& shape, double factor) {
  const BroadcastAxes axes(shape, x.shape(), "sum");
  const Tensor y = x.context().empty(shape, x.dtype());
  if (x.count() == 0) {
    y.zero();
    return y;
  }
  auto on_cpu = [&] {
    with_float(x.dtype(), "sum", [&]<class T>() {
      const T* in = x.data<T>();
      T* out = y.data<T>();
      const int64_t outer = axes.own.count(), inner = axes.inner, work = inner * axes.repeated.count();
      if (y.count() == 1) {
        out[0] = sum_all(in, x.count(), factor);
      } else if (axes.inner_repeated) {
        parallel_for(outer, std::max<int64_t>(1, grain / work), [&](int64_t first, int64_t last) { sum_runs(in, out, axes, factor, first, last); });
      } else if (outer >= threads()) {
        parallel_for(outer, std::max<int64_t>(1, grain / work), [&](int64_t first, int64_t last) {
          for (int64_t o = first; o < last; ++o) add_runs(in + axes.own.offset(o), out + o * inner, axes.repeated, T(factor), 0, inner);
        });
      } else {
        const int64_t columns = std::max<int64_t>(lanes<T>, grain / axes.repeated.count());
        for (int64_t o = 0; o < outer; ++o)
          parallel_for(inner, columns, [&](int64_t begin, int64_t end) {
            add_runs(in + axes.own.offset(o), out + o * inner, axes.repeated, T(factor), begin, end);
          });
      }
    });
  };
  on_device(x, on_cpu, [&] { cuda::sum_over(x, axes, factor, y); });
  return y;
}

Tensor Sum::forward(const Tensor& x, Saved* kept) const {
  if (kept) kept->x = x.shape();
  Shape ones = x.shape(), result;
  const int along = axis ? x.shape().index(*axis) : -1;
  for (int i = 0; i < x.rank(); ++i) {
    if (!axis || i == along) ones.dim[i] = 1;
    else result.dim[result.rank++] = x.size(i);
  }
  require(!mean || x.count() > 0, "mean: {} has no elements", x.shape());
  const double n = double(axis ? x.size(along) : x.count());
  return sum_over(x, ones, mean ? 1 / n : 1).reshape(result);
}

Grads<1> Sum::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const {
  Shape ones = kept.x;
  for (int i = 0; i < ones.rank; ++i)
    if (!axis || i == kept.x.index(*axis)) ones.dim[i] = 1;
  const double n = double(axis ? kept.x[*axis] : kept.x.count());
  return {expand_to(g.compact().reshape(ones), kept.x, mean ? 1 / n : 1)};
}

Tensor SumTo::forward(const Tensor& x, Saved* kept) const {
  if (kept) kept->x = x.shape();
  return sum_over(x, shape);
}

Grads<1> SumTo::backward(Saved&& kept, Tensor&& g, const Needs<1>&) const { return {expand_to(g.compact(), kept.x)}; }

}  // namespace alinea
