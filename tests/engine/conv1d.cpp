#include "engine/ops/conv1d.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"

using namespace alinea;

namespace {

std::vector<double> noise(int64_t n, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<double> v;
  for (int64_t i = 0; i < n; ++i) v.push_back(draw.normal());
  return v;
}

// The definition, by plain loops.
std::vector<double> by_definition(const Conv1d& op, const std::vector<double>& x, const Shape& xs, const std::vector<double>& w, const Shape& ws, const std::vector<double>& bias) {
  const int64_t T = xs[1], C = xs[2], O = ws[0], in = ws[1], K = ws[2], rows = op.output_length(T, K);
  std::vector<double> y;
  for (int64_t b = 0; b < xs[0]; ++b)
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t o = 0; o < O; ++o) {
        double s = bias[size_t(o)];
        for (int64_t k = 0; k < K; ++k)
          for (int64_t c = 0; c < in; ++c) {
            const int64_t from = t * op.stride + k - op.pad_left, channel = o / (O / op.groups) * in + c;
            if (from >= 0 && from < T) s += w[size_t((o * in + c) * K + k)] * x[size_t((b * T + from) * C + channel)];
          }
        y.push_back(op.activation == Activation::relu ? std::max(s, 0.0) : s);
      }
  return y;
}

}  // namespace

TEST_CASE("conv1d equals its definition for many shapes") {
  struct Case {
    Conv1d op;
    Shape x, w;
  };
  const Case cases[] = {
      {{}, {1, 1, 1}, {1, 1, 1}},
      {{.stride = 2, .pad_left = 4}, {3, 50, 8}, {12, 8, 5}},
      {{.stride = 2, .pad_left = 4}, {3, 500, 8}, {12, 8, 5}},
      {{.stride = 5}, {1, 1600, 1}, {16, 1, 10}},
      {{.stride = 2}, {1, 319, 16}, {16, 16, 3}},
      {{.stride = 2}, {4, 21, 3}, {5, 3, 2}},
      {{.stride = 3}, {4, 21, 3}, {5, 3, 2}},                                     // gaps between the windows
      {{.pad_left = 64, .pad_right = 64, .groups = 4}, {1, 50, 16}, {16, 4, 128}},
      {{.pad_left = 20, .pad_right = 19, .groups = 2}, {1, 50, 32}, {32, 16, 40}},    // narrow groups: windows meet packed weights
      {{.pad_left = 20, .groups = 3}, {2, 23, 24}, {48, 8, 35}},
      {{.stride = 2, .groups = 2}, {2, 61, 16}, {32, 8, 33}},
      {{.pad_left = 3, .pad_right = 2, .groups = 2, .activation = Activation::relu}, {5, 9, 6}, {4, 3, 6}},
      {{.stride = 2, .pad_left = 1, .pad_right = 5}, {2, 3, 2}, {3, 2, 3}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.x.str());
    CAPTURE(c.w.str());
    const auto x = noise(c.x.count(), 1), w = noise(c.w.count(), 2), bias = noise(c.w[0], 3);
    Context& cpu = Context::cpu();
    const auto y = c.op.forward(cpu.from(x.data(), c.x), cpu.from(w.data(), c.w), cpu.from(bias.data(), Shape{c.w[0]}), nullptr).values<double>();
    const auto expected = by_definition(c.op, x, c.x, w, c.w, bias);
    REQUIRE(y.size() == expected.size());
    double worst = 0;
    for (size_t i = 0; i < y.size(); ++i) worst = std::max(worst, std::abs(y[i] - expected[i]));
    CHECK(worst < 1e-12);
  }
}

TEST_CASE("conv1d adds to a parameter's gradient buffer") {
  Context& cpu = Context::cpu();
  const Conv1d op{.pad_left = 2};
  Conv1d::Saved kept;
  const Tensor x = cpu.full({2, 6, 3}, DType::f32, 1), w = cpu.full({4, 3, 3}, DType::f32, 0.5);
  op.forward(x, w, {}, &kept);
  const Tensor into = cpu.full({4, 3, 3}, DType::f32, 100);
  const auto d = op.backward(std::move(kept), cpu.full({2, 6, 4}, DType::f32, 1), {Need{}, Need{true, into}, Need{false, {}}});
  CHECK(d[1].shares_storage(into));
  const auto v = into.values<double>();
  CHECK(v[0] == 100 + 2 * 4);                                                     // tap 0 meets rows 0 … 3 of both items
  CHECK(v[2] == 100 + 2 * 6);
}

TEST_CASE("conv1d refuses what does not fit") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({1, 4, 3}, DType::f32);
  CHECK_THROWS_AS(Conv1d{}.forward(x, cpu.zeros({2, 2, 3}, DType::f32), {}, nullptr), Error);
  CHECK_THROWS_AS(Conv1d{}.forward(x, cpu.zeros({2, 3, 5}, DType::f32), {}, nullptr), Error);
  CHECK_THROWS_AS(Conv1d{.groups = 2}.forward(x, cpu.zeros({2, 3, 1}, DType::f32), {}, nullptr), Error);
}
