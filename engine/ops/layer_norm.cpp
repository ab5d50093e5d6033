#include "engine/ops/layer_norm.h"

#include <optional>
#include <vector>

#include "engine/core/device.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/recipe.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

template <class T>
struct ForwardRows {
  const T *x, *residual, *weight, *bias;                    // residual: may be null
  T *sum, *y, *mean, *rstd;                                 // sum: where x + residual goes; mean, rstd: may be null
  int64_t n;
  T eps;
};

template <class T>
ALINEA_KERNEL void forward_rows(const ForwardRows<T> a, int64_t begin, int64_t end) {
  const int64_t n = a.n;
  for (int64_t r = begin; r < end; ++r) {
    const T* x = a.x + r * n;
    if (a.residual) {
      T* s = a.sum + r * n;
      for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(s + i, load_up_to(x + i, n - i) + load_up_to(a.residual + r * n + i, n - i), n - i);
      x = s;
    }
    const T mean = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return load_up_to(x + i, rest); }) / T(n);
    const T square = row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) {
      const Vec<T> d = load_up_to(x + i, rest, mean) - mean;
      return d * d;
    });
    const T rstd = T(1) / std::sqrt(square / T(n) + a.eps);
    for (int64_t i = 0; i < n; i += lanes<T>) {
      const int64_t rest = n - i;
      const Vec<T> normal = (load_up_to(x + i, rest) - mean) * rstd;
      store_up_to(a.y + r * n + i, normal * load_up_to(a.weight + i, rest) + load_up_to(a.bias + i, rest), rest);
    }
    if (a.mean) a.mean[r] = mean, a.rstd[r] = rstd;
  }
}

template <class T>
struct BackwardRows {
  const T *g, *x, *weight, *mean, *rstd, *add;              // x, weight: may be null when not needed; add: joins dx, may be null
  T* dx;                                                    // may be null, may be g or add
  int64_t n;
};

// dx of rows begin … end-1; adds their Σ g ⊙ x̂ and Σ g to dweight and dbias where these are not null.
template <class T>
ALINEA_KERNEL void backward_rows(const BackwardRows<T> a, T* dweight, T* dbias, int64_t begin, int64_t end) {
  const int64_t n = a.n;
  for (int64_t r = begin; r < end; ++r) {
    const T *g = a.g + r * n, *x = a.x ? a.x + r * n : nullptr;
    const T mean = x ? a.mean[r] : T(0), rstd = x ? a.rstd[r] : T(0);
    Vec<T> sum_h{}, sum_hx{};
    for (int64_t i = 0; i < n; i += lanes<T>) {
      const int64_t rest = n - i;
      const Vec<T> gi = load_up_to(g + i, rest);
      if (dbias) store_up_to(dbias + i, load_up_to(dbias + i, rest) + gi, rest);
      if (!x) continue;
      const Vec<T> normal = (load_up_to(x + i, rest) - mean) * rstd;
      if (dweight) store_up_to(dweight + i, load_up_to(dweight + i, rest) + gi * normal, rest);
      if (a.dx) {
        const Vec<T> h = gi * load_up_to(a.weight + i, rest);
        sum_h += h, sum_hx += h * normal;
      }
    }
    if (!a.dx) continue;
    const T mean_h = sum(sum_h) / T(n), mean_hx = sum(sum_hx) / T(n);
    for (int64_t i = 0; i < n; i += lanes<T>) {
      const int64_t rest = n - i;
      const Vec<T> normal = (load_up_to(x + i, rest) - mean) * rstd, h = load_up_to(g + i, rest) * load_up_to(a.weight + i, rest);
      Vec<T> d = (h - mean_h - normal * mean_hx) * rstd;
      if (a.add) d += load_up_to(a.add + r * n + i, rest);
      store_up_to(a.dx + r * n + i, d, rest);
    }
  }
}

void check(const Tensor& x, const Tensor& weight, const Tensor& bias, std::string_view op) {
  same_device(op, x, weight, bias);
  require(x.rank() >= 1 && x.shape().last() >= 1 && weight.shape() == Shape{x.shape().last()} && bias.shape() == weight.shape(),
          "{}: x is {}, weight {} and bias {}; weight and bias must be [C] with C the last axis of x, at least 1", op, x.shape(), weight.shape(), bias.shape());
  require(x.dtype() == weight.dtype() && x.dtype() == bias.dtype(), "{}: x is {}, weight {} and bias {}; all must have one dtype", op, x.dtype(),
          weight.dtype(), bias.dtype());
}

// y of both ops; fills sum when there is a residual, mean and rstd when they are there.
Tensor normalise(const Tensor& x, const Tensor& residual, const Tensor& sum, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& rstd,
                 double eps, std::string_view op) {
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  auto on_cpu = [&] {
    with_float(x.dtype(), op, [&]<class T>() {
      auto at = [](const Tensor& t) { return t ? t.data<T>() : nullptr; };
      const ForwardRows<T> rows{at(x), at(residual), at(weight), at(bias), at(sum), at(y), at(mean), at(rstd), x.shape().last(), T(eps)};
      parallel_for(x.shape().rows(), row_grain(rows.n), [&](int64_t begin, int64_t end) { forward_rows(rows, begin, end); });
    });
  };
  on_device(x, on_cpu, [&] { cuda::layer_norm({x, residual, sum, weight, bias, y, mean, rstd}, eps); });
  return y;
}

