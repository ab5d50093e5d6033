// Group normalisation. Channels lie side by side, so a thread owns a channel over a run of steps; runs and channels of a group are joined in
// double by one block per group.
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

constexpr int64_t run = 64;                                  // steps

// The sizes of one call and where element (item, step, channel) and (item, run, channel) lie.
struct Layout {
  int64_t B, steps, C, groups;
  __device__ int64_t width() const { return C / groups; }
  __device__ int64_t group(int64_t item, int64_t c) const { return item * groups + c / width(); }
  __device__ int64_t last(int64_t k) const { return k * run + run < steps ? k * run + run : steps; }
  int64_t runs() const { return (steps + run - 1) / run; }
};

// Per run and channel, mean and Σ (x − mean)²; then per group, with all m_p and q_p of n_p values:
// μ = Σ n_p m_p / N,   σ² = Σ (q_p + n_p (m_p − μ)²) / N: nothing is lost where the mean is large.
template <class T>
void statistics(const Layout& l, const Tensor& x, const Tensor& mean, const Tensor& rstd, double eps) {
  Context& context = x.context();
  const int64_t runs = l.runs();
  const Tensor means = context.empty({l.B, runs, l.C}, x.dtype()), squares = context.empty({l.B, runs, l.C}, x.dtype());
  const T* in = x.data<T>();
  T *m = means.data<T>(), *q = squares.data<T>(), *mean_of = mean.data<T>(), *rstd_of = rstd.data<T>();
  each(context, means.count(), "group_norm", [=] __device__(int64_t i) {
    const int64_t c = i % l.C, k = i / l.C % runs, item = i / l.C / runs, begin = k * run, n = l.last(k) - begin;
    const T* at = in + (item * l.steps + begin) * l.C + c;
    T s = 0, square = 0;
    for (int64_t t = 0; t < n; ++t) s += at[t * l.C];
    s /= T(n);
    for (int64_t t = 0; t < n; ++t) square += (at[t * l.C] - s) * (at[t * l.C] - s);
    m[i] = s, q[i] = square;
  });
  each_row(context, l.B * l.groups, runs * l.C / l.groups, "group_norm", [=] __device__(int64_t r) {
    const int64_t width = l.width(), first = r / l.groups * runs * l.C + r % l.groups * width;
    const double total = double(l.steps) * double(width);
    auto place = [=](int64_t i) { return first + i / width * l.C + i % width; };
    auto size = [=](int64_t i) { return double(l.last(i / width) - i / width * run); };
    const double mu = over_row<double>(runs * width, Sum{}, [=](int64_t i) { return size(i) * double(m[place(i)]); }) / total;
    const double square = over_row<double>(runs * width, Sum{}, [=](int64_t i) {
      const double d = double(m[place(i)]) - mu;
      return double(q[place(i)]) + size(i) * d * d;
    });
    if (threadIdx.x == 0) mean_of[r] = T(mu), rstd_of[r] = T(1 / std::sqrt(square / total + eps));
  });
}

template <class T>
void scale(const Layout& l, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean, const Tensor& rstd, const Tensor& y) {
  const T *in = x.data<T>(), *w = weight.data<T>(), *b = bias.data<T>(), *m = mean.data<T>(), *s = rstd.data<T>();
  T* out = y.data<T>();
  each(x.context(), x.count(), "group_norm", [=] __device__(int64_t i) {
    const int64_t c = i % l.C, k = l.group(i / l.C / l.steps, c);
    out[i] = (in[i] - m[k]) * (s[k] * w[c]) + b[c];
  });
}

// Per item, run and channel: Σ g and Σ g x̂ (0 without x).
template <class T>
void run_sums(const Layout& l, const NormBackward& a, const Tensor& plain, const Tensor& normal) {
  const int64_t runs = l.runs();
  const T *g = a.g.data<T>(), *x = pointer<T>(a.x), *m = pointer<T>(a.mean), *s = pointer<T>(a.rstd);
  T *sums = plain.data<T>(), *products = normal.data<T>();
  each(a.g.context(), plain.count(), "group_norm backward", [=] __device__(int64_t i) {
    const int64_t c = i % l.C, k = i / l.C % runs, item = i / l.C / runs, j = l.group(item, c);
    T total = 0, product = 0;
    for (int64_t t = k * run; t < l.last(k); ++t) {
      const int64_t at = (item * l.steps + t) * l.C + c;
      total += g[at];
      if (x) product += g[at] * (x[at] - m[j]);
    }
    sums[i] = total, products[i] = x ? product * s[j] : T(0);
  });
}

