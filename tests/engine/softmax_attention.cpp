#include "engine/ops/softmax_attention.h"

#include <doctest/doctest.h>

using namespace alinea;

namespace {

Tensor noise(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape).to(dtype);
}

// o = P v with P from the quadratic form.
std::vector<double> from_weights(const Tensor& weights, const Tensor& v) {
  const auto p = weights.values<double>(), x = v.values<double>();
  const int64_t heads = v.size(0) * v.size(1), T = weights.size(2), S = v.size(2), D = v.size(3);
  std::vector<double> y(size_t(heads * T * D), 0.0);
  for (int64_t u = 0; u < heads; ++u)
    for (int64_t i = 0; i < T; ++i)
      for (int64_t j = 0; j < S; ++j)
        for (int64_t d = 0; d < D; ++d) y[size_t((u * T + i) * D + d)] += p[size_t((u * T + i) * S + j)] * x[size_t((u * S + j) * D + d)];
  return y;
}

double difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

std::vector<Mask> masks(int64_t B, int64_t T, int64_t S) {
  std::vector<Mask> m(5);
  m[1] = Mask::causal(2);
  m[2].rule = Mask::Rule::staircase, m[2].wait_k = 2, m[2].ratio = 3;
  m[3].rule = Mask::Rule::chunk, m[3].chunk = 7;
  m[4].rule = Mask::Rule::given, m[4].rows = T;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < T; ++i) m[4].written_at.push_back(int32_t(i * (S + 1) / T));
  m[1].source_lengths.assign(size_t(B), int32_t(S / 2 + 1)), m[1].target_lengths.assign(size_t(B), int32_t(T - T / 3));
  return m;
}

}  // namespace

TEST_CASE("softmax attention equals the quadratic form under every mask") {
  for (const Shape& s : {Shape{1, 1, 1, 1}, Shape{2, 3, 9, 33}, Shape{1, 2, 130, 16}, Shape{2, 2, 65, 70}, Shape{1, 1, 200, 24}})
    for (const int64_t S : {s[2], s[2] + 131}) {
      const Tensor q = noise(s, 1), k = noise({s[0], s[1], S, s[3]}, 2), v = noise({s[0], s[1], S, s[3]}, 3);
      for (const Mask& mask : masks(s[0], s[2], S)) {
        CAPTURE(s.str());
        CAPTURE(mask.describe());
        const auto expected = from_weights(attention_weights(q, k, mask), v);
        CHECK(difference(SoftmaxAttention{.mask = mask}.forward(q, k, v, nullptr).values<double>(), expected) < 1e-12);
        const Tensor y = SoftmaxAttention{.mask = mask}.forward(q.to(DType::f32), k.to(DType::f32), v.to(DType::f32), nullptr);
        CHECK(difference(y.values<double>(), expected) < 1e-5);
      }
    }
}

TEST_CASE("softmax attention reads strided views and returns heads that merge for free") {
  const Tensor q = noise({2, 11, 3, 8}, 4), kv = noise({2, 11, 2, 3, 8}, 5);      // [B, T, H, D] and packed k, v
  const Tensor k = kv.slice(2, 0, 1).compact().reshape({2, 11, 3, 8}), v = kv.slice(2, 1, 2).compact().reshape({2, 11, 3, 8});
  const SoftmaxAttention op{.mask = Mask::causal()};
  const Tensor y = op.forward(q.permute({0, 2, 1, 3}), k.permute({0, 2, 1, 3}), v.permute({0, 2, 1, 3}), nullptr);
  CHECK(y.permute({0, 2, 1, 3}).contiguous());
  const Tensor plain = op.forward(q.permute({0, 2, 1, 3}).compact(), k.permute({0, 2, 1, 3}).compact(), v.permute({0, 2, 1, 3}).compact(), nullptr);
  CHECK(difference(y.values<double>(), plain.values<double>()) == 0);
}

TEST_CASE("a decoding step equals the row of the whole pass") {
  const Tensor q = noise({2, 4, 40, 32}, 6, DType::f32), k = noise({2, 4, 40, 32}, 7, DType::f32), v = noise({2, 4, 40, 32}, 8, DType::f32);
  const auto whole = SoftmaxAttention{.mask = Mask::causal()}.forward(q, k, v, nullptr);
  for (const int64_t t : {0, 5, 39}) {
    const auto step = SoftmaxAttention{.mask = Mask::causal(t)}.forward(q.slice(2, t, t + 1), k, v, nullptr);
    CHECK(difference(step.values<double>(), whole.slice(2, t, t + 1).values<double>()) < 1e-6);
  }
}

TEST_CASE("gradients do not depend on the split into parts, and dropout is the same mask in both passes") {
  const int before = threads();
  const Tensor q = noise({1, 1, 150, 8}, 9), k = noise({1, 1, 90, 8}, 10), v = noise({1, 1, 90, 8}, 11), g = noise({1, 1, 150, 8}, 12);
  const SoftmaxAttention op{.dropout = 0.3, .key = {5, 6}};
  std::vector<std::vector<double>> results[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    SoftmaxAttention::Saved kept;
    results[n - 1].push_back(op.forward(q, k, v, &kept).values<double>());
    Tensor outer = g;
    for (const Tensor& d : op.backward(std::move(kept), std::move(outer), {})) results[n - 1].push_back(d.values<double>());
  }
  set_threads(before);
  for (size_t i = 0; i < 4; ++i) CHECK(difference(results[0][i], results[1][i]) < 1e-12);
}

TEST_CASE("dropout keeps the mean: with equal values every row's weights sum to about one") {
  const Tensor q = noise({2, 2, 64, 8}, 13), ones = Context::cpu().full({2, 2, 300, 8}, DType::f64, 1);
  const auto y = SoftmaxAttention{.scale = 1e-9, .dropout = 0.25, .key = {3, 1}}.forward(q, ones, ones, nullptr).values<double>();
  double mean = 0, spread = 0;
  for (const double x : y) mean += x / double(y.size());
  for (const double x : y) spread += (x - mean) * (x - mean) / double(y.size());
  CHECK(std::abs(mean - 1) < 0.01);
  CHECK(spread == doctest::Approx(0.25 / 0.75 / 300).epsilon(0.25));            // variance of a mean of 300 scaled Bernoulli draws
}

TEST_CASE("rows that see nothing are zeros and have no gradient") {
  Mask mask;
  mask.source_lengths = {0, 3};
  const Tensor q = noise({2, 1, 4, 4}, 14), k = noise({2, 1, 5, 4}, 15);
  SoftmaxAttention::Saved kept;
  const SoftmaxAttention op{.mask = mask};
  const auto y = op.forward(q, k, k, &kept).values<double>();
  for (int i = 0; i < 16; ++i) CHECK(y[size_t(i)] == 0);
  const auto d = op.backward(std::move(kept), noise({2, 1, 4, 4}, 16), {});
  for (int i = 0; i < 16; ++i) CHECK(d[0].values<double>()[size_t(i)] == 0);
  for (int i = 0; i < 20; ++i) CHECK(d[1].values<double>()[size_t(i)] == 0);
  CHECK_THROWS_AS(op.forward(q, noise({2, 1, 5, 3}, 1), k, nullptr), Error);
}
