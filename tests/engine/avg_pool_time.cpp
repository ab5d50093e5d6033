#include "engine/ops/avg_pool_time.h"

#include <doctest/doctest.h>

using namespace alinea;

TEST_CASE("avg_pool_time averages the real members of each window") {
  std::vector<double> v;
  for (int i = 0; i < 14; ++i) v.push_back(i);
  const Tensor x = Context::cpu().from(v.data(), {2, 7, 1});
  CHECK(AvgPoolTime{3, {}}.forward(x, nullptr).values<double>() == std::vector<double>{1, 4, 6, 8, 11, 13});
  CHECK(AvgPoolTime{3, {5, 1}}.forward(x, nullptr).values<double>() == std::vector<double>{1, 3.5, 0, 7, 0, 0});
  CHECK_THROWS_AS((AvgPoolTime{3, {8, 1}}.forward(x, nullptr)), Error);
}

TEST_CASE("avg_pool_time hands a window's gradient to its members in equal shares") {
  const Tensor x = Context::cpu().zeros({1, 5, 1}, DType::f64);
  const AvgPoolTime op{2, {4}};
  AvgPoolTime::Saved kept;
  op.forward(x, &kept);
  const double g[] = {2, 6, 100};
  const auto d = op.backward(std::move(kept), Context::cpu().from(g, {1, 3, 1}), {});
  CHECK(d[0].values<double>() == std::vector<double>{1, 1, 3, 3, 0});
}
