#include "engine/ops/elementwise.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/bias.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/recipe.h"

namespace alinea {

namespace {

constexpr int64_t grain = 32768;   // elements below which a second thread costs more than it brings

template <class T, class F>
ALINEA_KERNEL void apply_range(F f, const T* x, T* y, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes<T> <= end; i += lanes<T>) store(y + i, f.value(load(x + i)));
  if (const int64_t rest = end - i; rest > 0) store_part(y + i, f.value(load_part(x + i, rest)), rest);
}

// d = g ⊙ f'(v); v is x, y or absent. d may be g.
template <class T, class F>
ALINEA_KERNEL void slope_range(F f, const T* v, const T* g, T* d, int64_t begin, int64_t end) {
  constexpr bool reads = F::keep != math::Keep::neither;
  int64_t i = begin;
  for (; i + lanes<T> <= end; i += lanes<T>) store(d + i, load(g + i) * f.slope(reads ? load(v + i) : Vec<T>{}));
  if (const int64_t rest = end - i; rest > 0)
    store_part(d + i, load_part(g + i, rest) * f.slope(reads ? load_part(v + i, rest) : Vec<T>{}), rest);
}

template <class T, class F>
ALINEA_KERNEL void apply2_range(F f, const T* a, const T* b, T* y, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes<T> <= end; i += lanes<T>) store(y + i, f.value(load(a + i), load(b + i)));
  if (const int64_t rest = end - i; rest > 0) store_part(y + i, f.value(load_part(a + i, rest), load_part(b + i, rest)), rest);
}

// Both gradients in one pass; a gradient that is not wanted, or an input that it does not read, is null. da may be g.
template <class T, class F>
ALINEA_KERNEL void slopes2_range(F f, const T* g, const T* a, const T* b, T* da, T* db, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes<T> <= end; i += lanes<T>) {
    const Vec<T> vg = load(g + i), va = a ? load(a + i) : Vec<T>{}, vb = b ? load(b + i) : Vec<T>{};
    if (db) store(db + i, f.db(vg, va, vb));
    if (da) store(da + i, f.da(vg, vb));
  }
  if (const int64_t rest = end - i; rest > 0) {
    const Vec<T> vg = load_part(g + i, rest), va = a ? load_part(a + i, rest) : Vec<T>{}, vb = b ? load_part(b + i, rest) : Vec<T>{};
    if (db) store_part(db + i, f.db(vg, va, vb), rest);
    if (da) store_part(da + i, f.da(vg, vb), rest);
  }
}

template <class T>
ALINEA_KERNEL void add_bias_gelu_rows(const T* x, const T* residual, const T* bias, T* h, T* y, int64_t begin, int64_t end, int64_t n) {
  const math::Gelu gelu;
  for (int64_t r = begin; r < end; ++r) {
    const int64_t at = r * n;
    int64_t i = 0;
    for (; i + lanes<T> <= n; i += lanes<T>) {
      const Vec<T> v = load(x + at + i) + load(residual + at + i) + load(bias + i);
      if (h) store(h + at + i, v);
      store(y + at + i, gelu.value(v));
    }
    if (const int64_t rest = n - i; rest > 0) {
      const Vec<T> v = load_part(x + at + i, rest) + load_part(residual + at + i, rest) + load_part(bias + i, rest);
      if (h) store_part(h + at + i, v, rest);
      store_part(y + at + i, gelu.value(v), rest);
    }
  }
}

namespace cpu {

template <class F>
void apply(F f, const Tensor& x, const Tensor& y) {
  with_float(x.dtype(), "elementwise", [&]<class T>() {
    const T* in = x.data<T>();
    T* out = y.data<T>();
    parallel_for(x.count(), grain, [&](int64_t begin, int64_t end) { apply_range(f, in, out, begin, end); });
  });
}

template <class F>
void apply_slope(F f, const Tensor& read_by_slope, const Tensor& g, const Tensor& d) {
  with_float(g.dtype(), "elementwise", [&]<class T>() {
    const T *in = g.data<T>(), *v = F::keep == math::Keep::neither ? nullptr : read_by_slope.data<T>();
    T* out = d.data<T>();
    parallel_for(g.count(), grain, [&](int64_t begin, int64_t end) { slope_range(f, v, in, out, begin, end); });
  });
}

template <class F>
void apply2(F f, const Tensor& a, const Tensor& b, const Tensor& y) {
  with_float(a.dtype(), "elementwise", [&]<class T>() {
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* out = y.data<T>();
    parallel_for(a.count(), grain, [&](int64_t begin, int64_t end) { apply2_range(f, pa, pb, out, begin, end); });
  });
}

template <class F>
void apply2_slopes(F f, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& da, const Tensor& db) {
  with_float(g.dtype(), "elementwise", [&]<class T>() {
    auto pointer = [](const Tensor& t) { return t ? t.data<T>() : nullptr; };
    const T *in = g.data<T>(), *pa = pointer(a), *pb = pointer(b);
    T *to_a = pointer(da), *to_b = pointer(db);
    parallel_for(g.count(), grain, [&](int64_t begin, int64_t end) { slopes2_range(f, in, pa, pb, to_a, to_b, begin, end); });
  });
}

}  // namespace cpu