// Gradients of the norm: returns dx (+ add) when wanted, writes dweight and dbias by their Need.
Tensor differentiate(Tensor&& g, Tensor&& add, const Tensor& x, const Tensor& weight, const Tensor& mean, const Tensor& rstd, bool want_dx,
                     const Need& need_weight, const Need& need_bias, Tensor& dweight, Tensor& dbias, std::string_view op) {
  g = g.compact();
  if (add) add = add.compact();
  Context& context = g.context();
  const int64_t rows = g.shape().rows(), n = g.shape().last();
  Tensor dx;
  if (want_dx) dx = g.sole_owner() ? g : add && add.sole_owner() ? add : context.empty(g.shape(), g.dtype());
  auto target_of = [&](const Need& need) { return need ? std::optional(GradTarget(need, Shape{n}, g.dtype(), context)) : std::nullopt; };
  const auto to_weight = target_of(need_weight), to_bias = target_of(need_bias);
  if (to_weight) dweight = to_weight->tensor;
  if (to_bias) dbias = to_bias->tensor;
  auto on_cpu = [&] {
    with_float(g.dtype(), op, [&]<class T>() {
      auto at = [](const Tensor& t) { return t ? t.data<T>() : nullptr; };
      const BackwardRows<T> a{at(g), want_dx || need_weight ? at(x) : nullptr, at(weight), at(mean), at(rstd), at(add), at(dx), n};
      const int parts = threads_for(rows, row_grain(n));
      std::vector<T> partial(size_t(2 * parts * n), T(0));  // per thread Σ g ⊙ x̂ and Σ g, added in order
      parallel_for(parts, 1, [&](int64_t first, int64_t last) {
        for (int64_t p = first; p < last; ++p) {
          T* sums = partial.data() + 2 * p * n;
          backward_rows(a, need_weight ? sums : nullptr, need_bias ? sums + n : nullptr, rows * p / parts, rows * (p + 1) / parts);
        }
      });
      auto collect = [&](const GradTarget& target, int64_t offset) {
        T* to = target.tensor.data<T>();
        for (int64_t i = 0; i < n; ++i) {
          T s = target.beta == 0 ? T(0) : to[i];
          for (int p = 0; p < parts; ++p) s += partial[size_t(2 * p * n + offset + i)];
          to[i] = s;
        }
      };
      if (to_weight) collect(*to_weight, 0);
      if (to_bias) collect(*to_bias, n);
    });
  };
  on_device(g, on_cpu, [&] {
    cuda::layer_norm_backward({g, x, weight, mean, rstd, add, dx, dweight, dbias, to_weight ? to_weight->beta : 0, to_bias ? to_bias->beta : 0});
  });
  return dx;
}

}  // namespace

Tensor LayerNorm::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  check(x, weight, bias, "layer_norm");
  if (kept && (kept->needs[0] || kept->needs[1])) {
    kept->x = x;
    if (kept->needs[0]) kept->weight = weight;
    kept->mean = x.context().empty(Shape{x.shape().rows()}, x.dtype());
    kept->rstd = x.context().empty(Shape{x.shape().rows()}, x.dtype());
  }
  const Tensor y = normalise(x, {}, {}, weight, bias, kept ? kept->mean : Tensor(), kept ? kept->rstd : Tensor(), eps, "layer_norm");
  if (kept && kept->x) leave_recipe(y, [op = *this, x, weight, bias] { return op.forward(x, weight, bias, nullptr); });
  return y;
}

Grads<3> LayerNorm::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  Grads<3> d;
  d[0] = differentiate(std::move(g), {}, kept.x, kept.weight, kept.mean, kept.rstd, bool(need[0]), need[1], need[2], d[1], d[2], "layer_norm");
  return d;
}

std::array<Tensor, 2> ResidualLayerNorm::forward(const Tensor& x, const Tensor& residual, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  check(x, weight, bias, "residual_layer_norm");
  require(residual.shape() == x.shape() && residual.dtype() == x.dtype(), "residual_layer_norm: x is {} {} and residual is {} {}; they must be equal",
          x.dtype(), x.shape(), residual.dtype(), residual.shape());
  same_device("residual_layer_norm", x, residual);
  const Tensor sum = x.context().empty(x.shape(), x.dtype());
  if (kept && (kept->needs[0] || kept->needs[1] || kept->needs[2])) {
    kept->sum = sum;
    if (kept->needs[0] || kept->needs[1]) kept->weight = weight;
    kept->mean = x.context().empty(Shape{x.shape().rows()}, x.dtype());
    kept->rstd = x.context().empty(Shape{x.shape().rows()}, x.dtype());
  }
  const Tensor y = normalise(x, residual, sum, weight, bias, kept ? kept->mean : Tensor(), kept ? kept->rstd : Tensor(), eps, "residual_layer_norm");
  if (kept && kept->sum) leave_recipe(y, [norm = LayerNorm{eps}, sum, weight, bias] { return norm.forward(sum, weight, bias, nullptr); });
  return {sum, y};
}

Grads<4> ResidualLayerNorm::backward(Saved&& kept, std::array<Tensor, 2>&& g, const Needs<4>& need) const {
  Grads<4> d;
  const bool want_dx = need[0] || need[1];
  Tensor dx;
  if (g[1]) {
    dx = differentiate(std::move(g[1]), want_dx ? std::move(g[0]) : Tensor(), kept.sum, kept.weight, kept.mean, kept.rstd, want_dx, need[2], need[3], d[2],
                       d[3], "residual_layer_norm");
  } else {
    dx = std::move(g[0]);                                   // nothing used the norm: the sum hands its gradient on
  }
  if (need[0]) d[0] = dx;
  if (need[1]) d[1] = std::move(dx);
  return d;
}

}  // namespace alinea
