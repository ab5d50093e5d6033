#include "engine/ops/contrastive_loss.h"

#include <cmath>
#include <cstring>
#include <limits>

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
  cpu_only(states, "contrastive_loss");
  require(states.rank() == 3 && targets.shape() == states.shape() && targets.dtype() == states.dtype(),
          "contrastive_loss: states are {} {} and targets {} {}; both must be [B, T, P] of one dtype", states.dtype(), states.shape(), targets.dtype(), targets.shape());
  const Shape frames{states.size(0), states.size(1)};
  require(negatives.rank() == 3 && negatives.dtype() == DType::i64 && Shape{negatives.size(0), negatives.size(1)} == frames && mask.shape() == frames,
          "contrastive_loss: states are {}, negatives {} {} and the mask {}; i64 [B, T, K] and [B, T] are needed", states.shape(), negatives.dtype(), negatives.shape(),
          mask.shape());
  require(temperature > 0, "contrastive_loss: temperature {} must be positive", temperature);
}

}  // namespace

Tensor ContrastiveLoss::forward(const Tensor& states, const Tensor& targets, const Tensor& negatives, const Tensor& mask, Saved* kept) const {
  check(states, targets, negatives, mask, temperature);
  Context& context = states.context();
  const int64_t frames = states.shape().rows(), P = states.size(2), K = negatives.size(2);
  const std::vector<uint8_t> named = mask.values<uint8_t>();
  std::vector<int64_t> masked;
  for (int64_t n = 0; n < frames; ++n)
    if (named[size_t(n)]) masked.push_back(n);
  const int64_t* indices = negatives.data<int64_t>();
  for (const int64_t n : masked)
    for (int64_t k = 0; k < K; ++k)
      require_data(indices[n * K + k] >= 0 && indices[n * K + k] < frames, "contrastive_loss: a negative of frame {} is {}; there are {} frames", n, indices[n * K + k], frames);
  const Tensor x = context.empty({frames, P}, states.dtype()), q = context.empty({frames, P}, states.dtype());
  const Tensor weights = kept ? context.empty({int64_t(masked.size()), 1 + K}, states.dtype()) : Tensor();
  std::vector<double> x_lengths(static_cast<size_t>(frames)), q_lengths(x_lengths), losses(masked.size());
  with_float(states.dtype(), "contrastive_loss", [&]<class T>() {
    const T* raw = targets.data<T>();
    parallel_for(frames, row_grain(P), [&](int64_t begin, int64_t end) {
      unit_rows(states.data<T>(), x.data<T>(), x_lengths.data(), P, begin, end);
      unit_rows(raw, q.data<T>(), q_lengths.data(), P, begin, end);
    });
    parallel_for(int64_t(masked.size()), 1 + 4096 / (K + 1), [&](int64_t begin, int64_t end) {
      std::vector<double> s(size_t(1 + K));
      for (int64_t i = begin; i < end; ++i) {
        const Candidates c{masked[size_t(i)], indices + masked[size_t(i)] * K};
        similarities(x.data<T>(), q.data<T>(), c, K, P, s.data());
        for (int64_t k = 0; k <= K; ++k) {
          const bool same = k > 0 && std::equal(raw + c[0] * P, raw + (c[0] + 1) * P, raw + c[k] * P);
          s[size_t(k)] = same ? left_out : s[size_t(k)] / temperature;
        }
        losses[size_t(i)] = first_of(s.data(), K);
        for (int64_t k = 0; weights && k <= K; ++k) weights.data<T>()[i * (1 + K) + k] = T(s[size_t(k)] / temperature);
      }
    });
  });
  double total = 0;
  for (const double loss : losses) total += loss;
  if (kept) *kept = {x, q, negatives, weights, std::move(x_lengths), std::move(q_lengths), std::move(masked), states.shape()};
  return context.full({}, states.dtype(), total);
}

Grads<4> ContrastiveLoss::backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const {
  Context& context = g.context();
  const int64_t frames = kept.shape.rows(), P = kept.shape.last(), K = kept.negatives.size(2), count = int64_t(kept.masked.size());
  const double upstream = g.item();
  const int64_t* indices = kept.negatives.data<int64_t>();
  Grads<4> d;
  with_float(g.dtype(), "contrastive_loss", [&]<class T>() {
    T* w = kept.weights.data<T>();
    for (int64_t i = 0; i < kept.weights.count(); ++i) w[i] *= T(upstream);
    auto candidates = [&](int64_t i) { return Candidates{kept.masked[size_t(i)], indices + kept.masked[size_t(i)] * K}; };
    const T *x = kept.states.data<T>(), *q = kept.targets.data<T>();
    for (int input = 0; input < 2; ++input) {
      if (!need[size_t(input)]) continue;
      const Tensor dv = context.zeros(kept.shape, g.dtype());
      T* to = dv.data<T>();
      if (input == 0) {
        parallel_for(count, 1 + 4096 / (K + 1), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) add_targets(q, candidates(i), w + i * (1 + K), K, P, to + candidates(i).frame * P);
        });
      } else {
        const int64_t blocks = (P + lanes<T> - 1) / lanes<T>;
        parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = 0; i < count; ++i) add_state(x, candidates(i), w + i * (1 + K), K, P, to, begin * lanes<T>, std::min(P, end * lanes<T>));
        });
      }
      const T* unit = input == 0 ? x : q;
      const double* lengths = (input == 0 ? kept.state_lengths : kept.target_lengths).data();
      parallel_for(frames, row_grain(P), [&](int64_t begin, int64_t end) { through_unit(unit, lengths, to, P, begin, end); });
      d[size_t(input)] = dv;
    }
  });
  return d;
}

}  // namespace alinea
