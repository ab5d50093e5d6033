#include "engine/ops/elementwise.h"

#include <doctest/doctest.h>

#include <typeinfo>

#include "engine/core/random.h"

using namespace alinea;

namespace {

template <class T>
Tensor random(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<T> v(size_t(shape.count()));
  for (T& x : v) x = T(3 * draw.normal());
  return Context::cpu().from(v.data(), shape);
}

// Float against the same struct on doubles, for a size with a tail and more than one thread.
// The value's error is relative to max(1, |y|), the gradient's to max(1, |g|, |dx|).
template <class F>
void check_float(F f, double tolerance, bool positive = false) {
  const Tensor x = random<float>({70001}, 1), g = random<float>({70001}, 2);
  if (positive)
    for (int64_t i = 0; i < x.count(); ++i) x.data<float>()[i] = std::abs(x.data<float>()[i]) + 0.1f;
  typename Elementwise<F>::Saved kept;
  const Elementwise<F> op{f};
  const Tensor y = op.forward(x, &kept);
  const Tensor d = op.backward(std::move(kept), Tensor(g), {})[0];
  const auto vx = x.values<double>(), vy = y.values<double>(), vg = g.values<double>(), vd = d.values<double>();
  double worst = 0;
  for (size_t i = 0; i < vx.size(); ++i) {
    const double value = f.value(vx[i]), slope = vg[i] * f.slope(F::keep == math::Keep::output ? value : vx[i]);
    worst = std::max({worst, std::abs(vy[i] - value) / std::max(1.0, std::abs(value)), std::abs(vd[i] - slope) / std::max({1.0, std::abs(vg[i]), std::abs(slope)})});
  }
  CAPTURE(std::string(typeid(F).name()));
  CHECK(worst <= tolerance);
}

}  // namespace

TEST_CASE("elementwise: floats equal doubles to rounding") {
  check_float(math::Relu{}, 0);
  check_float(math::Gelu{}, 2e-6);
  check_float(math::Silu{}, 2e-6);
  check_float(math::Sigmoid{}, 1e-6);
  check_float(math::Tanh{}, 2e-6);
  check_float(math::Exp{}, 1e-6);
  check_float(math::Log{}, 1e-6, true);
  check_float(math::Scale{-2.5}, 1e-6);
}

TEST_CASE("elementwise: known values") {
  const std::vector<double> x{-1, 0, 2};
  auto at = [&](auto f, size_t i) { return Elementwise<decltype(f)>{f}.forward(Context::cpu().from(x.data(), {3}), nullptr).template values<double>()[i]; };
  CHECK(at(math::Gelu{}, 0) == doctest::Approx(-0.15865525393145707).epsilon(1e-14));
  CHECK(at(math::Gelu{}, 2) == doctest::Approx(1.9544997361036416).epsilon(1e-14));
  CHECK(at(math::Silu{}, 2) == doctest::Approx(1.7615941559557649).epsilon(1e-14));
  CHECK(at(math::Relu{}, 0) == 0);
  CHECK(at(math::AddScalar{0.5}, 2) == 2.5);
  CHECK(std::isnan(math::Relu{}.value(std::nan(""))));
}

TEST_CASE("elementwise: backward writes into g only when nobody else holds it") {
  const Elementwise<math::Tanh> op;
  Elementwise<math::Tanh>::Saved kept, again;
  const Tensor x = random<float>({100}, 3), held = random<float>({100}, 4);
  const auto before = held.values<float>();
  op.forward(x, &kept), op.forward(x, &again);
  const Tensor d = op.backward(std::move(kept), Tensor(held), {})[0];
  CHECK_FALSE(d.shares_storage(held));
  CHECK(held.values<float>() == before);
  Tensor own = held.clone();
  const float* address = own.data<float>();
  const Tensor e = op.backward(std::move(again), std::move(own), {})[0];
  CHECK(e.data<float>() == address);
  CHECK(e.values<float>() == d.values<float>());
}

TEST_CASE("elementwise: two inputs, what is kept, and refusals") {
  const Tensor a = random<float>({5, 7}, 5), b = random<float>({5, 7}, 6);
  Elementwise2<math::Mul>::Saved kept;
  kept.needs[1].wanted = false;
  Elementwise2<math::Mul>{}.forward(a, b, &kept);
  CHECK_FALSE(kept.a);   // b is frozen
  CHECK(kept.b);
  Needs<2> need;
  need[1].wanted = false;
  const Grads<2> d = Elementwise2<math::Mul>{}.backward(std::move(kept), Context::cpu().full({5, 7}, DType::f32, 1), need);
  CHECK(d[0].values<float>() == b.values<float>());
  CHECK_FALSE(d[1]);
  // Sub: g for a is not the buffer that is negated for b.
  const Grads<2> s = Elementwise2<math::Sub>{}.backward({}, Context::cpu().full({3}, DType::f32, 2), {});
  CHECK(s[0].values<float>() == std::vector<float>{2, 2, 2});
  CHECK(s[1].values<float>() == std::vector<float>{-2, -2, -2});
  CHECK_THROWS_WITH(Elementwise2<math::Add>{}.forward(a, random<float>({7}, 1), nullptr), doctest::Contains("expand() broadcasts"));
  CHECK_THROWS_AS(Elementwise<math::Exp>{}.forward(a.permute({1, 0}), nullptr), Error);
}

TEST_CASE("add_bias_gelu equals its parts") {
  const Tensor x = random<double>({3, 21}, 7), r = random<double>({3, 21}, 8), bias = random<double>({21}, 9);
  const auto y = AddBiasGelu{}.forward(x, r, bias, nullptr).values<double>();
  for (int64_t i = 0; i < 63; ++i)
    CHECK(y[size_t(i)] == doctest::Approx(math::Gelu{}.value(x.data<double>()[i] + r.data<double>()[i] + bias.data<double>()[i % 21])).epsilon(1e-14));
  CHECK_THROWS_AS(AddBiasGelu{}.forward(x, r, x, nullptr), Error);
}
