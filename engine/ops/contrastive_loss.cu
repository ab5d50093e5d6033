// The contrastive loss: a row of threads for each pair of a masked frame and a candidate, then for each masked frame.
#include <numeric>

#include "engine/core/cuda_reduce.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

constexpr double shortest = 1e-8;                            // ε

// For every masked frame itself and its negatives, [masked, 1 + K].
std::vector<int64_t> candidates_of(const ContrastiveLoss::Saved& a) {
  const int64_t K = a.negatives.size(2), *negatives = a.negatives.data<int64_t>();
  std::vector<int64_t> all;
  for (const int64_t n : a.masked) {
    all.push_back(n);
    all.insert(all.end(), negatives + n * K, negatives + (n + 1) * K);
  }
  return all;
}

template <class T>
void unit_rows(const Tensor& v, const Tensor& unit, const Tensor& lengths) {
  const T* in = v.data<T>();
  T* out = unit.data<T>();
  double* length = lengths.data<double>();
  const int64_t P = unit.size(1);
  each_row(v.context(), unit.size(0), P, "contrastive_loss", [=] __device__(int64_t r) {
    const double l = std::fmax(std::sqrt(double(over_row<T>(P, Sum{}, [=](int64_t i) { return in[r * P + i] * in[r * P + i]; }))), shortest);
    if (threadIdx.x == 0) length[r] = l;
    for (int64_t i = threadIdx.x; i < P; i += blockDim.x) out[r * P + i] = in[r * P + i] * T(1 / l);
  });
}

// x̂_n·q̂_j / κ of every pair; −inf for a negative that equals the positive.
template <class T>
void score_pairs(double temperature, const Tensor& targets, const ContrastiveLoss::Saved& a, const Tensor& candidates, const Tensor& scores) {
  const T *x = a.states.data<T>(), *q = a.targets.data<T>(), *raw = targets.data<T>();
  const int64_t *candidate = candidates.data<int64_t>(), P = a.states.size(1), width = scores.size(1);
  double* score = scores.data<double>();
  each_row(targets.context(), scores.count(), P, "contrastive_loss", [=] __device__(int64_t pair) {
    const int64_t own = candidate[pair / width * width] * P, other = candidate[pair] * P;
    const T product = over_row<T>(P, Sum{}, [=](int64_t i) { return x[own + i] * q[other + i]; });
    const T differs = over_row<T>(P, Max{}, [=](int64_t i) { return raw[own + i] == raw[other + i] ? T(0) : T(1); });
    if (threadIdx.x == 0) score[pair] = pair % width > 0 && differs == T(0) ? -CUDART_INF : double(product) / temperature;
  });
}

template <class T>
void forward(double temperature, const Tensor& states, const Tensor& targets, const ContrastiveLoss::Saved& a, const Tensor& loss) {
  Context& context = states.context();
  unit_rows<T>(states, a.states, a.state_lengths);
  unit_rows<T>(targets, a.targets, a.target_lengths);
  const auto count = int64_t(a.masked.size()), width = 1 + a.negatives.size(2);
  const Tensor scores = context.empty({count, width}, DType::f64), losses = context.empty({count}, DType::f64);
  if (count > 0) score_pairs<T>(temperature, targets, a, upload(context, candidates_of(a)), scores);
  const double* score = scores.data<double>();
  double* each_loss = losses.data<double>();
  T *weight = pointer<T>(a.weights), *to = loss.data<T>();
  each_row(context, count, width, "contrastive_loss", [=] __device__(int64_t n) {
    const double* s = score + n * width;
    const double m = over_row<double>(width, Max{}, [=](int64_t k) { return s[k]; });
    const double total = over_row<double>(width, Sum{}, [=](int64_t k) { return std::exp(s[k] - m); });
    if (threadIdx.x == 0) each_loss[n] = m + std::log(total) - s[0];
    for (int64_t k = threadIdx.x; weight && k < width; k += blockDim.x) weight[n * width + k] = T((std::exp(s[k] - m) / total - (k == 0 ? 1.0 : 0.0)) / temperature);
  });
  each_row(context, 1, count, "contrastive_loss", [=] __device__(int64_t) {
    const double total = over_row<double>(count, Sum{}, [=](int64_t n) { return each_loss[n]; });
    if (threadIdx.x == 0) *to = T(total);
  });
}

