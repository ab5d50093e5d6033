#include "engine/ops/codebook.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/ops/cuda_losses.h"
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

Tensor softmax_all(const Tensor& logits, const Tensor& noise, double temperature, int64_t groups) {
  const int64_t rows = logits.shape().rows() * groups, V = logits.shape().last() / groups;
  const Tensor p = logits.context().empty({logits.shape().rows(), groups * V}, logits.dtype());
  auto on_cpu = [&] {
    with_float(logits.dtype(), "codebook", [&]<class T>() {
      parallel_for(rows, row_grain(V), [&](int64_t begin, int64_t end) {
        softmax_rows(logits.data<T>(), noise ? noise.data<T>() : nullptr, p.data<T>(), T(1 / temperature), V, begin, end);
      });
    });
  };
  on_device(logits, on_cpu, [&] { cuda::code_softmax(logits, noise, temperature, groups, p); });
  return p;
}

void through_softmax(const Tensor& weights, double factor, int64_t groups, const Tensor& d) {
  const int64_t V = weights.shape().last() / groups;
  auto on_cpu = [&] {
    with_float(d.dtype(), "codebook", [&]<class T>() {
      parallel_for(weights.count() / V, row_grain(V), [&](int64_t begin, int64_t end) { softmax_gradient_rows(weights.data<T>(), d.data<T>(), T(factor), V, begin, end); });
    });
  };
  on_device(d, on_cpu, [&] { cuda::code_softmax_gradient(weights, factor, groups, d); });
}

// i32 [rows, G].
Tensor choose(const Tensor& logits, const Tensor& noise, int64_t groups) {
  const Tensor chosen = logits.context().empty({logits.shape().rows(), groups}, DType::i32);
  auto on_cpu = [&] {
    with_float(logits.dtype(), "codebook", [&]<class T>() {
      const int64_t V = logits.shape().last() / groups;
      for (int64_t i = 0; i < chosen.count(); ++i) chosen.data<int32_t>()[i] = int32_t(largest<T>(logits.data<T>() + i * V, noise ? noise.data<T>() + i * V : nullptr, V));
    });
  };
  on_device(logits, on_cpu, [&] { cuda::code_choices(logits, noise, chosen); });
  return chosen;
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

void gather(const Sizes& s, const Tensor& codevectors, const Tensor& chosen, const Tensor& y) {
  auto on_cpu = [&] {
    with_float(y.dtype(), "codebook", [&]<class T>() {
      const int32_t* choice = chosen.data<int32_t>();
      for (int64_t i = 0; i < s.rows * s.G; ++i)
        std::memcpy(y.data<T>() + i * s.E, codevectors.data<T>() + (i % s.G * s.V + choice[i]) * s.E, size_t(s.E) * sizeof(T));
    });
  };
  on_device(y, on_cpu, [&] { cuda::take_codes(codevectors, chosen, y); });
}
// d is overwritten.
void scatter(const Sizes& s, const Tensor& g, const Tensor& chosen, const Tensor& d) {
  auto on_cpu = [&] {
    d.zero();
    with_float(g.dtype(), "codebook", [&]<class T>() {
      for (int64_t i = 0; i < s.rows * s.G; ++i) {
        T* to = d.data<T>() + (i % s.G * s.V + chosen.data<int32_t>()[i]) * s.E;
        for (int64_t e = 0; e < s.E; ++e) to[e] += g.data<T>()[i * s.E + e];
      }
    });
  };
  on_device(g, on_cpu, [&] { cuda::take_codes_gradient(g, chosen, d); });
}

// Σ over the named rows of their softmax (weights) or of their one-hot choices, [G V].
std::vector<double> sums_of_rows(const Tensor& weights, const Tensor& chosen, int64_t V, const std::vector<uint8_t>& named) {
  auto on_cpu = [&] {
    std::vector<double> sums(size_t(weights ? weights.size(1) : chosen.size(1) * V), 0.0);
    auto add = [&](auto add_row) {
      for (size_t r = 0; r < named.size(); ++r)
        if (named[r]) add_row(int64_t(r));
    };
    if (chosen) {
      const int64_t G = chosen.size(1);
      add([&](int64_t r) { for (int64_t g = 0; g < G; ++g) sums[size_t(g * V + chosen.data<int32_t>()[r * G + g])] += 1; });
      return sums;
    }
    with_float(weights.dtype(), "code_perplexity", [&]<class T>() {
      add([&](int64_t r) { for (size_t i = 0; i < sums.size(); ++i) sums[i] += double(weights.data<T>()[r * int64_t(sums.size()) + int64_t(i)]); });
    });
    return sums;
  };
  return on_device(weights ? weights : chosen, on_cpu, [&] { return weights ? cuda::code_sums(weights, named) : cuda::code_counts(chosen, V, named); });
}

// d = g · slope in the named rows, 0 elsewhere.
void spread(const std::vector<double>& slope, const std::vector<uint8_t>& named, const Tensor& g, const Tensor& d) {
  auto on_cpu = [&] {
    with_float(g.dtype(), "code_perplexity", [&]<class T>() {
      const int64_t W = int64_t(slope.size());
      const double upstream = double(*g.data<T>());
      parallel_for(int64_t(named.size()), row_grain(W), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r)
          for (int64_t i = 0; i < W; ++i) d.data<T>()[r * W + i] = named[size_t(r)] ? T(upstream * slope[size_t(i)]) : T(0);
      });
    });
  };
  on_device(d, on_cpu, [&] { cuda::code_slopes(slope, named, g, d); });
}

