#include "engine/ops/group_norm.h"

#include <optional>
#include <vector>

#include "engine/core/device.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/recipe.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

// Per channel over steps begin … end-1: mean and Σ (x − mean)². Runs of 16 steps stay in the cache for their two passes; each run is
// merged into the totals: with n and k values, δ = run mean − mean:  mean += δ k / (n + k),  Σ² += run Σ² + δ² n k / (n + k).
template <class T>
ALINEA_KERNEL void moments(const T* x, int64_t C, T* mean, T* square, int64_t begin, int64_t end) {
  constexpr int64_t run = 16;
  for (int64_t first = begin; first < end; first += run) {
    const int64_t k = std::min(run, end - first), n = first - begin;
    const T part = T(k) / T(n + k), merge = T(n) * part;
    for (int64_t i = 0; i < C; i += lanes<T>) {
      const int64_t rest = C - i;
      const T* at = x + first * C + i;
      Vec<T> s{}, m2{};
      for (int64_t t = 0; t < k; ++t) s += load_up_to(at + t * C, rest);
      s *= T(1) / T(k);
      for (int64_t t = 0; t < k; ++t) {
        const Vec<T> d = load_up_to(at + t * C, rest) - s;
        m2 += d * d;
      }
      if (n > 0) {
        const Vec<T> before = load_up_to(mean + i, rest), d = s - before;
        m2 += load_up_to(square + i, rest) + d * d * merge;
        s = before + d * part;
      }
      store_up_to(mean + i, s, rest);
      store_up_to(square + i, m2, rest);
    }
  }
}

// y = (x − mean) ⊙ scale + bias, all per channel.
template <class T>
ALINEA_KERNEL void scale_steps(const T* x, int64_t C, const T* mean, const T* scale, const T* bias, T* y, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int64_t i = 0; i < C; i += lanes<T>) {
      const int64_t rest = C - i;
      store_up_to(y + t * C + i, (load_up_to(x + t * C + i, rest) - load_up_to(mean + i, rest)) * load_up_to(scale + i, rest) + load_up_to(bias + i, rest), rest);
    }
}

// Per channel over steps begin … end-1: Σ g and Σ g (x − mean), the latter only with x.
template <class T>
ALINEA_KERNEL void sum_steps(const T* g, const T* x, int64_t C, const T* mean, T* plain, T* centred, int64_t begin, int64_t end) {
  constexpr int64_t run = 16;
  for (int64_t first = begin; first < end; first += run) {
    const int64_t k = std::min(run, end - first);
    for (int64_t i = 0; i < C; i += lanes<T>) {
      const int64_t rest = C - i, at = first * C + i;
      Vec<T> a{}, b{};
      const Vec<T> m = x ? load_up_to(mean + i, rest) : Vec<T>{};
      for (int64_t t = 0; t < k; ++t) {
        const Vec<T> v = load_up_to(g + at + t * C, rest);
        a += v;
        if (x) b += v * (load_up_to(x + at + t * C, rest) - m);
      }
      store_up_to(plain + i, load_up_to(plain + i, rest) + a, rest);
      store_up_to(centred + i, load_up_to(centred + i, rest) + b, rest);
    }
  }
}

// dx = g ⊙ scale − (x − mean) ⊙ slope − shift, all per channel. dx may be g.
template <class T>
ALINEA_KERNEL void gradient_steps(const T* g, const T* x, int64_t C, const T* mean, const T* scale, const T* slope, const T* shift, T* dx, int64_t begin,
                                  int64_t end) {
  for (int64_t t = begin; t < end; ++t)
    for (int64_t i = 0; i < C; i += lanes<T>) {
      const int64_t rest = C - i, at = t * C + i;
      const Vec<T> d = load_up_to(x + at, rest) - load_up_to(mean + i, rest);
      store_up_to(dx + at, load_up_to(g + at, rest) * load_up_to(scale + i, rest) - d * load_up_to(slope + i, rest) - load_up_to(shift + i, rest), rest);
    }
}

