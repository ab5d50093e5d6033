#include "engine/ops/codebook.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/blas/gemm.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

template <class T>
constexpr T lowest = -std::numeric_limits<T>::infinity();

// p = softmax((l + n) / τ) of rows of V numbers; noise may be null.
template <class T>
ALINEA_KERNEL void softmax_rows(const T* logits, const T* noise, T* p, T rate, int64_t V, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T* x = logits + r * V;
    T* y = p + r * V;
    Vec<T> top = splat(T(0)) + lowest<T>;
    for (int64_t i = 0; i < V; i += lanes<T>) {
      Vec<T> v = load_up_to(x + i, V - i, lowest<T>);
      if (noise) v += load_up_to(noise + r * V + i, V - i);
      store_up_to(y + i, v, V - i);
      top = max(top, v);
    }
    const T m = max_of(top);
    const T total = row_sum<T>(V, [&](int64_t i, int64_t rest) __attribute__((always_inline)) {
      const Vec<T> e = exp((load_up_to(y + i, rest, lowest<T>) - m) * rate);
      store_up_to(y + i, e, rest);
      return e;
    });
    for (int64_t i = 0; i < V; i += lanes<T>) store_up_to(y + i, load_up_to(y + i, V - i) / total, V - i);
  }
}

// d = p (d − Σ p d) · rate, in place.
template <class T>
ALINEA_KERNEL void softmax_gradient_rows(const T* p, T* d, T rate, int64_t V, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T* y = p + r * V;
    T* g = d + r * V;
    const T mean = row_sum<T>(V, [&](int64_t i, int64_t rest) __attribute__((always_inline)) { return load_up_to(y + i, rest) * load_up_to(g + i, rest); });
    for (int64_t i = 0; i < V; i += lanes<T>) store_up_to(g + i, load_up_to(y + i, V - i) * (load_up_to(g + i, V - i) - mean) * rate, V - i);
  }
}

template <class T>
int64_t largest(const T* x, const T* noise, int64_t V) {
  int64_t best = 0;
  auto at = [&](int64_t v) { return noise ? x[v] + noise[v] : x[v]; };
  for (int64_t v = 1; v < V; ++v)
    if (at(v) > at(best)) best = v;
  return best;
}

template <class T>
void softmax_all(const Tensor& logits, const Tensor& noise, const Tensor& p, double temperature, int64_t V) {
  const int64_t rows = logits.count() / V;
  parallel_for(rows, row_grain(V), [&](int64_t begin, int64_t end) {
    softmax_rows(logits.data<T>(), noise ? noise.data<T>() : nullptr, p.data<T>(), T(1 / temperature), V, begin, end);
  });
}

// The products of each group: what [rows, G E] and [rows, G V] have to do with the codebook [G V, E].
struct Sizes {
  int64_t rows, G, V, E;
  // y_g = p_g c_g
  Gemm mix() const { return {.m = rows, .n = E, .k = V, .lda = G * V, .ldb = E, .ldc = G * E, .batch = G, .step_a = V, .step_b = V * E, .step_c = E}; }
  // dp_g = h_g c_gᵀ
  Gemm score() const { return {.transpose_b = true, .m = rows, .n = V, .k = E, .lda = G * E, .ldb = E, .ldc = G * V, .batch = G, .step_a = E, .step_b = V * E, .step_c = V}; }
  // dc_g = p_gᵀ h_g
  Gemm collect() const { return {.transpose_a = true, .m = V, .n = E, .k = rows, .lda = G * V, .ldb = G * E, .ldc = E, .batch = G, .step_a = V, .step_b = E, .step_c = V * E}; }
};

template <class T>
void gather(const Sizes& s, const T* codevectors, const int32_t* chosen, T* y) {
  for (int64_t i = 0; i < s.rows * s.G; ++i) std::memcpy(y + i * s.E, codevectors + (i % s.G * s.V + chosen[i]) * s.E, size_t(s.E) * sizeof(T));
}
template <class T>
void scatter(const Sizes& s, const T* g, const int32_t* chosen, T* d) {
  for (int64_t i = 0; i < s.rows * s.G; ++i) {
    T* to = d + (i % s.G * s.V + chosen[i]) * s.E;
    for (int64_t e = 0; e < s.E; ++e) to[e] += g[i * s.E + e];
  }
}

void check_logits(const Tensor& logits, int64_t groups, std::string_view op) {
  cpu_only(logits, op);
  require(groups >= 1 && logits.rank() >= 1 && logits.shape().last() >= groups && logits.shape().last() % groups == 0,
          "{}: logits are {} for {} codebooks; their last axis must hold as many numbers for each", op, logits.shape(), groups);
}

}  // namespace

