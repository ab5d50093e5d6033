#include "engine/ops/latency.h"

#include <cmath>

#include "engine/core/denormals.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/beta_rows.h"
#include "engine/ops/cuda_losses.h"
#include "engine/ops/scan.h"

namespace alinea {

namespace {

// 1, 2, 3, …: the delays of the first vector's columns.
template <class T>
ALINEA_INLINE Vec<T> first_columns() {
  Vec<T> v;
  for (int64_t l = 0; l < lanes<T>; ++l) v[l] = T(l + 1);
  return v;
}

template <class T>
struct Moments {
  T mass, mean;                                             // Σ α, Σ j α
};
template <class T>
ALINEA_INLINE Moments<T> moments(const T* alpha, int64_t n) {
  Vec<T> mass{}, mean{}, column = first_columns<T>();
  for (int64_t j = 0; j < n; j += lanes<T>, column += T(lanes<T>)) {
    const Vec<T> a = load_some(alpha + j, n - j);
    mass += a, mean += a * column;
  }
  return {sum(mass), sum(mean)};
}

template <class T>
ALINEA_KERNEL void delay_rows(const T* alpha, T* delay, int64_t rows, int64_t S, int64_t n) {
  for (int64_t i = 0; i < rows; ++i) delay[i] = moments(alpha + i * S, n).mean;
}

template <class T>
ALINEA_KERNEL void delay_backward_rows(const T* g, T* d, int64_t rows, int64_t S, int64_t n) {
  for (int64_t i = 0; i < rows; ++i) {
    T* row = d + i * S;
    for (int64_t j = 0; j < n; j += lanes<T>) store_some(row + j, Vec<T>((first_columns<T>() + T(j)) * g[i]), n - j);
    for (int64_t j = n; j < S; ++j) row[j] = 0;
  }
}

// Σ_i V_i over the first rows.
template <class T>
ALINEA_KERNEL T variance_rows(const T* alpha, int64_t rows, int64_t S, int64_t n) {
  T total = 0;
  for (int64_t i = 0; i < rows; ++i, alpha += S) {
    const T mean = moments(alpha, n).mean;
    Vec<T> v{}, distance = first_columns<T>() - mean;
    for (int64_t j = 0; j < n; j += lanes<T>, distance += T(lanes<T>)) v += load_some(alpha + j, n - j) * distance * distance;
    total += sum(v);
  }
  return total;
}

template <class T>
ALINEA_KERNEL void variance_backward_rows(const T* alpha, T* d, T g, int64_t rows, int64_t valid, int64_t S, int64_t n) {
  for (int64_t i = 0; i < rows; ++i, alpha += S, d += S) {
    const int64_t end = i < valid ? n : 0;
    const auto [mass, mean] = moments(alpha, end);
    const T slope = 2 * mean * (1 - mass);
    Vec<T> column = first_columns<T>();
    for (int64_t j = 0; j < end; j += lanes<T>, column += T(lanes<T>)) {
      const Vec<T> distance = column - mean;
      store_some(d + j, Vec<T>((distance * distance - column * slope) * g), end - j);
    }
    for (int64_t j = end; j < S; ++j) d[j] = 0;
  }
}

void check_alignment(std::string_view op, const Tensor& alpha, const std::vector<int32_t>& source, const std::vector<int32_t>& target) {
  require(alpha.rank() == 4, "{}: alpha is {}; it must be [B, H, T, S]", op, alpha.shape());
  check_lengths(op, "source", source, alpha.size(0), alpha.size(3));
  check_lengths(op, "target", target, alpha.size(0), alpha.size(2));
}

// |X| may be in any number of columns (a policy on pooled columns reads fewer), but is always needed: delays alone do not tell it.
void check_delay(std::string_view op, const Tensor& delay, const std::vector<int32_t>& source, const std::vector<int32_t>& target) {
  require(delay.rank() == 3, "{}: delay is {}; it must be [B, H, T]", op, delay.shape());
  require(int64_t(source.size()) == delay.size(0), "{}: {} source lengths for a batch of {}; one per item is needed", op, source.size(), delay.size(0));
  for (const int32_t n : source) require(n >= 1, "{}: a source length is {}; it must be at least 1", op, n);
  check_lengths(op, "target", target, delay.size(0), delay.size(2));
}

// f(delays of a head, index of the head among all, |X|, |Y|)
template <class T, class F>
void each_head(const Tensor& delay, const std::vector<int32_t>& source, const std::vector<int32_t>& target, F&& f) {
  const int64_t H = delay.size(1), rows = delay.size(2);
  for (int64_t h = 0; h < delay.size(0) * H; ++h) f(delay.data<T>() + h * rows, h, double(source[size_t(h / H)]), length_of(target, h / H, rows));
}

// Rows up to and including the first whose delay reaches |X|.
template <class T>
int64_t rows_until_end(const T* d, double X, int64_t Y) {
  for (int64_t i = 0; i < Y; ++i)
    if (d[i] >= T(X)) return i + 1;
  return Y;
}

template <class T>
struct Weights {
  std::vector<T> w;
  T pooled = 0;
  Weights(const T* values, int64_t N) : w(size_t(N)) {
    T top = values[0], all = 0;
    for (int64_t h = 1; h < N; ++h) top = std::max(top, values[h]);
    for (int64_t h = 0; h < N; ++h) all += w[size_t(h)] = std::exp(values[h] - top);
    for (int64_t h = 0; h < N; ++h) pooled += (w[size_t(h)] /= all) * values[h];
  }
};

}  // namespace

Tensor ExpectedDelay::forward(const Tensor& alpha, Saved* kept) const {
  check_alignment("expected_delay", alpha, source_lengths, {});
  const int64_t B = alpha.size(0), H = alpha.size(1), rows = alpha.size(2), S = alpha.size(3);
  const Tensor delay = alpha.context().empty({B, H, rows}, alpha.dtype());
  auto on_cpu = [&] {
    with_float(alpha.dtype(), "expected_delay", [&]<class T>() {
      parallel_for(B * H, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        for (int64_t h = begin; h < end; ++h)
          delay_rows<T>(alpha.data<T>() + h * rows * S, delay.data<T>() + h * rows, rows, S, length_of(source_lengths, h / H, S));
      });
    });
  };
  on_device(alpha, on_cpu, [&] { cuda::expected_delay(alpha, source_lengths, delay); });
  if (kept) kept->columns = S;
  return delay;
}

