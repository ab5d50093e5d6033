#include "engine/ops/conv2d.h"

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

struct Case {
  Conv2d op;
  Shape x, w;
};

// f(flat places of y, x and w) for every product of the definition.
template <class F>
void each_product(const Case& c, F&& f) {
  const int64_t H = c.x[1], W = c.x[2], C = c.x[3], O = c.w[0], M = c.w[2], N = c.w[3];
  const int64_t rows = c.op.output_size(0, H, M), columns = c.op.output_size(1, W, N);
  for (int64_t y = 0; y < c.x[0] * rows * columns * O; ++y) {
    const int64_t o = y % O, j = y / O % columns, i = y / O / columns % rows, b = y / O / columns / rows;
    for (int64_t w = 0; w < C * M * N; ++w) {
      const int64_t n = w % N, m = w / N % M, channel = w / N / M;
      const int64_t h = i * c.op.stride[0] + m - c.op.padding[0], v = j * c.op.stride[1] + n - c.op.padding[1];
      if (h >= 0 && h < H && v >= 0 && v < W) f(size_t(y), size_t(((b * H + h) * W + v) * C + channel), size_t(o * C * M * N + w));
    }
  }
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

const Case cases[] = {
    {{}, {1, 1, 1, 1}, {1, 1, 1, 1}},
    {{.stride = {2, 2}, .padding = {1, 1}}, {3, 41, 80, 1}, {8, 1, 3, 3}},     // several tiles of im2col
    {{.stride = {2, 2}, .padding = {1, 1}}, {2, 101, 40, 48}, {5, 48, 3, 3}},  // several tiles of shifted rows
    {{.stride = {1, 1}, .padding = {1, 1}}, {1, 120, 20, 20}, {3, 20, 3, 3}},
    {{.stride = {3, 2}, .padding = {0, 1}}, {2, 14, 9, 70}, {4, 70, 2, 4}},  // rows that no window sees
    {{.stride = {1, 3}, .padding = {4, 0}}, {2, 3, 11, 30}, {4, 30, 5, 2}},  // windows that see padding alone
    {{.stride = {5, 5}, .padding = {2, 3}}, {2, 23, 17, 2}, {3, 2, 4, 3}},
};

}  // namespace

TEST_CASE("conv2d and its gradients equal their definition for many shapes and numbers of threads") {
  Context& cpu = Context::cpu();
  for (const int n : {1, 2, 3})
    for (const Case& c : cases) {
      set_threads(n);
      CAPTURE(n);
      CAPTURE(c.x.str());
      CAPTURE(c.w.str());
      const auto x = noise(c.x.count(), 1), w = noise(c.w.count(), 2), bias = noise(c.w[0], 3);
      Conv2d::Saved kept;
      const Tensor result = c.op.forward(cpu.from(x.data(), c.x), cpu.from(w.data(), c.w), cpu.from(bias.data(), Shape{c.w[0]}), &kept);
      const auto g = noise(result.count(), 4);
      std::vector<double> y(g.size()), dx(x.size()), dw(w.size());
      for (size_t i = 0; i < y.size(); ++i) y[i] = bias[i % bias.size()];
      each_product(c, [&](size_t iy, size_t ix, size_t iw) { y[iy] += x[ix] * w[iw], dx[ix] += g[iy] * w[iw], dw[iw] += g[iy] * x[ix]; });
      CHECK(largest_difference(result.values<double>(), y) < 1e-11);
      const auto d = c.op.backward(std::move(kept), cpu.from(g.data(), result.shape()), Needs<3>{});
      CHECK(largest_difference(d[0].values<double>(), dx) < 1e-11);
      CHECK(largest_difference(d[1].values<double>(), dw) < 1e-10);
    }
  set_threads(0);
}

TEST_CASE("conv2d adds to a parameter's gradient buffer and computes nothing for frozen inputs") {
  Context& cpu = Context::cpu();
  const Conv2d op{.padding = {1, 0}, .activation = Activation::relu};
  Conv2d::Saved kept{.needs = {Need{false, {}}, Need{}, Need{false, {}}}};
  const Tensor x = cpu.full({2, 4, 3, 2}, DType::f32, 1), w = cpu.full({4, 2, 3, 1}, DType::f32, 0.5);
  const Tensor y = op.forward(x, w, {}, &kept);
  CHECK(y.shape() == Shape{2, 4, 3, 4});
  CHECK(!kept.weight);
  const Tensor into = cpu.full({4, 2, 3, 1}, DType::f32, 100);
  const auto d = op.backward(std::move(kept), cpu.full(y.shape(), DType::f32, 1), {Need{false, {}}, Need{true, into}, Need{false, {}}});
  CHECK(!d[0]);
  CHECK(!d[2]);
  CHECK(d[1].shares_storage(into));
  const auto v = into.values<double>();
  CHECK(v[0] == 100 + 2 * 3 * 3);  // tap 0 misses the first row of outputs
  CHECK(v[1] == 100 + 2 * 4 * 3);
}

TEST_CASE("conv2d refuses what does not fit") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({1, 4, 4, 3}, DType::f32);
  CHECK_THROWS_AS(Conv2d{}.forward(x, cpu.zeros({2, 2, 3, 3}, DType::f32), {}, nullptr), Error);
  CHECK_THROWS_AS(Conv2d{}.forward(x, cpu.zeros({2, 3, 3, 5}, DType::f32), {}, nullptr), Error);
  CHECK_THROWS_AS((Conv2d{.stride = {0, 1}}.forward(x, cpu.zeros({2, 3, 3, 3}, DType::f32), {}, nullptr)), Error);
  CHECK_THROWS_AS(Conv2d{}.forward(x, cpu.zeros({2, 3, 3, 3}, DType::f32), cpu.zeros({3}, DType::f32), nullptr), Error);
}
