#include "engine/ops/linear_attention.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"

using namespace alinea;

namespace {

Tensor noise(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape);
}

double difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

// The quadratic form: values and, from g, the gradients of q, k, v, with the whole T x S map.
struct Quadratic {
  Tensor y, dq, dk, dv;
  Quadratic(const LinearAttention& op, const Tensor& qt, const Tensor& kt, const Tensor& vt, const Tensor& gt)
      : y(Context::cpu().zeros(qt.shape(), DType::f64)), dq(y.clone()), dk(Context::cpu().zeros(kt.shape(), DType::f64)), dv(dk.clone()) {
    const int64_t T = qt.size(2), S = kt.size(2), D = qt.size(3);
    for (int64_t u = 0; u < qt.size(0) * qt.size(1); ++u)
      for (int64_t i = 0; i < T; ++i) {
        const int64_t n = op.mask.visible(u / qt.size(1), i, S), row = (u * T + i) * D;
        const double *q = qt.data<double>() + row, *g = gt.data<double>() + row, *k = kt.data<double>() + u * S * D, *v = vt.data<double>() + u * S * D;
        double z = 0, *o = y.data<double>() + row, dot = 0;
        std::vector<double> a(size_t(n), 0.0);
        for (int64_t j = 0; j < n; ++j) {
          for (int64_t d = 0; d < D; ++d) a[size_t(j)] += op.form.scale * std::max(q[d], 0.0) * std::max(k[j * D + d], 0.0);
          z += a[size_t(j)];
          for (int64_t d = 0; d < D; ++d) o[d] += a[size_t(j)] * v[j * D + d];
        }
        const bool add = op.form.floor == Floor::add, free = add || z >= op.form.eps;
        const double floored = add ? z + op.form.eps : std::max(z, op.form.eps);
        for (int64_t d = 0; d < D; ++d) o[d] /= floored, dot += g[d] * o[d];
        for (int64_t j = 0; j < n; ++j) {
          double da = free ? -dot / floored : 0;
          for (int64_t d = 0; d < D; ++d) {
            da += g[d] * v[j * D + d] / floored;
            dv.data<double>()[(u * S + j) * D + d] += a[size_t(j)] * g[d] / floored;
          }
          for (int64_t d = 0; d < D; ++d) {
            if (q[d] > 0) dq.data<double>()[row + d] += op.form.scale * da * std::max(k[j * D + d], 0.0);
            if (k[j * D + d] > 0) dk.data<double>()[(u * S + j) * D + d] += op.form.scale * da * std::max(q[d], 0.0);
          }
        }
      }
  }
};

std::vector<Mask> masks(int64_t B, int64_t T, int64_t S) {
  std::vector<Mask> m(6);
  m[1] = Mask::causal(2);
  m[2].rule = Mask::Rule::staircase, m[2].wait_k = 2, m[2].ratio = 3;
  m[3].rule = Mask::Rule::chunk, m[3].chunk = 7;
  m[4].rule = Mask::Rule::given, m[4].rows = T;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < T; ++i) m[4].written_at.push_back(int32_t(i * (S + 1) / T));
  m[5] = Mask::causal();
  m[5].source_lengths.assign(size_t(B), int32_t(S / 2 + 1)), m[5].target_lengths.assign(size_t(B), int32_t(T - T / 3));
  return m;
}

}  // namespace

TEST_CASE("linear attention and its gradients equal the quadratic form under every mask") {
  for (const Shape& s : {Shape{1, 1, 1, 1}, Shape{2, 2, 9, 33}, Shape{1, 2, 130, 16}, Shape{2, 1, 200, 5}})
    for (const int64_t S : {s[2], s[2] + 77}) {
      const Shape source{s[0], s[1], S, s[3]};
      const Tensor q = noise(s, 1), k = noise(source, 2), v = noise(source, 3), g = noise(s, 4);
      for (const Mask& mask : masks(s[0], s[2], S))
        for (const LinearForm& form : {LinearForm{}, LinearForm{.eps = 0.5, .floor = Floor::add, .scale = 0.3}}) {
          CAPTURE(s.str());
          CAPTURE(mask.describe());
          const LinearAttention op{mask, form};
          const Quadratic expected(op, q, k, v, g);
          LinearAttention::Saved kept;
          CHECK(difference(op.forward(q, k, v, &kept), expected.y) < 1e-12);
          Tensor outer = g;
          const auto d = op.backward(std::move(kept), std::move(outer), {});
          CHECK(difference(d[0], expected.dq) < 1e-10);
          CHECK(difference(d[1], expected.dk) < 1e-10);
          CHECK(difference(d[2], expected.dv) < 1e-10);
        }
    }
}

