#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/core/random.h"
#include "engine/ops/softmax.h"

using namespace alinea;

TEST_CASE("softmax and log_softmax: float rows equal plain loops in double, widths around the vector length") {
  for (const int64_t n : {1, 5, 16, 17, 64, 129}) {
    CAPTURE(n);
    Draw draw(RandomKey{uint64_t(n)});
    std::vector<float> x(size_t(3 * n));
    for (float& v : x) v = float(20 * draw.normal());
    const Tensor in = Context::cpu().from(x.data(), {3, n});
    const auto y = Softmax{}.forward(in, nullptr).values<double>(), log_y = LogSoftmax{}.forward(in, nullptr).values<double>();
    for (int64_t r = 0; r < 3; ++r) {
      double total = 0;
      for (int64_t i = 0; i < n; ++i) total += std::exp(double(x[size_t(r * n + i)]));
      for (int64_t i = 0; i < n; ++i) {
        const double want = double(x[size_t(r * n + i)]) - std::log(total);
        CHECK(std::abs(y[size_t(r * n + i)] - std::exp(want)) <= 1e-6);
        CHECK(log_y[size_t(r * n + i)] == doctest::Approx(want).epsilon(2e-6));
      }
    }
  }
}

TEST_CASE("softmax: huge values, hidden columns, rows with nothing left") {
  constexpr float hidden = -std::numeric_limits<float>::infinity();
  Context& cpu = Context::cpu();
  const std::vector<float> x = {1e30f, 1e30f, 0, hidden, 5, hidden, hidden, hidden, hidden};
  const Tensor in = cpu.from(x.data(), {3, 3});
  Softmax::Saved kept;
  CHECK(Softmax{}.forward(in, &kept).values<double>() == std::vector<double>{0.5, 0.5, 0, 0, 1, 0, 0, 0, 0});
  const auto dx = Softmax{}.backward(std::move(kept), cpu.full({3, 3}, DType::f32, 2), {})[0].values<double>();
  CHECK(dx == std::vector<double>(9, 0));

  LogSoftmax::Saved log_kept;
  const auto y = LogSoftmax{}.forward(in, &log_kept).values<double>();
  CHECK(y[3] == double(hidden));
  CHECK(y[4] == 0);
  for (size_t i = 6; i < 9; ++i) CHECK(y[i] == double(hidden));
  const auto log_dx = LogSoftmax{}.backward(std::move(log_kept), cpu.full({3, 3}, DType::f32, 2), {})[0].values<double>();
  CHECK(log_dx == std::vector<double>{-1, -1, 2, 2, -4, 2, 0, 0, 0});
}

TEST_CASE("softmax: NaN stays visible") {
  const std::vector<float> x = {0, std::nanf(""), 1, 2};
  for (const double y : Softmax{}.forward(Context::cpu().from(x.data(), {1, 4}), nullptr).values<double>()) CHECK(std::isnan(y));
}

TEST_CASE("softmax: a gradient that others hold is left as it is") {
  Context& cpu = Context::cpu();
  const std::vector<double> x = {1, 2, 3};
  Softmax::Saved kept;
  const Tensor y = Softmax{}.forward(cpu.from(x.data(), {3}), &kept), g = cpu.from(x.data(), {3});
  Tensor handed = g;
  const Tensor dx = Softmax{}.backward(std::move(kept), std::move(handed), {})[0];
  CHECK(g.values<double>() == x);
  const auto p = y.values<double>(), d = dx.values<double>();
  const double dot = p[0] * 1 + p[1] * 2 + p[2] * 3;
  for (size_t i = 0; i < 3; ++i) CHECK(d[i] == doctest::Approx(p[i] * (x[i] - dot)));
}