Grads<1> ExpectedDelay::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const int64_t B = g.size(0), H = g.size(1), rows = g.size(2), S = kept.columns;
  const Tensor d = g.context().empty({B, H, rows, S}, g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "expected_delay", [&]<class T>() {
      parallel_for(B * H, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        for (int64_t h = begin; h < end; ++h)
          delay_backward_rows<T>(g.data<T>() + h * rows, d.data<T>() + h * rows * S, rows, S, length_of(source_lengths, h / H, S));
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::expected_delay_backward(g, source_lengths, d); });
  return {d};
}

Tensor AverageLagging::forward(const Tensor& delay, Saved* kept) const {
  check_delay("average_lagging", delay, source_lengths, target_lengths);
  const Tensor loss = delay.context().empty({delay.size(0), delay.size(1)}, delay.dtype());
  auto on_cpu = [&] {
    with_float(delay.dtype(), "average_lagging", [&]<class T>() {
      each_head<T>(delay, source_lengths, target_lengths, [&](const T* d, int64_t h, double X, int64_t Y) {
        const int64_t n = rows_until_end(d, X, Y);
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += d[i] - double(i) * X / double(Y);
        loss.data<T>()[h] = T(average ? sum / double(n) : sum);
      });
    });
  };
  on_device(delay, on_cpu, [&] { cuda::average_lagging(*this, delay, loss); });
  if (kept) kept->delay = delay;
  return loss;
}