// d_n = g Σ_k w_nk q̂_k.
template <class T>
void to_states(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d) {
  const Tensor candidates = upload(d.context(), candidates_of(a));
  const int64_t *candidate = candidates.data<int64_t>(), P = a.states.size(1), width = a.weights.size(1);
  const T *w = a.weights.data<T>(), *q = a.targets.data<T>(), *upstream = g.data<T>();
  T* to = d.data<T>();
  each(d.context(), a.weights.size(0) * P, "contrastive_loss backward", [=] __device__(int64_t i) {
    const int64_t first = i / P * width, c = i % P;
    T s = 0;
    for (int64_t k = 0; k < width; ++k) s += w[first + k] * *upstream * q[candidate[first + k] * P + c];
    to[candidate[first] * P + c] = s;
  });
}

// The pairs of each frame that is a candidate, one frame after the other, in their order: those of frame j are pairs[begin[j]] … pairs[begin[j + 1] - 1].
struct PairsOf {
  std::vector<int64_t> pairs, begin;
  PairsOf(const std::vector<int64_t>& candidates, int64_t frames) : pairs(candidates.size()), begin(size_t(frames) + 1, 0) {
    for (const int64_t j : candidates) ++begin[size_t(j) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::vector<int64_t> next(begin);
    for (size_t i = 0; i < candidates.size(); ++i) pairs[size_t(next[size_t(candidates[i])]++)] = int64_t(i);
  }
};

// d_j = g Σ w_nk x̂_n over the pairs with candidate j.
template <class T>
void to_targets(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d) {
  Context& context = d.context();
  const PairsOf host(candidates_of(a), a.states.size(0));
  const Tensor pairs = upload(context, host.pairs), begin = upload(context, host.begin), masked = upload(context, a.masked);
  const int64_t *pair = pairs.data<int64_t>(), *first = begin.data<int64_t>(), *frame = masked.data<int64_t>(), P = a.states.size(1), width = a.weights.size(1);
  const T *w = a.weights.data<T>(), *x = a.states.data<T>(), *upstream = g.data<T>();
  T* to = d.data<T>();
  each(context, d.count(), "contrastive_loss backward", [=] __device__(int64_t i) {
    const int64_t j = i / P, c = i % P;
    T s = 0;
    for (int64_t p = first[j]; p < first[j + 1]; ++p) s += w[pair[p]] * *upstream * x[frame[pair[p] / width] * P + c];
    to[i] = s;
  });
}

// d = (d − (d·v̂) v̂) / |v|, in place; a v no longer than ε was only divided by ε.
template <class T>
void through_unit(const Tensor& unit, const Tensor& lengths, const Tensor& d) {
  const T* v = unit.data<T>();
  const double* length = lengths.data<double>();
  T* to = d.data<T>();
  const int64_t P = unit.size(1);
  each_row(d.context(), unit.size(0), P, "contrastive_loss backward", [=] __device__(int64_t r) {
    const T product = over_row<T>(P, Sum{}, [=](int64_t i) { return v[r * P + i] * to[r * P + i]; });
    const T along = length[r] > shortest ? product : T(0), rate = T(1 / length[r]);
    for (int64_t i = threadIdx.x; i < P; i += blockDim.x) to[r * P + i] = (to[r * P + i] - v[r * P + i] * along) * rate;
  });
}

}  // namespace

void contrastive_loss(double temperature, const Tensor& states, const Tensor& targets, const ContrastiveLoss::Saved& a, const Tensor& loss) {
  with_float(loss.dtype(), "contrastive_loss", [&]<class T>() { forward<T>(temperature, states, targets, a, loss); });
}

void contrastive_loss_states(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d) {
  if (a.masked.empty()) return;
  with_float(d.dtype(), "contrastive_loss", [&]<class T>() {
    to_states<T>(a, g, d);
    through_unit<T>(a.states, a.state_lengths, d);
  });
}

void contrastive_loss_targets(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d) {
  if (a.masked.empty()) return;
  with_float(d.dtype(), "contrastive_loss", [&]<class T>() {
    to_targets<T>(a, g, d);
    through_unit<T>(a.targets, a.target_lengths, d);
  });
}

}  // namespace alinea::cuda