// Calls f(part, begin, end) for equal parts of the steps, one per thread.
template <class F>
void for_parts(int parts, int64_t steps, F&& f) {
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) f(p, steps * p / parts, steps * (p + 1) / parts);
  });
}

// Mean and 1/√(variance + eps) of each group from its channels' moments, over parts of the steps.
template <class T>
void group_statistics(const std::vector<T>& means, const std::vector<T>& squares, int parts, int64_t steps, int64_t C, int64_t groups, double eps, T* mean,
                      T* rstd) {
  const int64_t width = C / groups;
  for (int64_t k = 0; k < groups; ++k) {
    double n = 0, m = 0, square = 0;
    for (int64_t p = 0; p < parts; ++p) {
      const double size = double(steps * (p + 1) / parts - steps * p / parts);
      for (int64_t c = k * width; c < (k + 1) * width && size > 0; ++c) {
        const double d = double(means[size_t(p * C + c)]) - m;
        square += double(squares[size_t(p * C + c)]) + d * d * n * size / (n + size);
        m += d * size / (n + size);
        n += size;
      }
    }
    mean[k] = T(m);
    rstd[k] = T(1 / std::sqrt(square / n + eps));
  }
}

}  // namespace

Tensor GroupNorm::forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const {
  same_device("group_norm", x, weight, bias);
  require(x.rank() == 3 && x.count() > 0, "group_norm: x is {}, it must be [B, T, C] with no size 0", x.shape());
  const int64_t B = x.size(0), steps = x.size(1), C = x.size(2);
  require(groups >= 1 && C % groups == 0, "group_norm: {} channels cannot be split into {} equal groups", C, groups);
  require(weight.shape() == Shape{C} && bias.shape() == Shape{C} && x.dtype() == weight.dtype() && x.dtype() == bias.dtype(),
          "group_norm: x is {} {}, weight {} {} and bias {} {}; weight and bias must be [C] and of x's dtype", x.dtype(), x.shape(), weight.dtype(),
          weight.shape(), bias.dtype(), bias.shape());
  Context& context = x.context();
  const Tensor y = context.empty(x.shape(), x.dtype()), mean = context.empty({B, groups}, x.dtype()), rstd = context.empty({B, groups}, x.dtype());
  auto on_cpu = [&] {
    with_float(x.dtype(), "group_norm", [&]<class T>() {
      const int parts = std::max(1, threads_for(steps, row_grain(C)));
      std::vector<T> means(size_t(parts * C)), squares(size_t(parts * C)), centre(static_cast<size_t>(C)), scale(static_cast<size_t>(C));
      for (int64_t b = 0; b < B; ++b) {
        const T* in = x.data<T>() + b * steps * C;
        T *m = mean.data<T>() + b * groups, *r = rstd.data<T>() + b * groups, *out = y.data<T>() + b * steps * C;
        for_parts(parts, steps, [&](int64_t p, int64_t begin, int64_t end) { moments(in, C, means.data() + p * C, squares.data() + p * C, begin, end); });
        group_statistics(means, squares, parts, steps, C, groups, eps, m, r);
        for (int64_t c = 0; c < C; ++c) {
          const int64_t k = c / (C / groups);
          centre[size_t(c)] = m[k], scale[size_t(c)] = r[k] * weight.data<T>()[c];
        }
        for_parts(parts, steps, [&](int64_t, int64_t begin, int64_t end) { scale_steps(in, C, centre.data(), scale.data(), bias.data<T>(), out, begin, end); });
      }
    });
  };
  on_device(x, on_cpu, [&] { cuda::group_norm({x, {}, {}, weight, bias, y, mean, rstd}, groups, eps); });
  if (kept && (kept->needs[0] || kept->needs[1])) {
    kept->x = x, kept->mean = mean, kept->rstd = rstd;
    if (kept->needs[0]) kept->weight = weight;
    leave_recipe(y, [op = *this, x, weight, bias] { return op.forward(x, weight, bias, nullptr); });
  }
  return y;
}

