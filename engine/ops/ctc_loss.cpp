#include "engine/ops/ctc_loss.h"

#include <cmath>
#include <limits>

#include "engine/core/device.h"
#include "engine/ops/cuda_losses.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

constexpr double impossible = -std::numeric_limits<double>::infinity();

// log(e^a + e^b) and log(e^a + e^b + e^c). The largest gives 1 to the sum, so it needs no exponential.
double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == impossible ? a : a + std::log(1 + std::exp(b - a));
}
double log_add(double a, double b, double c) {
  if (a < b) std::swap(a, b);
  if (a < c) std::swap(a, c);
  return a == impossible ? a : a + std::log(1 + std::exp(b - a) + std::exp(c - a));
}

// log Σ e^x of each frame.
template <class T>
ALINEA_KERNEL void total_rows(const T* logits, double* log_total, int64_t V, int64_t frames) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t t = 0; t < frames; ++t) {
    const T* x = logits + t * V;
    Vec<T> top = splat(T(0)) + lowest;
    for (int64_t i = 0; i < V; i += lanes<T>) top = max(top, load_up_to(x + i, V - i, lowest));
    const T m = max_of(top);
    const T total = row_sum<T>(V, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return exp(load_up_to(x + i, rest, lowest) - m); });
    log_total[t] = double(m) + std::log(double(total));
  }
}

// e^{x − log_total} times g.
template <class T>
ALINEA_KERNEL void softmax_row(const T* x, T log_total, T* out, T g, int64_t V) {
  constexpr T lowest = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < V; i += lanes<T>) store_up_to(out + i, exp(load_up_to(x + i, V - i, lowest) - log_total) * g, V - i);
}

// One item: its frames, and the states l' of its target.
template <class T>
struct Item {
  const T* logits;
  const double* log_total;
  int64_t frames, V;
  std::vector<int64_t> states;

  int64_t count() const { return int64_t(states.size()); }
  double log_y(int64_t t, int64_t s) const { return double(logits[t * V + states[size_t(s)]]) - log_total[t]; }
  // Whether a path may go from state s − 2 to s: not into a blank (even s), not between equal labels.
  bool skips(int64_t s) const { return s >= 2 && s % 2 == 1 && states[size_t(s)] != states[size_t(s - 2)]; }

  // log α, [frames, count]; returns log P.
  double forward(double* alpha) const {
    const int64_t S = count();
    if (frames == 0) return S == 1 ? 0 : impossible;
    for (int64_t s = 0; s < S; ++s) alpha[s] = s < 2 ? log_y(0, s) : impossible;
    for (int64_t t = 1; t < frames; ++t) {
      const double* before = alpha + (t - 1) * S;
      double* now = alpha + t * S;
      for (int64_t s = 0; s < S; ++s)
        now[s] = log_y(t, s) + (skips(s) ? log_add(before[s], before[s - 1], before[s - 2]) : s >= 1 ? log_add(before[s], before[s - 1]) : before[0]);
    }
    const double* last = alpha + (frames - 1) * S;
    return S == 1 ? last[0] : log_add(last[S - 1], last[S - 2]);
  }

  // d_t(v) = g · (y_t(v) − Σ_{s: l'_s = v} α_t(s) β_t(s) / P), last frame first. d may be the logits: frame t is read before it is written.
  void backward(const double* alpha, double log_p, T* d, double g) const {
    const int64_t S = count();
    std::vector<double> beta(size_t(S), impossible), next(size_t(S) + 1, impossible);       // next: β_{t+1} y_{t+1}, one state beyond the end
    for (int64_t t = frames - 1; t >= 0; --t) {
      for (int64_t s = 0; s < S; ++s) {
        const size_t i = size_t(s);
        if (t == frames - 1) beta[i] = s >= S - 2 ? 0 : impossible;
        else beta[i] = s + 2 < S && skips(s + 2) ? log_add(next[i], next[i + 1], next[i + 2]) : log_add(next[i], next[i + 1]);
      }
      for (int64_t s = 0; s < S; ++s) next[size_t(s)] = beta[size_t(s)] + log_y(t, s);
      softmax_row(logits + t * V, T(log_total[t]), d + t * V, T(g), V);
      for (int64_t s = 0; s < S; ++s) d[t * V + states[size_t(s)]] -= T(g * std::exp(alpha[t * S + s] + beta[size_t(s)] - log_p));
    }
  }
};

template <class T>
Item<T> item_of(const CtcLoss& op, const Tensor& logits, const Tensor& target, const Tensor& log_total, int64_t b) {
  const int64_t frames = logits.size(1), V = logits.size(2), L = target.size(1);
  Item<T> item{logits.data<T>() + b * frames * V, log_total.data<double>() + b * frames, op.input_lengths[size_t(b)], V, {}};
  const int64_t* labels = target.data<int64_t>() + b * L;
  for (int64_t k = 0; k < op.target_lengths[size_t(b)]; ++k) {
    item.states.push_back(op.blank);
    item.states.push_back(labels[k]);
  }
  item.states.push_back(op.blank);
  return item;
}

