#include "engine/ops/adamw.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/random.h"
#include "tests/golden.h"

using namespace alinea;

namespace {

void check_near(const Tensor& got, const std::vector<double>& want) {
  const auto v = got.values<double>();
  REQUIRE(v.size() == want.size());
  for (size_t i = 0; i < v.size(); ++i) CHECK(std::abs(v[i] - want[i]) <= 2e-7 + 2e-6 * std::abs(want[i]));
}

}  // namespace

TEST_CASE("adamw: parameters, moments and clipped norms equal PyTorch's AdamW and Adam over several steps") {
  const auto file = nlohmann::json::parse(std::ifstream(golden("adamw.json")));
  Context& cpu = Context::cpu();
  for (const auto& run : file["runs"]) {
    const auto start = run["start"].get<std::vector<float>>();
    const int64_t n = int64_t(start.size());
    const Tensor p = cpu.from(start.data(), {n}), m = cpu.zeros({n}, DType::f32), v = cpu.zeros({n}, DType::f32);
    AdamW options{.lr = run["lr"], .beta1 = run["beta1"], .beta2 = run["beta2"], .eps = run["eps"], .weight_decay = run["weight_decay"], .decoupled = run["decoupled"],
                  .step = 0};
    for (const auto& step : run["steps"]) {
      ++options.step;
      const auto gradient = step["gradient"].get<std::vector<float>>();
      const Tensor g = cpu.from(gradient.data(), {n});
      const Tensor norm = l2_norm(g);
      CHECK(norm.item() == doctest::Approx(step["norm"].get<double>()).epsilon(1e-6));
      adamw_step(options, p, g, m, v, clip_scale(norm, run["max_norm"], DType::f32), 0, n);
      check_near(p, step["parameter"]);
      check_near(m, step["moment1"]);
      check_near(v, step["moment2"]);
    }
  }
}

TEST_CASE("adamw: ranges with options of their own equal separate buffers; the rest is untouched; the pure form agrees") {
  Context& cpu = Context::cpu();
  Draw draw(RandomKey{2});
  std::vector<double> values(100), gradients(100);
  for (double& x : values) x = draw.normal();
  for (double& x : gradients) x = draw.normal();
  const Tensor p = cpu.from(values.data(), {100}), g = cpu.from(gradients.data(), {100}), zero = cpu.zeros({100}, DType::f64);
  const Tensor m = zero.clone(), v = zero.clone();
  const AdamW a{.lr = 0.1, .weight_decay = 0.5}, b{.lr = 0.01};
  adamw_step(a, p, g, m, v, {}, 0, 37);
  adamw_step(b, p, g, m, v, {}, 37, 90);
  const Tensor start = cpu.from(values.data(), {100});
  const auto with_a = a.forward(start, g, zero, zero, nullptr)[0].values<double>(), with_b = b.forward(start, g, zero, zero, nullptr)[0].values<double>();
  const auto got = p.values<double>();
  for (size_t i = 0; i < 100; ++i) CHECK(got[i] == doctest::Approx(i < 37 ? with_a[i] : i < 90 ? with_b[i] : values[i]).epsilon(1e-14));
  CHECK(start.values<double>() == values);
}

TEST_CASE("l2_norm: every length, large sums keep their digits, the same for any number of threads") {
  for (const int64_t n : {0, 1, 31, 32, 33, 16384, 16385, 100001}) {
    CAPTURE(n);
    CHECK(l2_norm(Context::cpu().full({n}, DType::f32, 3)).item() == std::sqrt(9.0 * double(n)));
    CHECK(l2_norm(Context::cpu().full({n}, DType::f64, -3)).item() == std::sqrt(9.0 * double(n)));
  }
  Draw draw(RandomKey{3});
  std::vector<float> x(200000);
  for (float& v : x) v = float(draw.normal());
  const Tensor t = Context::cpu().from(x.data(), {200000});
  const int before = threads();
  set_threads(1);
  const double one = l2_norm(t).item();
  set_threads(3);
  CHECK(l2_norm(t).item() == one);
  set_threads(before);
  CHECK(std::isfinite(l2_norm(Context::cpu().full({5}, DType::f32, 1e30)).item()));
}

TEST_CASE("clip_scale and adamw's checks") {
  CHECK(clip_scale(0.5, 1) == 1);
  CHECK(clip_scale(4, 1) == doctest::Approx(0.25).epsilon(1e-6));
  CHECK(clip_scale(4, 0) == 1);
  for (const double wrong : {double(NAN), double(INFINITY)}) CHECK(std::isnan(clip_scale(wrong, 0)));
  Context& cpu = Context::cpu();
  const Tensor p = cpu.zeros({4}, DType::f32), g = cpu.zeros({3}, DType::f32);
  CHECK_THROWS_AS(adamw_step({}, p, g, p, p, {}, 0, 3), Error);
  CHECK_THROWS_AS(adamw_step({}, p, p, p, p, {}, 0, 5), Error);
  CHECK_THROWS_AS(adamw_step({}, p, p, p, p, g, 0, 4), Error);
  CHECK_THROWS_AS(adamw_step({.step = 0}, p, p, p, p, {}, 0, 4), Error);
}