Grads<1> AverageLagging::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const Tensor out = g.context().empty(kept.delay.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "average_lagging", [&]<class T>() {
      const int64_t rows = out.size(2);
      each_head<T>(kept.delay, source_lengths, target_lengths, [&](const T* d, int64_t h, double X, int64_t Y) {
        const int64_t n = rows_until_end(d, X, Y);
        T* to = out.data<T>() + h * rows;
        for (int64_t i = 0; i < rows; ++i) to[i] = i < n ? g.data<T>()[h] / (average ? T(n) : T(1)) : T(0);
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::average_lagging_backward(*this, kept.delay, g, out); });
  return {out};
}

Tensor DifferentiableAverageLagging::forward(const Tensor& delay, Saved* kept) const {
  check_delay("differentiable_average_lagging", delay, source_lengths, target_lengths);
  const Tensor loss = delay.context().empty({delay.size(0), delay.size(1)}, delay.dtype());
  auto on_cpu = [&] {
    with_float(delay.dtype(), "differentiable_average_lagging", [&]<class T>() {
      each_head<T>(delay, source_lengths, target_lengths, [&](const T* d, int64_t h, double X, int64_t Y) {
        const double step = X / double(Y);
        double delayed = d[0], sum = 0;
        for (int64_t i = 0; i < Y; ++i) {
          if (i > 0) delayed = std::max(double(d[i]), delayed + step);
          sum += delayed - double(i) * step;
        }
        loss.data<T>()[h] = T(sum / double(Y));
      });
    });
  };
  on_device(delay, on_cpu, [&] { cuda::differentiable_average_lagging(*this, delay, loss); });
  if (kept) kept->delay = delay;
  return loss;
}

Grads<1> DifferentiableAverageLagging::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const Tensor out = g.context().zeros(kept.delay.shape(), g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "differentiable_average_lagging", [&]<class T>() {
      const int64_t rows = out.size(2);
      each_head<T>(kept.delay, source_lengths, target_lengths, [&](const T* d, int64_t h, double X, int64_t Y) {
        const double step = X / double(Y);
        double delayed = d[0];
        int64_t winner = 0;                                   // the row whose own delay d'_i comes from
        T* to = out.data<T>() + h * rows;
        for (int64_t i = 0; i < Y; ++i) {
          if (i > 0 && double(d[i]) >= delayed + step) winner = i, delayed = d[i];
          else if (i > 0) delayed += step;
          to[winner] += g.data<T>()[h] / T(Y);
        }
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::differentiable_average_lagging_backward(*this, kept.delay, g, out); });
  return {out};
}

Tensor AlignmentVariance::forward(const Tensor& alpha, Saved* kept) const {
  check_alignment("alignment_variance", alpha, source_lengths, target_lengths);
  const int64_t B = alpha.size(0), H = alpha.size(1), rows = alpha.size(2), S = alpha.size(3);
  const Tensor variance = alpha.context().empty({B, H}, alpha.dtype());
  auto on_cpu = [&] {
    with_float(alpha.dtype(), "alignment_variance", [&]<class T>() {
      parallel_for(B * H, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        for (int64_t h = begin; h < end; ++h) {
          const int64_t Y = length_of(target_lengths, h / H, rows);
          variance.data<T>()[h] = variance_rows<T>(alpha.data<T>() + h * rows * S, Y, S, length_of(source_lengths, h / H, S)) / T(Y);
        }
      });
    });
  };
  on_device(alpha, on_cpu, [&] { cuda::alignment_variance(*this, alpha, variance); });
  if (kept) kept->alpha = alpha;
  return variance;
}

Grads<1> AlignmentVariance::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const Tensor d = g.context().empty(kept.alpha.shape(), g.dtype());
  const int64_t B = d.size(0), H = d.size(1), rows = d.size(2), S = d.size(3);
  auto on_cpu = [&] {
    with_float(g.dtype(), "alignment_variance", [&]<class T>() {
      parallel_for(B * H, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * S)), [&](int64_t begin, int64_t end) {
        const FlushDenormals flush;
        for (int64_t h = begin; h < end; ++h) {
          const int64_t Y = length_of(target_lengths, h / H, rows);
          variance_backward_rows<T>(kept.alpha.data<T>() + h * rows * S, d.data<T>() + h * rows * S, g.data<T>()[h] / T(Y), rows, Y, S,
                                    length_of(source_lengths, h / H, S));
        }
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::alignment_variance_backward(*this, kept.alpha, g, d); });
  return {d};
}

Tensor HeadPool::forward(const Tensor& values, Saved* kept) const {
  require(values.rank() == 2 && values.size(1) >= 1, "head_pool: values is {}; it must be [B, N] with N at least 1", values.shape());
  const int64_t B = values.size(0), N = values.size(1);
  const Tensor pooled = values.context().empty({B}, values.dtype());
  auto on_cpu = [&] {
    with_float(values.dtype(), "head_pool", [&]<class T>() {
      for (int64_t b = 0; b < B; ++b) {
        const T* v = values.data<T>() + b * N;
        T& y = pooled.data<T>()[b];
        if (method == HeadPooling::mean) {
          y = 0;
          for (int64_t h = 0; h < N; ++h) y += v[h] / T(N);
        } else {
          y = method == HeadPooling::max ? *std::max_element(v, v + N) : Weights<T>(v, N).pooled;
        }
      }
    });
  };
  on_device(values, on_cpu, [&] { cuda::head_pool(method, values, pooled); });
  if (kept) {
    kept->heads = N;
    if (method != HeadPooling::mean) kept->values = values;
  }
  return pooled;
}

Grads<1> HeadPool::backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const int64_t B = g.size(0), N = kept.heads;
  const Tensor out = g.context().empty({B, N}, g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "head_pool", [&]<class T>() {
      for (int64_t b = 0; b < B; ++b) {
        const T gb = g.data<T>()[b];
        T* d = out.data<T>() + b * N;
        if (method == HeadPooling::mean) {
          std::fill(d, d + N, gb / T(N));
          continue;
        }
        const T* v = kept.values.data<T>() + b * N;
        if (method == HeadPooling::max) {
          std::fill(d, d + N, T(0));
          d[std::max_element(v, v + N) - v] = gb;
          continue;
        }
        const Weights<T> w(v, N);
        for (int64_t h = 0; h < N; ++h) d[h] = gb * w.w[size_t(h)] * (method == HeadPooling::softmax ? 1 + v[h] - w.pooled : T(1));
      }
    });
  };
  on_device(g, on_cpu, [&] { cuda::head_pool_backward(method, kept.values, g, out); });
  return {out};
}

}  // namespace alinea
