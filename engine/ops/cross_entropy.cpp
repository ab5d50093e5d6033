#include "engine/ops/cross_entropy.h"

#include <limits>
#include <vector>

#include "engine/core/device.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

struct Weights {
  double target, all;                                       // a and b of the header
};

Weights weights(const CrossEntropy& op, int64_t V) {
  if (op.smoothing == 0) return {1, 0};
  if (op.convention == CrossEntropy::Convention::torch) return {1 - op.smoothing, op.smoothing / double(V)};
  const double share = op.smoothing / double(V - 1);
  return {1 - op.smoothing - share, share};
}

// log Σ e^x and, where asked for, Σ x of each row. Pieces that fit the first-level cache are read from memory once: each rescales the
// running sum to its own maximum when that is larger (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018).
template <class T>
ALINEA_KERNEL void sum_rows(const T* logits, const int64_t* target, int64_t ignored, T* log_total, double* sums, int64_t n, int64_t begin, int64_t end) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  constexpr int64_t piece = 2048;
  for (int64_t r = begin; r < end; ++r) {
    if (target[r] == ignored) {
      log_total[r] = T(0);
      continue;
    }
    T m = lowest;
    double total = 0, plain = 0;
    for (int64_t at = 0; at < n; at += piece) {
      const T* x = logits + r * n + at;
      const int64_t size = std::min(piece, n - at);
      Vec<T> top[2] = {splat(T(0)) + m, splat(T(0)) + m};
      int64_t i = 0;
      for (; i + 2 * lanes<T> <= size; i += 2 * lanes<T>) top[0] = max(top[0], load(x + i)), top[1] = max(top[1], load(x + i + lanes<T>));
      for (; i < size; i += lanes<T>) top[0] = max(top[0], load_up_to(x + i, size - i, lowest));
      const T old = m;
      m = max_of(max(top[0], top[1]));
      if (m == lowest) continue;
      if (m > old) total *= std::exp(double(old) - double(m));
      if (sums) plain += row_sum<T>(size, [&](int64_t k, int64_t rest) __attribute__((always_inline)) { return load_up_to(x + k, rest); });
      total += row_sum<T>(size, [&](int64_t k, int64_t rest) __attribute__((always_inline)) { return exp(load_up_to(x + k, rest, lowest) - m); });
    }
    log_total[r] = T(double(m) + std::log(total));
    if (sums) sums[r] = plain;
  }
}

template <class T>
ALINEA_KERNEL void gradient_rows(const T* logits, const int64_t* target, int64_t ignored, const T* log_total, T* out, double scale, Weights w, int64_t n,
                                 int64_t begin, int64_t end) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t r = begin; r < end; ++r) {
    const T* x = logits + r * n;
    T* d = out + r * n;
    if (target[r] == ignored) {
      for (int64_t i = 0; i < n; ++i) d[i] = T(0);
      continue;
    }
    const T shift = log_total[r], s = T(scale), b = T(scale * w.all);
    for (int64_t i = 0; i < n; i += lanes<T>) store_up_to(d + i, exp(load_up_to(x + i, n - i, lowest) - shift) * s - b, n - i);
    d[target[r]] -= T(scale * w.target);
  }
}

Tensor checked_target(const CrossEntropy& op, const Tensor& logits, const Tensor& target) {
  require(op.reduction != Reduction::none, "cross_entropy: reduction none is not offered; use mean or sum");
  require(op.smoothing >= 0 && op.smoothing < 1, "cross_entropy: smoothing is {}, it must lie in 0 ... 1, 1 excluded", op.smoothing);
  const bool fits = logits.rank() >= 1 && target && target.count() == logits.shape().rows() && target.rank() == logits.rank() - 1;
  require(fits && logits.shape().last() >= 1, "cross_entropy: logits are {} and the target {}; the target must be the logits' shape without the last axis",
          logits.shape(), target ? target.shape() : Shape{});
  require(op.smoothing == 0 || op.convention == CrossEntropy::Convention::torch || logits.shape().last() > 1,
          "cross_entropy: smoothing after fairseq needs at least 2 classes, the logits are {}", logits.shape());
  const Tensor ids = target.to(DType::i64).compact().to(Context::cpu());
  const int64_t* t = ids.data<int64_t>();
  for (int64_t r = 0; r < ids.count(); ++r)
    require_data(t[r] == op.ignore_index || (t[r] >= 0 && t[r] < logits.shape().last()),
                 "cross_entropy: target {} of row {} is not one of {} classes; use ignore_index ({}) for rows that don't count", t[r], r, logits.shape().last(),
                 op.ignore_index);
  return ids;
}

}  // namespace

Tensor CrossEntropy::forward(const Tensor& logits, const Tensor& target, Saved* kept) const {
  const Tensor ids = checked_target(*this, logits, target);
  const int64_t rows = logits.shape().rows(), n = logits.shape().last();
  const Weights w = weights(*this, n);
  const Tensor log_total = logits.context().empty(Shape{rows}, logits.dtype()), loss = logits.context().empty(Shape{}, logits.dtype());
  const int64_t* t = ids.data<int64_t>();
  const int64_t counted = rows - std::count(t, t + rows, ignore_index);
  const double factor = reduction == Reduction::sum || counted == 0 ? 1 : 1 / double(counted);
  auto on_cpu = [&] {
    with_float(logits.dtype(), "cross_entropy", [&]<class T>() {
      const T* x = logits.data<T>();
      T* z = log_total.data<T>();
      std::vector<double> sums(w.all == 0 ? 0 : size_t(rows));
      parallel_for(rows, row_grain(4 * n), [&](int64_t begin, int64_t end) {
        sum_rows(x, t, ignore_index, z, sums.empty() ? nullptr : sums.data(), n, begin, end);
      });
      double total = 0;
      for (int64_t r = 0; r < rows; ++r) {
        if (t[r] == ignore_index) continue;
        total += w.target * (double(z[r]) - double(x[r * n + t[r]]));
        if (w.all != 0) total += w.all * (double(n) * double(z[r]) - sums[size_t(r)]);
      }
      *loss.data<T>() = T(factor * total);
    });
  };
  const Tensor used = ids.to(logits.context());
  on_device(logits, on_cpu, [&] { cuda::cross_entropy({logits, used, log_total, ignore_index, w.target, w.all}, factor, loss); });
  if (kept) *kept = {logits, used, log_total, counted};
  return loss;
}

Grads<2> CrossEntropy::backward(Saved&& kept, Tensor&& g, const Needs<2>&) const {
  const Tensor& x = kept.logits;
  const int64_t n = x.shape().last();
  const double factor = reduction == Reduction::sum ? 1.0 : 1 / double(std::max<int64_t>(1, kept.counted));
  const Weights w = weights(*this, n);
  const Tensor d = x.sole_owner() ? x : x.context().empty(x.shape(), x.dtype());
  auto on_cpu = [&] {
    with_float(x.dtype(), "cross_entropy", [&]<class T>() {
      const T *in = x.data<T>(), *z = kept.log_total.data<T>();
      const int64_t* t = kept.target.data<int64_t>();
      T* out = d.data<T>();
      const double scale = g.item() * factor;
      parallel_for(x.shape().rows(), row_grain(4 * n), [&](int64_t begin, int64_t end) { gradient_rows(in, t, ignore_index, z, out, scale, w, n, begin, end); });
    });
  };
  on_device(x, on_cpu, [&] { cuda::cross_entropy_backward({x, kept.target, kept.log_total, ignore_index, w.target, w.all}, g.compact(), factor, d); });
  return {d, {}};
}

}  // namespace alinea