TEST_CASE("the memory of causal linear attention with gradients is linear in the length") {
  for (const FeatureMap map : {FeatureMap::relu, FeatureMap::cosformer}) {
    const auto peak = [map](int64_t n) {
      const Shape shape{1, 2, n, 16};
      const Tensor q = noise(shape, 1), k = noise(shape, 2), v = noise(shape, 3);
      Tensor g = noise(shape, 4);
      Context::cpu().reset_peak();
      const int64_t live = Context::cpu().memory().live;
      const LinearAttention op{.mask = Mask::causal(), .form = {.map = map}, .extents = {}};
      LinearAttention::Saved kept;
      op.forward(q, k, v, &kept);
      op.backward(std::move(kept), std::move(g), {});
      return double(Context::cpu().memory().peak - live);
    };
    CHECK(peak(16384) < 1.1 * 16 * peak(1024));
  }
}

TEST_CASE("decoding with a state equals the rows of the whole pass") {
  const Tensor q = noise({2, 3, 20, 18}, 5), k = noise({2, 3, 20, 18}, 6), v = noise({2, 3, 20, 18}, 7);
  const Tensor whole = LinearAttention{.mask = Mask::causal()}.forward(q, k, v, nullptr);
  LinearAttentionState state(Context::cpu(), 2, 3, 18, DType::f64);
  for (int64_t t = 0; t < 20; ++t) {
    state.append(k.slice(2, t, t + 1), v.slice(2, t, t + 1));
    CHECK(difference(state.step(q.slice(2, t, t + 1)), whole.slice(2, t, t + 1)) < 1e-12);
  }
  const Tensor last = state.step(q.slice(2, 19, 20)), first = q.slice(2, 19, 20);
  state.reorder({1, 1});
  CHECK(difference(state.step(first).slice(0, 1, 2), last.slice(0, 1, 2)) == 0);
}

namespace {

// φ(x) by the definition, in plain loops; position counts from 1.
std::vector<double> phi(const LinearForm& form, bool query, const double* x, int64_t D, double position, double extent) {
  std::vector<double> f;
  const double theta = 1.5707963267948966 * std::min(position / extent, 1.0);
  if (form.map == FeatureMap::favor) {
    const auto w = form.projection.values<double>();
    const int64_t M = form.projection.size(0);
    double square = 0, most = -1e300;
    for (int64_t d = 0; d < D; ++d) square += x[d] * x[d] / std::sqrt(double(D));
    for (int64_t r = 0; r < M; ++r) {
      double dot = -square / 2;
      for (int64_t d = 0; d < D; ++d) dot += w[size_t(r * D + d)] * x[d] * std::pow(double(D), -0.25);
      f.push_back(dot);
      most = std::max(most, dot);
    }
    for (double& e : f) e = (std::exp(e - (query ? most : 0)) + 1e-4) / std::sqrt(double(M));
    return f;
  }
  for (int64_t d = 0; d < D; ++d) f.push_back(form.map == FeatureMap::elu ? (x[d] > 0 ? x[d] + 1 : std::exp(x[d])) : std::max(x[d], 0.0) * (form.map == FeatureMap::cosformer ? std::cos(theta) : 1));
  if (form.map == FeatureMap::cosformer)
    for (int64_t d = 0; d < D; ++d) f.push_back(std::max(x[d], 0.0) * std::sin(theta));
  return f;
}

std::vector<LinearForm> forms(int64_t D) {
  return {{}, {.map = FeatureMap::elu, .eps = 1e-6}, {.map = FeatureMap::cosformer}, {.map = FeatureMap::favor, .projection = favor_projection(Context::cpu(), 2 * D + 1, D, RandomKey{5})}};
}

}  // namespace

