#include <doctest/doctest.h>

#include <cmath>

#include "autograd/group_norm.h"
#include "engine/core/random.h"

using namespace alinea;

namespace {

std::vector<double> plain(const std::vector<double>& x, int64_t B, int64_t T, int64_t C, int64_t groups, const std::vector<double>& w, const std::vector<double>& b) {
  std::vector<double> y(x.size());
  const int64_t width = C / groups;
  for (int64_t item = 0; item < B; ++item)
    for (int64_t k = 0; k < groups; ++k) {
      auto at = [&](int64_t t, int64_t c) { return size_t((item * T + t) * C + k * width + c); };
      double mean = 0, square = 0;
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = 0; c < width; ++c) mean += x[at(t, c)] / double(T * width);
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = 0; c < width; ++c) square += std::pow(x[at(t, c)] - mean, 2) / double(T * width);
      for (int64_t t = 0; t < T; ++t)
        for (int64_t c = 0; c < width; ++c)
          y[at(t, c)] = (x[at(t, c)] - mean) / std::sqrt(square + 1e-5) * w[size_t(k * width + c)] + b[size_t(k * width + c)];
    }
  return y;
}

}  // namespace

TEST_CASE("group_norm: float values equal plain loops in double, also far from zero and split over threads") {
  struct Case {
    int64_t B, T, C, groups;
    double offset;
  };
  for (const Case& c : {Case{2, 7, 12, 4, 0}, Case{1, 50, 33, 33, 0}, Case{3, 1, 8, 2, 0}, Case{2, 2000, 64, 64, 100}, Case{1, 999, 48, 1, 5}}) {
    CAPTURE(c.C);
    Draw draw(RandomKey{uint64_t(c.C)});
    std::vector<float> x(size_t(c.B * c.T * c.C)), w(size_t(c.C)), b(size_t(c.C));
    for (float& v : x) v = float(c.offset + draw.normal());
    for (float& v : w) v = float(draw.normal());
    for (float& v : b) v = float(draw.normal());
    Context& cpu = Context::cpu();
    const Tensor tx = cpu.from(x.data(), {c.B, c.T, c.C}), tw = cpu.from(w.data(), {c.C}), tb = cpu.from(b.data(), {c.C});
    const auto got = GroupNorm{.groups = c.groups}.forward(tx, tw, tb, nullptr).values<double>();
    const auto want = plain(tx.values<double>(), c.B, c.T, c.C, c.groups, tw.values<double>(), tb.values<double>());
    double worst = 0;
    for (size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(got[i] - want[i]));
    CHECK(worst <= (c.offset > 10 ? 1e-4 : 1e-5));
  }
}

TEST_CASE("group_norm: gradients do not depend on the number of threads beyond rounding; parameters accumulate") {
  Context& cpu = Context::cpu();
  Draw draw(RandomKey{8});
  std::vector<double> x(2 * 3000 * 24), g(x.size());
  for (double& v : x) v = draw.normal();
  for (double& v : g) v = draw.normal();
  const int before = threads();
  std::vector<std::vector<double>> dx, dw;
  for (const int n : {1, 2}) {
    set_threads(n);
    Parameter weight{cpu.full({24}, DType::f64, 2), cpu.full({24}, DType::f64, 10)};
    Tape tape;
    const Variable v = tape.watch(cpu.from(x.data(), {2, 3000, 24})), y = group_norm(v, 6, tape.use(weight), cpu.zeros({24}, DType::f64));
    tape.backward(std::span(&y, 1), {cpu.from(g.data(), {2, 3000, 24})});
    dx.push_back(tape.grad(v).values<double>());
    dw.push_back(weight.grad.values<double>());
    double want = 10;
    for (size_t i = 5; i < x.size(); i += 24) want += g[i] * y.value().data<double>()[i] / 2;
    CHECK(dw.back()[5] == doctest::Approx(want).epsilon(1e-10));
  }
  set_threads(before);
  for (size_t i = 0; i < x.size(); ++i) REQUIRE(std::abs(dx[0][i] - dx[1][i]) <= 1e-13);
}

TEST_CASE("group_norm refuses groups that do not divide the channels, and wrong shapes") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({1, 2, 6}, DType::f32), w = cpu.zeros({6}, DType::f32);
  CHECK_THROWS_AS(GroupNorm{.groups = 4}.forward(x, w, w, nullptr), Error);
  CHECK_THROWS_AS(GroupNorm{.groups = 0}.forward(x, w, w, nullptr), Error);
  CHECK_THROWS_AS(GroupNorm{.groups = 2}.forward(x, cpu.zeros({5}, DType::f32), w, nullptr), Error);
  CHECK_THROWS_AS(GroupNorm{.groups = 2}.forward(cpu.zeros({2, 6}, DType::f32), w, w, nullptr), Error);
}
