#include "engine/ops/glu.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"

using namespace alinea;

TEST_CASE("glu: halves along any axis, against plain loops") {
  const Shape shape{4, 6, 38};
  Draw draw(RandomKey{3});
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(draw.normal());
  for (int axis = 0; axis < 3; ++axis) {
    const Tensor x = Context::cpu().from(v.data(), shape);
    const int64_t n = shape[axis] / 2;
    const Tensor y = Glu{axis}.forward(x, nullptr), a = x.slice(axis, 0, n), b = x.slice(axis, n, 2 * n);
    CHECK(y.shape() == a.shape());
    const auto vy = y.values<double>(), va = a.values<double>(), vb = b.values<double>();
    double worst = 0;
    for (size_t i = 0; i < vy.size(); ++i) worst = std::max(worst, std::abs(vy[i] - va[i] / (1 + std::exp(-vb[i]))));
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("glu: backward reuses x only when nobody else holds it; odd axes are refused") {
  const float v[4] = {1, 2, 0, 0};
  const Tensor x = Context::cpu().from(v, {4});
  Glu::Saved kept;
  Glu{}.forward(x, &kept);
  const Tensor d = Glu{}.backward(std::move(kept), Context::cpu().full({2}, DType::f32, 1), {})[0];
  CHECK(d.values<float>() == std::vector<float>{0.5f, 0.5f, 0.25f, 0.5f});
  CHECK(x.values<float>() == std::vector<float>{1, 2, 0, 0});
  Glu::Saved own{x.clone()};
  const float* address = own.x.data<float>();
  CHECK(Glu{}.backward(std::move(own), Context::cpu().full({2}, DType::f32, 1), {})[0].data<float>() == address);
  CHECK_THROWS_WITH(Glu{}.forward(Context::cpu().zeros({2, 3}, DType::f32), nullptr), doctest::Contains("even size"));
}