// A tensor to write a gradient of g's shape into: g itself when nobody else holds it.
Tensor in_place_of(const Tensor& g) { return g.sole_owner() ? g : g.context().empty(g.shape(), g.dtype()); }

}  // namespace

template <class F>
Tensor Elementwise<F>::forward(const Tensor& x, Saved* kept) const {
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  on_device(x, [&] { cpu::apply(f, x, y); }, [&] { cuda::apply(f, x, y); });
  if (kept && F::keep != math::Keep::neither) kept->read_by_slope = F::keep == math::Keep::input ? x : y;
  if (kept && F::keep == math::Keep::input) leave_recipe(y, [op = *this, make = kept->read_by_slope.source()] { return op.forward(make(), nullptr); });
  return y;
}

template <class F>
Grads<1> Elementwise<F>::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0] || std::is_same_v<F, math::AddScalar>) return {std::move(g)};
  g = g.compact();
  const Tensor d = in_place_of(g), v = kept.read_by_slope.take();
  on_device(g, [&] { cpu::apply_slope(f, v, g, d); }, [&] { cuda::apply_slope(f, v, g, d); });
  return {d};
}

template <class F>
Tensor Elementwise2<F>::forward(const Tensor& a, const Tensor& b, Saved* kept) const {
  require(a.shape() == b.shape() && a.dtype() == b.dtype(), "elementwise: a is {} {} and b is {} {}; shapes and dtypes must be equal, expand() broadcasts",
          a.dtype(), a.shape(), b.dtype(), b.shape());
  same_device("elementwise", a, b);
  const Tensor y = a.context().empty(a.shape(), a.dtype());
  on_device(a, [&] { cpu::apply2(f, a, b, y); }, [&] { cuda::apply2(f, a, b, y); });
  if constexpr (F::keeps) {
    if (kept && kept->needs[1]) kept->a = a;
    if (kept && (kept->needs[0] || F::db_reads_b)) kept->b = b;
  }
  return y;
}

template <class F>
Grads<2> Elementwise2<F>::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  Grads<2> d;
  if constexpr (F::keeps) {
    g = g.compact();
    const bool mine = g.sole_owner();
    if (need[0]) d[0] = mine ? g : g.context().empty(g.shape(), g.dtype());
    if (need[1]) d[1] = mine && !need[0] ? g : g.context().empty(g.shape(), g.dtype());
    on_device(g, [&] { cpu::apply2_slopes(f, g, kept.a, kept.b, d[0], d[1]); }, [&] { cuda::apply2_slopes(f, g, kept.a, kept.b, d[0], d[1]); });
  } else {
    if (need[0]) d[0] = g;
    if (need[1]) {
      if constexpr (std::is_same_v<F, math::Sub>) d[1] = Elementwise<math::Scale>{{-1}}.backward({}, std::move(g), {})[0];
      else d[1] = std::move(g);
    }
  }
  return d;
}

Tensor AddBiasGelu::forward(const Tensor& x, const Tensor& residual, const Tensor& bias, Saved* kept) const {
  require(x.rank() >= 1 && x.shape() == residual.shape() && bias.shape() == Shape{x.shape().last()},
          "add_bias_gelu: x is {}, residual {}, bias {}; x and residual must be equal [..., C] and bias [C]", x.shape(), residual.shape(), bias.shape());
  require(x.dtype() == residual.dtype() && x.dtype() == bias.dtype(), "add_bias_gelu: x is {}, residual {}, bias {}; one dtype is needed", x.dtype(),
          residual.dtype(), bias.dtype());
  same_device("add_bias_gelu", x, residual, bias);
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  if (kept) kept->hidden = x.context().empty(x.shape(), x.dtype());
  const int64_t n = x.shape().last();
  auto on_cpu = [&] {
    with_float(x.dtype(), "add_bias_gelu", [&]<class T>() {
      const T *px = x.data<T>(), *pr = residual.data<T>(), *pb = bias.data<T>();
      T *h = kept ? kept->hidden.data<T>() : nullptr, *out = y.data<T>();
      parallel_for(x.shape().rows(), std::max<int64_t>(1, grain / std::max<int64_t>(1, n)),
                   [&](int64_t begin, int64_t end) { add_bias_gelu_rows(px, pr, pb, h, out, begin, end, n); });
    });
  };
  on_device(x, on_cpu, [&] { cuda::add_bias_gelu(x, residual, bias, kept ? kept->hidden : Tensor(), y); });
  return y;
}

Grads<3> AddBiasGelu::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Grads<3> d;
  g = activation_backward(std::move(g), kept.hidden, Activation::gelu, need[2], d[2]);
  if (need[0]) d[0] = g;
  if (need[1]) d[1] = std::move(g);
  return d;
}

template struct Elementwise<math::Relu>;
template struct Elementwise<math::Gelu>;
template struct Elementwise<math::Silu>;
template struct Elementwise<math::Sigmoid>;
template struct Elementwise<math::Tanh>;
template struct Elementwise<math::Exp>;
template struct Elementwise<math::Log>;
template struct Elementwise<math::Scale>;
template struct Elementwise<math::AddScalar>;
template struct Elementwise2<math::Add>;
template struct Elementwise2<math::Sub>;
template struct Elementwise2<math::Mul>;
template struct Elementwise2<math::Div>;

}  // namespace alinea
