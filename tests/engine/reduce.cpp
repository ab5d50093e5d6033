#include "engine/ops/reduce.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"

using namespace alinea;

namespace {

Tensor random(const Shape& shape) {
  Draw draw(RandomKey{11});
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(draw.normal() + 0.5);
  return Context::cpu().from(v.data(), shape);
}

// Plain sums in double.
std::vector<double> plain(const Tensor& x, const Shape& small) {
  const auto v = x.values<double>();
  std::vector<double> y(size_t(small.count()), 0.0);
  const int lead = x.rank() - small.rank;
  for (int64_t i = 0; i < x.count(); ++i) {
    int64_t rest = i, at = 0, step = 1;
    for (int a = x.rank(); a-- > 0; rest /= x.size(a))
      if (a >= lead) at += (small.dim[a - lead] == 1 ? 0 : rest % x.size(a)) * step, step *= small.dim[a - lead];
    y[size_t(at)] += v[size_t(i)];
  }
  return y;
}

void check(const Tensor& x, const Shape& small) {
  const auto y = sum_over(x, small).values<double>(), want = plain(x, small);
  double worst = 0;
  for (size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - want[i]) / (1 + std::abs(want[i])));
  CAPTURE(small.str());
  CHECK(worst < 2e-6);
}

}  // namespace

TEST_CASE("sum_over: every axis pattern and large sums") {
  const Tensor x = random({3, 4, 5, 37});
  for (int pattern = 0; pattern < 16; ++pattern) {
    Shape small = x.shape();
    for (int a = 0; a < 4; ++a)
      if (pattern >> a & 1) small.dim[a] = 1;
    check(x, small);
  }
  check(x, {37});
  check(x, {5, 1});
  check(x, {});
  const Tensor wide = random({300, 1001});
  check(wide, {1001});
  check(wide, {300, 1});
  check(wide, {1});
  CHECK_THROWS_AS(sum_over(wide, {7}), Error);
}

TEST_CASE("sum and mean: shapes, values, gradients, empty") {
  const Tensor x = random({2, 3, 4});
  CHECK(Sum{}.forward(x, nullptr).shape() == Shape{});
  CHECK(Sum{1}.forward(x, nullptr).shape() == Shape{2, 4});
  CHECK(Sum{{}, true}.forward(x, nullptr).item() == doctest::Approx(plain(x, {})[0] / 24));
  CHECK(Sum{-1, true}.forward(x, nullptr).values<double>()[5] == doctest::Approx(plain(x, {2, 3, 1})[5] / 4));
  Sum::Saved kept;
  const Sum op{-1, true};
  op.forward(x, &kept);
  const float g[6] = {1, 2, 3, 4, 5, 6};
  const auto d = op.backward(std::move(kept), Context::cpu().from(g, {2, 3}), {})[0].values<float>();
  for (size_t i = 0; i < 24; ++i) CHECK(d[i] == g[i / 4] / 4);
  CHECK(Sum{}.forward(Context::cpu().empty({0, 3}, DType::f32), nullptr).item() == 0);
  CHECK_THROWS_AS((Sum{{}, true}.forward(Context::cpu().empty({0}, DType::f32), nullptr)), Error);
}

TEST_CASE("sum of everything does not depend on the number of threads") {
  const Tensor x = random({500, 777});
  const int before = threads();
  set_threads(1);
  const double one = Sum{}.forward(x, nullptr).item();
  set_threads(3);
  CHECK(Sum{}.forward(x, nullptr).item() == one);
  set_threads(before);
}
