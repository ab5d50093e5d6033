#include "engine/ops/contrastive_loss.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/device.h"
#include "engine/ops/cuda_losses.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

constexpr double shortest = 1e-8;                            // ε
constexpr double left_out = -std::numeric_limits<double>::infinity();

template <class T>
ALINEA_INLINE T dot(const T* a, const T* b, int64_t n) {
  return row_sum<T>(n, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return load_up_to(a + i, rest) * load_up_to(b + i, rest); });
}

// unit = v / max(|v|, ε) of rows begin … end-1.
template <class T>
ALINEA_KERNEL void unit_rows(const T* v, T* unit, double* lengths, int64_t P, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    lengths[r] = std::max(std::sqrt(double(dot(v + r * P, v + r * P, P))), shortest);
    const T rate = T(1 / lengths[r]);
    for (int64_t i = 0; i < P; i += lanes<T>) store_up_to(unit + r * P + i, load_up_to(v + r * P + i, P - i) * rate, P - i);
  }
}

// The candidates of frame n: itself, then its negatives.
struct Candidates {
  int64_t frame;
  const int64_t* negatives;
  int64_t operator[](int64_t k) const { return k == 0 ? frame : negatives[k - 1]; }
};

// Products x̂_n·q̂_j for all candidates.
template <class T>
ALINEA_KERNEL void similarities(const T* states, const T* targets, Candidates c, int64_t K, int64_t P, double* out) {
  for (int64_t k = 0; k <= K; ++k) out[k] = double(dot(states + c.frame * P, targets + c[k] * P, P));
}

// to += Σ_k w_k q̂_{c_k}.
template <class T>
ALINEA_KERNEL void add_targets(const T* targets, Candidates c, const T* weights, int64_t K, int64_t P, T* to) {
  for (int64_t k = 0; k <= K; ++k) {
    const T* q = targets + c[k] * P;
    for (int64_t i = 0; i < P; i += lanes<T>) store_up_to(to + i, load_up_to(to + i, P - i) + load_up_to(q + i, P - i) * weights[k], P - i);
  }
}
// d_{c_k} += w_k x̂_n, columns begin … end-1.
template <class T>
ALINEA_KERNEL void add_state(const T* states, Candidates c, const T* weights, int64_t K, int64_t P, T* d, int64_t begin, int64_t end) {
  const T* x = states + c.frame * P;
  for (int64_t k = 0; k <= K; ++k) {
    T* to = d + c[k] * P;
    for (int64_t i = begin; i < end; i += lanes<T>) store_up_to(to + i, load_up_to(to + i, end - i) + load_up_to(x + i, end - i) * weights[k], end - i);
  }
}

// dv = (dv̂ − (dv̂·v̂) v̂) / |v|, in place; a v no longer than ε was only divided by ε.
template <class T>
ALINEA_KERNEL void through_unit(const T* unit, const double* lengths, T* d, int64_t P, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T along = lengths[r] > shortest ? dot(unit + r * P, d + r * P, P) : T(0), rate = T(1 / lengths[r]);
    for (int64_t i = 0; i < P; i += lanes<T>)
      store_up_to(d + r * P + i, (load_up_to(d + r * P + i, P - i) - load_up_to(unit + r * P + i, P - i) * along) * rate, P - i);
  }
}

// −log softmax at the first of K + 1 scores; the scores become softmax − [first].
double first_of(double* s, int64_t K) {
  double m = s[0], total = 0;
  for (int64_t k = 1; k <= K; ++k) m = std::max(m, s[k]);
  for (int64_t k = 0; k <= K; ++k) total += std::exp(s[k] - m);
  const double loss = m + std::log(total) - s[0];
  for (int64_t k = 0; k <= K; ++k) s[k] = std::exp(s[k] - m) / total - (k == 0 ? 1 : 0);
  return loss;
}

void check(const Tensor& states, const Tensor& targets, const Tensor& negatives, const Tensor& mask, double temperature) {
  same_device("contrastive_loss", states, targets);
  require(states.rank() == 3 && targets.shape() == states.shape() && targets.dtype() == states.dtype(),
          "contrastive_loss: states are {} {} and targets {} {}; both must be [B, T, P] of one dtype", states.dtype(), states.shape(), targets.dtype(), targets.shape());
  const Shape frames{states.size(0), states.size(1)};
  require(negatives.rank() == 3 && negatives.dtype() == DType::i64 && Shape{negatives.size(0), negatives.size(1)} == frames && mask.shape() == frames,
          "contrastive_loss: states are {}, negatives {} {} and the mask {}; i64 [B, T, K] and [B, T] are needed", states.shape(), negatives.dtype(), negatives.shape(),
          mask.shape());
  require(temperature > 0, "contrastive_loss: temperature {} must be positive", temperature);
}

// The frames that the mask names.
std::vector<int64_t> masked_frames(const Tensor& mask) {
  const std::vector<uint8_t> named = mask.values<uint8_t>();
  std::vector<int64_t> masked;
  for (size_t n = 0; n < named.size(); ++n)
    if (named[n]) masked.push_back(int64_t(n));
  return masked;
}

Candidates candidates(const ContrastiveLoss::Saved& a, int64_t i) {
  const int64_t frame = a.masked[size_t(i)];
  return {frame, a.negatives.data<int64_t>() + frame * a.negatives.size(2)};
}

int64_t grain(int64_t K) { return 1 + 4096 / (K + 1); }

