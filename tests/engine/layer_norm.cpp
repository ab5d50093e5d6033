#include <doctest/doctest.h>

#include <cmath>

#include "autograd/layer_norm.h"
#include "engine/core/random.h"

using namespace alinea;

namespace {

Tensor normal(const Shape& shape, RandomKey key, DType dtype) {
  Draw draw(key);
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape).to(dtype);
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace

TEST_CASE("layer_norm: float rows equal plain loops in double, widths around the vector length") {
  for (const int64_t n : {1, 2, 15, 16, 17, 63, 64, 65, 512}) {
    CAPTURE(n);
    const RandomKey key{uint64_t(n)};
    const Tensor x = normal({3, n}, key.child("x"), DType::f32), w = normal({n}, key.child("w"), DType::f32), b = normal({n}, key.child("b"), DType::f32);
    const auto y = LayerNorm{1e-3}.forward(x, w, b, nullptr).values<double>();
    const auto xs = x.values<double>(), ws = w.values<double>(), bs = b.values<double>();
    for (int64_t r = 0; r < 3; ++r) {
      double mean = 0, variance = 0;
      for (int64_t i = 0; i < n; ++i) mean += xs[size_t(r * n + i)] / double(n);
      for (int64_t i = 0; i < n; ++i) variance += std::pow(xs[size_t(r * n + i)] - mean, 2) / double(n);
      for (int64_t i = 0; i < n; ++i) {
        const double want = (xs[size_t(r * n + i)] - mean) / std::sqrt(variance + 1e-3) * ws[size_t(i)] + bs[size_t(i)];
        CHECK(y[size_t(r * n + i)] == doctest::Approx(want).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("layer_norm: a large common offset does not cost the variance") {
  std::vector<float> v(64);
  for (size_t i = 0; i < v.size(); ++i) v[i] = 10000.0f + (i % 2 ? 0.5f : -0.5f);
  Context& cpu = Context::cpu();
  const auto y = LayerNorm{0}.forward(cpu.from(v.data(), {1, 64}), cpu.full({64}, DType::f32, 1), cpu.zeros({64}, DType::f32), nullptr).values<double>();
  for (size_t i = 0; i < v.size(); ++i) CHECK(y[i] == doctest::Approx(i % 2 ? 1 : -1).epsilon(1e-6));
}

TEST_CASE("residual_layer_norm equals the sum followed by layer_norm, with gradients on either output or both") {
  const RandomKey key{3};
  const Shape shape{5, 33};
  const Tensor x = normal(shape, key.child("x"), DType::f64), r = normal(shape, key.child("r"), DType::f64);
  const Tensor w = normal({33}, key.child("w"), DType::f64), b = normal({33}, key.child("b"), DType::f64);
  const Tensor gs = normal(shape, key.child("gs"), DType::f64), gy = normal(shape, key.child("gy"), DType::f64);
  for (const bool use_sum : {false, true}) {
    for (const bool use_y : {false, true}) {
      if (!use_sum && !use_y) continue;
      CAPTURE(use_sum);
      CAPTURE(use_y);
      Tape fused;
      const Variable fx = fused.watch(x), fr = fused.watch(r), fw = fused.watch(w);
      const ResidualNorm out = residual_layer_norm(fx, fr, fw, b);
      std::vector<Variable> outputs;
      std::vector<Tensor> gradients;
      if (use_sum) outputs.push_back(out.sum), gradients.push_back(gs.clone());
      if (use_y) outputs.push_back(out.y), gradients.push_back(gy.clone());
      fused.backward(outputs, std::move(gradients));

      Tape plain;
      const Variable s = plain.watch(out.sum.value()), pw = plain.watch(w);
      const Variable y = layer_norm(s, pw, b);
      CHECK(largest_difference(y.value(), out.y.value()) == 0);
      plain.backward(std::vector{y, s}, {use_y ? gy.clone() : Context::cpu().zeros(shape, DType::f64), use_sum ? gs.clone() : Context::cpu().zeros(shape, DType::f64)});
      CHECK(largest_difference(fused.grad(fx), plain.grad(s)) < 1e-14);
      CHECK(largest_difference(fused.grad(fr), plain.grad(s)) < 1e-14);
      if (use_y) CHECK(largest_difference(fused.grad(fw), plain.grad(pw)) < 1e-13);
    }
  }
}

TEST_CASE("layer_norm: a parameter's gradient is added to what its buffer holds") {
  Context& cpu = Context::cpu();
  const Tensor x = normal({200, 40}, RandomKey{4}, DType::f64);
  Parameter weight{cpu.full({40}, DType::f64, 1), cpu.full({40}, DType::f64, 100)}, bias{cpu.zeros({40}, DType::f64), cpu.full({40}, DType::f64, 7)};
  Tape tape;
  const Variable y = layer_norm(x, tape.use(weight), tape.use(bias));
  tape.backward(std::span(&y, 1), {cpu.full({200, 40}, DType::f64, 1)});
  const auto normals = y.value().values<double>();
  for (size_t c = 0; c < 40; ++c) {
    double sum = 100;
    for (size_t r = 0; r < 200; ++r) sum += normals[r * 40 + c];
    CHECK(weight.grad.values<double>()[c] == doctest::Approx(sum).epsilon(1e-12));
    CHECK(bias.grad.values<double>()[c] == 207);
  }
}

TEST_CASE("layer_norm refuses shapes that do not fit") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({2, 4}, DType::f32), w = cpu.zeros({4}, DType::f32), three = cpu.zeros({3}, DType::f32);
  CHECK_THROWS_AS(LayerNorm{}.forward(x, three, three, nullptr), Error);
  CHECK_THROWS_AS(LayerNorm{}.forward(x, w, w.to(DType::f64), nullptr), Error);
  CHECK_THROWS_AS((ResidualLayerNorm{}.forward(x, cpu.zeros({2, 3}, DType::f32), w, w, nullptr)), Error);
}