Grads<3> GroupNorm::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Context& context = g.context();
  const int64_t B = g.size(0), steps = g.size(1), C = g.size(2), width = C / groups;
  Grads<3> d;
  if (need[0]) d[0] = g.sole_owner() ? g : context.empty(g.shape(), g.dtype());
  auto target_of = [&](const Need& wanted) { return wanted ? std::optional(GradTarget(wanted, Shape{C}, g.dtype(), context)) : std::nullopt; };
  const auto to_weight = target_of(need[1]), to_bias = target_of(need[2]);
  if (to_weight) d[1] = to_weight->tensor;
  if (to_bias) d[2] = to_bias->tensor;
  auto on_cpu = [&] {
    with_float(g.dtype(), "group_norm", [&]<class T>() {
      const int parts = std::max(1, threads_for(steps, row_grain(C)));
      const bool use_x = need[0] || need[1];
      std::vector<T> centre(static_cast<size_t>(C)), scale(centre), slope(centre), shift(centre);
      std::vector<double> dweight(size_t(C), 0.0), dbias(size_t(C), 0.0);
      for (int64_t b = 0; b < B; ++b) {
        const T *gb = g.data<T>() + b * steps * C, *xb = use_x ? kept.x.data<T>() + b * steps * C : nullptr;
        const T *m = use_x ? kept.mean.data<T>() + b * groups : nullptr, *r = use_x ? kept.rstd.data<T>() + b * groups : nullptr;
        for (int64_t c = 0; c < C && use_x; ++c) centre[size_t(c)] = m[c / width];
        std::vector<T> plain(size_t(parts * C), T(0)), centred(size_t(parts * C), T(0));
        for_parts(parts, steps, [&](int64_t p, int64_t begin, int64_t end) { sum_steps(gb, xb, C, centre.data(), plain.data() + p * C, centred.data() + p * C, begin, end); });
        std::vector<double> mean_h(size_t(groups), 0.0), mean_hx(size_t(groups), 0.0);        // per group: mean of h and of h ⊙ x̂
        for (int64_t c = 0; c < C; ++c) {
          double sum = 0, sum_x = 0;
          for (int64_t p = 0; p < parts; ++p) sum += plain[size_t(p * C + c)], sum_x += centred[size_t(p * C + c)];
          const size_t k = size_t(c / width);
          if (use_x) sum_x *= r[k];
          dbias[size_t(c)] += sum, dweight[size_t(c)] += sum_x;
          if (!need[0]) continue;
          const double share = double(kept.weight.data<T>()[c]) / double(steps * width);
          mean_h[k] += share * sum, mean_hx[k] += share * sum_x;
        }
        if (!need[0]) continue;
        for (int64_t c = 0; c < C; ++c) {
          const size_t k = size_t(c / width), i = size_t(c);
          scale[i] = r[k] * kept.weight.data<T>()[c], slope[i] = T(mean_hx[k]) * r[k] * r[k], shift[i] = T(mean_h[k]) * r[k];
        }
        T* out = d[0].template data<T>() + b * steps * C;
        for_parts(parts, steps, [&](int64_t, int64_t begin, int64_t end) {
          gradient_steps(gb, xb, C, centre.data(), scale.data(), slope.data(), shift.data(), out, begin, end);
        });
      }
      auto collect = [&](const GradTarget& target, const std::vector<double>& sums) {
        T* to = target.tensor.data<T>();
        for (int64_t c = 0; c < C; ++c) to[c] = (target.beta == 0 ? T(0) : to[c]) + T(sums[size_t(c)]);
      };
      if (to_weight) collect(*to_weight, dweight);
      if (to_bias) collect(*to_bias, dbias);
    });
  };
  on_device(g, on_cpu, [&] {
    cuda::group_norm_backward({g, kept.x, kept.weight, kept.mean, kept.rstd, {}, d[0], d[1], d[2], to_weight ? to_weight->beta : 0, to_bias ? to_bias->beta : 0}, groups);
  });
  return d;
}

}  // namespace alinea