TEST_CASE("every feature map: outputs, weights and decoding equal the definition") {
  const int64_t T = 70, S = 75, D = 6;
  const Tensor q = noise({2, 1, T, D}, 11), k = noise({2, 1, S, D}, 12), v = noise({2, 1, S, D}, 13);
  for (const LinearForm& form : forms(D))
    for (const Mask& mask : masks(2, T, S)) {
      CAPTURE(name_of(form.map));
      CAPTURE(mask.describe());
      const LinearAttention op{mask, form, {{50, 90}, {71, 40}}};
      const Tensor y = op.forward(q, k, v, nullptr), weights = linear_attention_weights(op, q, k);
      std::vector<double> expected(size_t(2 * T * D), 0), expected_weights(size_t(2 * T * S), 0);
      for (int64_t b = 0; b < 2; ++b)
        for (int64_t i = 0; i < T; ++i) {
          const int64_t n = mask.visible(b, i, S);
          const auto query = phi(form, true, q.data<double>() + (b * T + i) * D, D, double(mask.first_row + i + 1), op.extents.target[size_t(b)]);
          double z = 0, *row = expected_weights.data() + (b * T + i) * S;
          for (int64_t j = 0; j < n; ++j) {
            const auto key = phi(form, false, k.data<double>() + (b * S + j) * D, D, double(j + 1), op.extents.source[size_t(b)]);
            for (size_t m = 0; m < key.size(); ++m) row[j] += query[m] * key[m];
            z += row[j];
          }
          for (int64_t j = 0; j < n; ++j) {
            row[j] /= std::max(z, form.eps);
            for (int64_t d = 0; d < D; ++d) expected[size_t((b * T + i) * D + d)] += row[j] * v.data<double>()[(b * S + j) * D + d];
          }
        }
      CHECK(difference(y, Context::cpu().from(expected.data(), {2, 1, T, D})) < 1e-12);
      CHECK(difference(weights, Context::cpu().from(expected_weights.data(), {2, 1, T, S})) < 1e-12);
    }
  for (const LinearForm& form : forms(D)) {
    const LinearAttention op{Mask::causal(), form, {{50, 50}, {60, 60}}};
    const Tensor whole = op.forward(q, k, v, nullptr);
    LinearAttentionState state(Context::cpu(), 2, 1, D, DType::f64, form, 50, 60);
    for (int64_t t = 0; t < T; ++t) {
      state.append(k.slice(2, t, t + 1), v.slice(2, t, t + 1));
      CHECK(difference(state.step(q.slice(2, t, t + 1), t), whole.slice(2, t, t + 1)) < 1e-12);
    }
  }
}

TEST_CASE("favor's features estimate the softmax kernel, and its rows are orthogonal within a block") {
  const int64_t D = 8, M = 4096;
  const Tensor w = favor_projection(Context::cpu(), M, D, RandomKey{1}), x = noise({1, 1, 2, D}, 2);
  const auto rows = w.values<double>();
  double dot = 0;
  for (int64_t d = 0; d < D; ++d) dot += rows[size_t(d)] * rows[size_t(D + d)];
  CHECK(std::abs(dot) < 1e-12);
  const FeatureLift<double> lift(FeatureMap::favor, D, w);
  std::vector<double> a(size_t(4 * M)), b(size_t(4 * M));
  lift.lift(FeatureSide::key, x.data<double>(), D, 1, nullptr, 1, a.data());
  lift.lift(FeatureSide::key, x.data<double>() + D, D, 1, nullptr, 1, b.data());
  double product = 0, exact = 0;                            // E[φ(x)·φ(y)] = exp(x'·y')
  for (int64_t m = 0; m < M; ++m) product += a[size_t(m)] * b[size_t(m)];
  for (int64_t d = 0; d < D; ++d) exact += x.data<double>()[d] * x.data<double>()[D + d] / std::sqrt(double(D));
  CHECK(product == doctest::Approx(std::exp(exact)).epsilon(0.15));
}

TEST_CASE("a cosformer row past the extent keeps its last angle, and extents must be lengths") {
  const Tensor x = noise({1, 1, 30, 4}, 9);
  const LinearForm form{.map = FeatureMap::cosformer};
  for (const double y : LinearAttention{Mask::causal(), form, {{10}, {10}}}.forward(x, x, x, nullptr).values<double>()) CHECK(std::abs(y) < 5);
  CHECK_THROWS_AS((LinearAttention{{}, form, {{0}, {10}}}.forward(x, x, x, nullptr)), Error);
  CHECK_THROWS_AS(LinearAttentionState(Context::cpu(), 1, 1, 4, DType::f64, form, 10, 0), Error);
}

TEST_CASE("linear attention refuses write times that decrease") {
  Mask mask;
  mask.rule = Mask::Rule::given, mask.rows = 2, mask.written_at = {2, 1};
  const Tensor x = noise({1, 1, 2, 4}, 8);
  CHECK_THROWS_AS(LinearAttention{.mask = mask}.forward(x, x, x, nullptr), Error);
  CHECK_THROWS_AS((LinearAttention{{}, LinearForm{.eps = 0}}.forward(x, x, x, nullptr)), Error);
}
