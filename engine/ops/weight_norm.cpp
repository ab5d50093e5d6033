#include "engine/ops/weight_norm.h"

#include <cmath>
#include <vector>

#include "engine/core/device.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

// total[k] += Σ a[row, k] b[row, k] over rows begin … end-1.
template <class T>
ALINEA_KERNEL void tap_sums(const T* a, const T* b, int64_t K, double* total, int64_t begin, int64_t end) {
  constexpr int64_t block = 64;                             // rows summed in T before they join the total
  for (int64_t first = begin; first < end; first += block) {
    const int64_t last = std::min(end, first + block);
    for (int64_t k = 0; k < K; k += lanes<T>) {
      const int64_t rest = K - k;
      Vec<T> s{};
      for (int64_t r = first; r < last; ++r) s += load_up_to(a + r * K + k, rest) * load_up_to(b + r * K + k, rest);
      for (int64_t i = 0; i < std::min(rest, lanes<T>); ++i) total[k + i] += double(s[i]);
    }
  }
}

// y[row, k] = a[row, k] p[k] − b[row, k] q[k]; without b: a[row, k] p[k].
template <class T>
ALINEA_KERNEL void combine(const T* a, const T* p, const T* b, const T* q, T* y, int64_t K, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r)
    for (int64_t k = 0; k < K; k += lanes<T>) {
      const int64_t rest = K - k, at = r * K + k;
      Vec<T> v = load_up_to(a + at, rest) * load_up_to(p + k, rest);
      if (b) v -= load_up_to(b + at, rest) * load_up_to(q + k, rest);
      store_up_to(y + at, v, rest);
    }
}

template <class T>
std::vector<double> all_tap_sums(const T* a, const T* b, int64_t K, int64_t rows) {
  const int64_t parts = threads_for(rows, row_grain(K));
  std::vector<double> partial(size_t(parts * K), 0.0);
  parallel_for(parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) tap_sums(a, b, K, partial.data() + p * K, rows * p / parts, rows * (p + 1) / parts);
  });
  for (int64_t p = 1; p < parts; ++p)
    for (int64_t k = 0; k < K; ++k) partial[size_t(k)] += partial[size_t(p * K + k)];
  partial.resize(size_t(K));
  return partial;
}

template <class T>
void combine_rows(const T* a, const std::vector<T>& p, const T* b, const std::vector<T>& q, T* y, int64_t K, int64_t rows) {
  parallel_for(rows, row_grain(K), [&](int64_t begin, int64_t end) { combine(a, p.data(), b, q.data(), y, K, begin, end); });
}

}  // namespace

Tensor WeightNorm::forward(const Tensor& v, const Tensor& g, Saved* kept) const {
  same_device("weight_norm", v, g);
  require(v.rank() == 3 && g.shape() == Shape{1, 1, v.size(2)} && v.dtype() == g.dtype(),
          "weight_norm: v is {} {} and g {} {}; v must be [O, C, K] and g [1, 1, K] of one dtype", v.dtype(), v.shape(), g.dtype(), g.shape());
  const int64_t K = v.size(2), rows = v.size(0) * v.size(1);
  const Tensor w = v.context().empty(v.shape(), v.dtype()), lengths = v.context().empty({K}, DType::f64);
  auto on_cpu = [&] {
    with_float(v.dtype(), "weight_norm", [&]<class T>() {
      const T* in = v.data<T>();
      const std::vector<double> squares = all_tap_sums(in, in, K, rows);
      std::vector<T> scale(static_cast<size_t>(K));
      for (size_t k = 0; k < scale.size(); ++k) {
        double& length = lengths.data<double>()[k];
        length = std::sqrt(squares[k]);
        scale[k] = T(double(g.data<T>()[k]) / length);
      }
      combine_rows<T>(in, scale, nullptr, {}, w.data<T>(), K, rows);
    });
  };
  on_device(v, on_cpu, [&] { cuda::weight_norm(v, g, lengths, w); });
  if (kept) *kept = {kept->needs, v, g, lengths};
  return w;
}

Grads<2> WeightNorm::backward(Saved&& kept, Tensor&& d, const Needs<2>& need) const {
  d = d.compact();
  const int64_t K = d.size(2), rows = d.size(0) * d.size(1);
  Grads<2> grads;
  if (need[1]) grads[1] = d.context().empty(kept.g.shape(), d.dtype());
  if (need[0]) grads[0] = d.sole_owner() ? d : d.context().empty(d.shape(), d.dtype());
  auto on_cpu = [&] {
    with_float(d.dtype(), "weight_norm", [&]<class T>() {
      const T *v = kept.v.data<T>(), *g = kept.g.data<T>(), *dw = d.data<T>();
      const double* n = kept.lengths.data<double>();
      const std::vector<double> s = all_tap_sums(dw, v, K, rows);
      for (int64_t k = 0; k < K && need[1]; ++k) grads[1].template data<T>()[k] = T(s[size_t(k)] / n[k]);
      if (!need[0]) return;
      std::vector<T> scale(static_cast<size_t>(K)), along(scale);
      for (int64_t k = 0; k < K; ++k) {
        scale[size_t(k)] = T(double(g[k]) / n[k]);
        along[size_t(k)] = T(double(g[k]) * s[size_t(k)] / (n[k] * n[k] * n[k]));
      }
      combine_rows<T>(dw, scale, v, along, grads[0].template data<T>(), K, rows);
    });
  };
  on_device(d, on_cpu, [&] { cuda::weight_norm_backward(d, kept.v, kept.g, kept.lengths, grads[1], grads[0]); });
  return grads;
}

}  // namespace alinea