Tensor checked_target(const CtcLoss& op, const Tensor& logits, const Tensor& target) {
  require(logits.rank() == 3 && target && target.rank() == 2 && target.size(0) == logits.size(0), "ctc_loss: logits are {} and the target {}; [B, T, V] and [B, L] are needed",
          logits.shape(), target ? target.shape() : Shape{});
  const int64_t B = logits.size(0), V = logits.size(2);
  require(int64_t(op.input_lengths.size()) == B && int64_t(op.target_lengths.size()) == B, "ctc_loss: {} input lengths and {} target lengths for a batch of {}",
          op.input_lengths.size(), op.target_lengths.size(), B);
  require(op.blank >= 0 && op.blank < V, "ctc_loss: blank {} is not one of {} classes", op.blank, V);
  const Tensor labels = target.to(DType::i64).compact().to(Context::cpu());
  for (int64_t b = 0; b < B; ++b) {
    const int64_t frames = op.input_lengths[size_t(b)], length = op.target_lengths[size_t(b)];
    require_data(frames >= 0 && frames <= logits.size(1) && length >= 0 && length <= target.size(1),
                 "ctc_loss: item {} has {} frames and {} labels, the tensors hold {} and {}", b, frames, length, logits.size(1), target.size(1));
    const int64_t* l = labels.data<int64_t>() + b * target.size(1);
    for (int64_t k = 0; k < length; ++k)
      require_data(l[k] >= 0 && l[k] < V && l[k] != op.blank, "ctc_loss: label {} of item {} is {}; labels lie in 0 ... {} and are not blank ({}), drop it from the target",
                   k, b, l[k], V - 1, op.blank);
  }
  return labels;
}

// What each item's loss counts in the result.
std::vector<double> weights(const CtcLoss& op) {
  std::vector<double> w(op.target_lengths.size(), 1.0);
  for (size_t b = 0; b < w.size() && op.reduction == Reduction::mean; ++b) w[b] = 1.0 / (double(std::max<int32_t>(1, op.target_lengths[b])) * double(w.size()));
  return w;
}

}  // namespace

Tensor CtcLoss::forward(const Tensor& logits, const Tensor& target, Saved* kept) const {
  const Tensor labels = checked_target(*this, logits, target);
  Context& context = logits.context();
  const int64_t B = logits.size(0), frames = logits.size(1), V = logits.size(2), S = 2 * target.size(1) + 1;
  const Tensor log_total = context.empty({B, frames}, DType::f64), log_alpha = context.empty({B, frames, S}, DType::f64), losses = context.empty({B}, DType::f64);
  const Tensor loss = context.empty(reduction == Reduction::none ? Shape{B} : Shape{}, logits.dtype());
  const std::vector<double> weight = weights(*this);
  auto on_cpu = [&] {
    with_float(logits.dtype(), "ctc_loss", [&]<class T>() {
      double* p = losses.data<double>();
      parallel_for(B, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          total_rows(logits.data<T>() + b * frames * V, log_total.data<double>() + b * frames, V, int64_t(input_lengths[size_t(b)]));
          p[b] = -item_of<T>(*this, logits, labels, log_total, b).forward(log_alpha.data<double>() + b * frames * S);
        }
      });
      double total = 0;
      for (int64_t b = 0; b < B; ++b) {
        const double value = zero_infinity && std::isinf(p[b]) ? 0 : p[b];
        if (reduction == Reduction::none) loss.data<T>()[b] = T(value);
        total += value * weight[size_t(b)];
      }
      if (reduction != Reduction::none) *loss.data<T>() = T(total);
    });
  };
  on_device(logits, on_cpu, [&] { cuda::ctc_loss(*this, {logits, labels, log_total, log_alpha, losses}, weight, loss); });
  if (kept) *kept = {logits, labels, log_total, log_alpha, losses};
  return loss;
}

Grads<2> CtcLoss::backward(Saved&& kept, Tensor&& g, const Needs<2>&) const {
  const Tensor& x = kept.logits;
  const int64_t B = x.size(0), frames = x.size(1), V = x.size(2), S = kept.log_alpha.size(2);
  const Tensor d = x.sole_owner() ? x : x.context().empty(x.shape(), x.dtype());
  const std::vector<double> weight = weights(*this);
  auto on_cpu = [&] {
    const std::vector<double> upstream = g.values<double>();
    with_float(x.dtype(), "ctc_loss", [&]<class T>() {
      parallel_for(B, 1, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) {
          T *first = d.data<T>() + b * frames * V, *padding = first + input_lengths[size_t(b)] * V;
          const double loss = kept.losses.data<double>()[b], scale = upstream[reduction == Reduction::none ? size_t(b) : 0] * weight[size_t(b)];
          if (std::isinf(loss)) std::fill(first, padding, zero_infinity ? T(0) : std::numeric_limits<T>::quiet_NaN());
          else item_of<T>(*this, x, kept.target, kept.log_total, b).backward(kept.log_alpha.data<double>() + b * frames * S, -loss, first, scale);
          std::fill(padding, first + frames * V, T(0));
        }
      });
    });
  };
  on_device(x, on_cpu, [&] { cuda::ctc_loss_backward(*this, {x, kept.target, kept.log_total, kept.log_alpha, kept.losses}, weight, g.compact(), d); });
  return {d, {}};
}

}  // namespace alinea