template <class T>
double run_forward(double temperature, const Tensor& states, const Tensor& targets, const ContrastiveLoss::Saved& a) {
  const int64_t frames = a.states.size(0), P = a.states.size(1), K = a.negatives.size(2);
  const T *raw = targets.data<T>(), *x = a.states.data<T>(), *q = a.targets.data<T>();
  parallel_for(frames, row_grain(P), [&](int64_t begin, int64_t end) {
    unit_rows(states.data<T>(), a.states.data<T>(), a.state_lengths.data<double>(), P, begin, end);
    unit_rows(raw, a.targets.data<T>(), a.target_lengths.data<double>(), P, begin, end);
  });
  std::vector<double> losses(a.masked.size());
  parallel_for(int64_t(a.masked.size()), grain(K), [&](int64_t begin, int64_t end) {
    std::vector<double> s(size_t(1 + K));
    for (int64_t i = begin; i < end; ++i) {
      const Candidates c = candidates(a, i);
      similarities(x, q, c, K, P, s.data());
      for (int64_t k = 0; k <= K; ++k) {
        const bool same = k > 0 && std::equal(raw + c[0] * P, raw + (c[0] + 1) * P, raw + c[k] * P);
        s[size_t(k)] = same ? left_out : s[size_t(k)] / temperature;
      }
      losses[size_t(i)] = first_of(s.data(), K);
      for (int64_t k = 0; a.weights && k <= K; ++k) a.weights.data<T>()[i * (1 + K) + k] = T(s[size_t(k)] / temperature);
    }
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  return total;
}

// Spoils the weights: they are multiplied by the upstream gradient.
template <class T>
void scale_weights(const ContrastiveLoss::Saved& a, T upstream) {
  for (int64_t i = 0; i < a.weights.count(); ++i) a.weights.data<T>()[i] *= upstream;
}

// d: zeros.
template <class T>
void to_states(const ContrastiveLoss::Saved& a, const Tensor& d) {
  const int64_t P = a.states.size(1), K = a.negatives.size(2);
  const T *q = a.targets.data<T>(), *w = a.weights.data<T>();
  T* to = d.data<T>();
  parallel_for(int64_t(a.masked.size()), grain(K), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) add_targets(q, candidates(a, i), w + i * (1 + K), K, P, to + candidates(a, i).frame * P);
  });
  parallel_for(a.states.size(0), row_grain(P), [&](int64_t begin, int64_t end) { through_unit(a.states.data<T>(), a.state_lengths.data<double>(), to, P, begin, end); });
}

template <class T>
void to_targets(const ContrastiveLoss::Saved& a, const Tensor& d) {
  const int64_t P = a.states.size(1), K = a.negatives.size(2), blocks = (P + lanes<T> - 1) / lanes<T>;
  const T *x = a.states.data<T>(), *w = a.weights.data<T>();
  T* to = d.data<T>();
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < int64_t(a.masked.size()); ++i) add_state(x, candidates(a, i), w + i * (1 + K), K, P, to, begin * lanes<T>, std::min(P, end * lanes<T>));
  });
  parallel_for(a.states.size(0), row_grain(P), [&](int64_t begin, int64_t end) { through_unit(a.targets.data<T>(), a.target_lengths.data<double>(), to, P, begin, end); });
}

}  // namespace

Tensor ContrastiveLoss::forward(const Tensor& states, const Tensor& targets, const Tensor& negatives, const Tensor& mask, Saved* kept) const {
  check(states, targets, negatives, mask, temperature);
  Context& context = states.context();
  const int64_t frames = states.shape().rows(), P = states.size(2), K = negatives.size(2);
  Saved a{.shape = states.shape()};
  a.negatives = negatives.compact().to(Context::cpu());
  a.masked = masked_frames(mask);
  const int64_t* indices = a.negatives.data<int64_t>();
  for (const int64_t n : a.masked)
    for (int64_t k = 0; k < K; ++k)
      require_data(indices[n * K + k] >= 0 && indices[n * K + k] < frames, "contrastive_loss: a negative of frame {} is {}; there are {} frames", n, indices[n * K + k], frames);
  a.states = context.empty({frames, P}, states.dtype()), a.targets = context.empty({frames, P}, states.dtype());
  a.state_lengths = context.empty({frames}, DType::f64), a.target_lengths = context.empty({frames}, DType::f64);
  if (kept) a.weights = context.empty({int64_t(a.masked.size()), 1 + K}, states.dtype());
  const Tensor loss = context.empty({}, states.dtype());
  auto on_cpu = [&] {
    with_float(states.dtype(), "contrastive_loss", [&]<class T>() { *loss.data<T>() = T(run_forward<T>(temperature, states, targets, a)); });
  };
  on_device(states, on_cpu, [&] { cuda::contrastive_loss(temperature, states, targets, a, loss); });
  if (kept) *kept = std::move(a);
  return loss;
}

Grads<4> ContrastiveLoss::backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const {
  Grads<4> d;
  for (size_t input = 0; input < 2; ++input)
    if (need[input]) d[input] = g.context().zeros(kept.shape, g.dtype());
  auto on_cpu = [&] {
    with_float(g.dtype(), "contrastive_loss", [&]<class T>() {
      scale_weights(kept, *g.data<T>());
      if (d[0]) to_states<T>(kept, d[0]);
      if (d[1]) to_targets<T>(kept, d[1]);
    });
  };
  on_device(g, on_cpu, [&] {
    if (d[0]) cuda::contrastive_loss_states(kept, g, d[0]);
    if (d[1]) cuda::contrastive_loss_targets(kept, g, d[1]);
  });
  return d;
}

}  // namespace alinea