void check_logits(const Tensor& logits, int64_t groups, std::string_view op) {
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
  same_device("codebook", logits, codevectors, noise);
  Context& context = logits.context();
  const Sizes s{logits.shape().rows(), groups, logits.shape().last() / groups, codevectors.size(2)};
  const Tensor y = context.empty(logits.shape().with_last(groups * s.E), logits.dtype());
  const bool use_weights = choice == Choice::soft || (kept && choice == Choice::gumbel && kept->needs[0]);
  const Tensor weights = use_weights ? softmax_all(logits, noise, temperature, groups) : Tensor();
  const Tensor chosen = choice == Choice::soft ? Tensor() : choose(logits, noise, groups);
  if (chosen) gather(s, codevectors, chosen, y);
  else with_float(logits.dtype(), "codebook", [&]<class T>() { gemm(context, s.mix(), weights.data<T>(), codevectors.data<T>(), y.data<T>()); });
  if (kept) *kept = {kept->needs, weights, chosen, codevectors, logits.shape()};
  return y;
}

Grads<3> Codebook::backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const {
  g = g.compact();
  Context& context = g.context();
  const Sizes s{kept.logits.rows(), groups, kept.logits.last() / groups, kept.codevectors.size(2)};
  Grads<3> d;
  if (need[1]) {
    d[1] = context.empty(kept.codevectors.shape(), g.dtype());
    if (kept.chosen) scatter(s, g, kept.chosen, d[1]);
    else with_float(g.dtype(), "codebook", [&]<class T>() { gemm(context, s.collect(), kept.weights.data<T>(), g.data<T>(), d[1].data<T>()); });
  }
  if (choice == Choice::hard || !need[0]) return d;
  d[0] = context.empty(kept.logits, g.dtype());
  with_float(g.dtype(), "codebook", [&]<class T>() { gemm(context, s.score(), g.data<T>(), kept.codevectors.data<T>(), d[0].data<T>()); });
  through_softmax(kept.weights, 1 / temperature, groups, d[0]);
  return d;
}

Tensor codebook_choices(const Tensor& logits, int64_t groups) {
  check_logits(logits, groups, "codebook");
  return choose(logits, {}, groups).to(DType::i64).reshape(logits.shape().with_last(groups));
}

Tensor CodePerplexity::forward(const Tensor& logits, const Tensor& mask, Saved* kept) const {
  check_logits(logits, groups, "code_perplexity");
  const int64_t W = logits.shape().last(), V = W / groups, rows = logits.shape().rows();
  require(mask.count() == rows && mask.rank() == logits.rank() - 1, "code_perplexity: logits are {} and the mask {}; it needs one number per row", logits.shape(), mask.shape());
  const std::vector<uint8_t> named = mask.values<uint8_t>();
  const Tensor weights = hard ? Tensor() : softmax_all(logits, {}, 1, groups);
  std::vector<double> mean = sums_of_rows(weights, hard ? choose(logits, {}, groups) : Tensor(), V, named);
  const int64_t count = std::count_if(named.begin(), named.end(), [](uint8_t n) { return n != 0; });
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
  const Tensor d = g.context().empty(kept.logits, g.dtype());
  spread(kept.slope, kept.named, g, d);
  through_softmax(kept.weights, 1, groups, d);
  return {d, {}};
}

}  // namespace alinea