Tensor Codebook::forward(const Tensor& logits, const Tensor& codevectors, const Tensor& noise, Saved* kept) const {
  check_logits(logits, groups, "codebook");
  require(temperature > 0, "codebook: temperature {} must be positive", temperature);
  require(codevectors.rank() == 3 && codevectors.size(0) == 1 && codevectors.size(1) == logits.shape().last() && codevectors.dtype() == logits.dtype(),
          "codebook: logits are {} {} and codevectors {} {}; [..., G V] and [1, G V, E] of one dtype are needed", logits.dtype(), logits.shape(), codevectors.dtype(),
          codevectors.shape());
  require(!noise || (noise.shape() == logits.shape() && noise.dtype() == logits.dtype()), "codebook: logits are {} {} and noise {} {}; they must be alike", logits.dtype(),
          logits.shape(), noise.dtype(), noise.shape());
  Context& context = logits.context();
  const Sizes s{logits.shape().rows(), groups, logits.shape().last() / groups, codevectors.size(2)};
  const Tensor y = context.empty(logits.shape().with_last(groups * s.E), logits.dtype());
  const bool use_weights = choice == Choice::soft || (kept && choice == Choice::gumbel && kept->needs[0]);
  const Tensor weights = use_weights ? context.empty({s.rows, groups * s.V}, logits.dtype()) : Tensor();
  const Tensor chosen = choice == Choice::soft ? Tensor() : context.empty({s.rows, groups}, DType::i32);
  with_float(logits.dtype(), "codebook", [&]<class T>() {
    if (use_weights) softmax_all<T>(logits, noise, weights, temperature, s.V);
    if (choice == Choice::soft) {
      gemm(context, s.mix(), weights.data<T>(), codevectors.data<T>(), y.data<T>());
      return;
    }
    for (int64_t i = 0; i < s.rows * groups; ++i)
      chosen.data<int32_t>()[i] = int32_t(largest(logits.data<T>() + i * s.V, noise ? noise.data<T>() + i * s.V : nullptr, s.V));
    gather(s, codevectors.data<T>(), chosen.data<int32_t>(), y.data<T>());
  });
  if (kept) *kept = {kept->needs, weights, chosen, codevectors, logits.shape()};
  return y;
}

Grads<3> Codebook::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Context& context = g.context();
  const Sizes s{kept.logits.rows(), groups, kept.logits.last() / groups, kept.codevectors.size(2)};
  Grads<3> d;
  with_float(g.dtype(), "codebook", [&]<class T>() {
    if (need[1]) {
      d[1] = context.zeros(kept.codevectors.shape(), g.dtype());
      if (choice == Choice::soft) gemm(context, s.collect(), kept.weights.data<T>(), g.data<T>(), d[1].template data<T>());
      else scatter(s, g.data<T>(), kept.chosen.data<int32_t>(), d[1].template data<T>());
    }
    if (choice == Choice::hard || !need[0]) return;
    const Tensor slope = context.empty(kept.logits, g.dtype());
    gemm(context, s.score(), g.data<T>(), kept.codevectors.data<T>(), slope.data<T>());
    parallel_for(s.rows * groups, row_grain(s.V), [&](int64_t begin, int64_t end) {
      softmax_gradient_rows(kept.weights.data<T>(), slope.data<T>(), T(1 / temperature), s.V, begin, end);
    });
    d[0] = slope;
  });
  return d;
}

Tensor codebook_choices(const Tensor& logits, int64_t groups) {
  check_logits(logits, groups, "codebook");
  const int64_t V = logits.shape().last() / groups;
  const Tensor chosen = logits.context().empty(logits.shape().with_last(groups), DType::i64);
  with_float(logits.dtype(), "codebook", [&]<class T>() {
    for (int64_t i = 0; i < chosen.count(); ++i) chosen.data<int64_t>()[i] = largest<T>(logits.data<T>() + i * V, nullptr, V);
  });
  return chosen;
}

Tensor CodePerplexity::forward(const Tensor& logits, const Tensor& mask, Saved* kept) const {
  check_logits(logits, groups, "code_perplexity");
  const int64_t W = logits.shape().last(), V = W / groups, rows = logits.shape().rows();
  require(mask.count() == rows && mask.rank() == logits.rank() - 1, "code_perplexity: logits are {} and the mask {}; it needs one number per row", logits.shape(), mask.shape());
  const std::vector<uint8_t> named = mask.values<uint8_t>();
  const Tensor weights = hard ? Tensor() : logits.context().empty({rows, W}, logits.dtype());
  std::vector<double> mean(size_t(W), 0.0);
  int64_t count = 0;
  with_float(logits.dtype(), "code_perplexity", [&]<class T>() {
    if (!hard) softmax_all<T>(logits, {}, weights, 1, V);
    for (int64_t r = 0; r < rows; ++r) {
      if (!named[size_t(r)]) continue;
      ++count;
      for (int64_t g = 0; hard && g < groups; ++g) mean[size_t(g * V + largest<T>(logits.data<T>() + r * W + g * V, nullptr, V))] += 1;
      for (int64_t i = 0; !hard && i < W; ++i) mean[size_t(i)] += double(weights.data<T>()[r * W + i]);
    }
  });
  double total = 0;
  std::vector<double> slope(size_t(W), 0.0);
  for (int64_t g = 0; g < groups; ++g) {
    double entropy = 0;
    for (int64_t i = g * V; i < (g + 1) * V; ++i) {
      double& p = mean[size_t(i)];
      if (count > 0) p /= double(count);
      if (p > 0) entropy -= p * std::log(p);
    }
    total += std::exp(entropy);
    for (int64_t i = g * V; i < (g + 1) * V; ++i)
      if (const double p = mean[size_t(i)]; p > 0) slope[size_t(i)] = -std::exp(entropy) * (std::log(p) + 1) / double(count);
  }
  if (kept) *kept = {weights, named, slope, logits.shape()};
  return logits.context().full({}, logits.dtype(), total);
}

Grads<2> CodePerplexity::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  if (hard || !need[0]) return {};
  const int64_t W = kept.logits.last(), V = W / groups, rows = kept.logits.rows();
  const double upstream = g.item();
  const Tensor d = g.context().empty(kept.logits, g.dtype());
  with_float(g.dtype(), "code_perplexity", [&]<class T>() {
    parallel_for(rows, row_grain(W), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t i = 0; i < W; ++i) d.data<T>()[r * W + i] = kept.named[size_t(r)] ? T(upstream * kept.slope[size_t(i)]) : T(0);
      softmax_gradient_rows(kept.weights.data<T>(), d.data<T>(), T(1), V, begin * groups, end * groups);
    });
  });
  return {d, {}};
}

}  // namespace alinea