template <class T>
void input_gradient(const Layout& l, const NormBackward& a, const Tensor& plain, const Tensor& normal) {
  Context& context = a.g.context();
  const Tensor mean_h = context.empty({l.B, l.groups}, a.g.dtype()), mean_hx = context.empty({l.B, l.groups}, a.g.dtype());
  const int64_t runs = l.runs();
  const T *g = a.g.data<T>(), *x = a.x.data<T>(), *w = a.weight.data<T>(), *m = a.mean.data<T>(), *s = a.rstd.data<T>(), *sums = plain.data<T>(), *products = normal.data<T>();
  T *h = mean_h.data<T>(), *hx = mean_hx.data<T>(), *dx = a.dx.data<T>();
  each_row(context, l.B * l.groups, runs * l.C / l.groups, "group_norm backward", [=] __device__(int64_t r) {
    const int64_t width = l.width(), channel = r % l.groups * width, first = r / l.groups * runs * l.C + channel;
    auto weighted = [=](const T* from, int64_t i) { return double(w[channel + i % width]) * double(from[first + i / width * l.C + i % width]); };
    const double n = double(l.steps) * double(width);
    const double total = over_row<double>(runs * width, Sum{}, [=](int64_t i) { return weighted(sums, i); });
    const double product = over_row<double>(runs * width, Sum{}, [=](int64_t i) { return weighted(products, i); });
    if (threadIdx.x == 0) h[r] = T(total / n), hx[r] = T(product / n);
  });
  each(context, a.g.count(), "group_norm backward", [=] __device__(int64_t i) {
    const int64_t c = i % l.C, k = l.group(i / l.C / l.steps, c);
    dx[i] = s[k] * (g[i] * w[c] - h[k] - (x[i] - m[k]) * s[k] * hx[k]);
  });
}

template <class T>
void parameter_gradients(const Layout& l, const NormBackward& a, const Tensor& plain, const Tensor& normal) {
  const T *sums = plain.data<T>(), *products = normal.data<T>();
  const int64_t C = l.C;
  const ColumnSums<T, 2> to{{pointer<T>(a.dweight), pointer<T>(a.dbias)}, {T(a.beta_weight), T(a.beta_bias)}};
  sum_columns<T, 2>(a.g.context(), l.B * l.runs(), C, "group_norm backward", to,
                    [=] __device__(int64_t r, int64_t c, T* s) { s[0] += products[r * C + c], s[1] += sums[r * C + c]; });
}

Layout layout_of(const Tensor& x, int64_t groups) { return {x.size(0), x.size(1), x.size(2), groups}; }

}  // namespace

void group_norm(const NormForward& a, int64_t groups, double eps) {
  const Layout l = layout_of(a.x, groups);
  with_float(a.x.dtype(), "group_norm", [&]<class T>() {
    statistics<T>(l, a.x, a.mean, a.rstd, eps);
    scale<T>(l, a.x, a.weight, a.bias, a.mean, a.rstd, a.y);
  });
}

void group_norm_backward(const NormBackward& a, int64_t groups) {
  const Layout l = layout_of(a.g, groups);
  const Shape runs{l.B, l.runs(), l.C};
  const Tensor plain = a.g.context().empty(runs, a.g.dtype()), normal = a.g.context().empty(runs, a.g.dtype());
  with_float(a.g.dtype(), "group_norm", [&]<class T>() {
    run_sums<T>(l, a, plain, normal);
    if (a.dx) input_gradient<T>(l, a, plain, normal);
    if (a.dweight || a.dbias) parameter_gradients<T>(l, a, plain, normal);
  });
}

}  // namespace alinea::cuda
