#include "engine/ops/few_rows.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/ops/embedding.h"

using namespace alinea;

namespace {

Tensor normal(const Shape& shape, uint64_t seed, DType dtype) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(static_cast<size_t>(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape).to(dtype);
}

double act(double x, Activation a) {
  if (a == Activation::relu) return std::max(x, 0.0);
  return a == Activation::gelu ? x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))) : x;
}

}  // namespace

TEST_CASE("linear: every number of rows, width and activation gives act(x Wᵀ + b), in f32, f64 and with weights stored as bf16") {
  const Shape sizes[] = {{1, 1}, {5, 0}, {7, 3}, {4, 16}, {5, 17}, {33, 64}, {130, 100}, {66, 1031}};   // [O, C]
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16})
    for (const Shape& size : sizes)
      for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 40})
        for (const Activation a : {Activation::none, Activation::relu, Activation::gelu}) {
          const int64_t O = size[0], C = size[1];
          const DType wide = dtype == DType::bf16 ? DType::f32 : dtype;
          const Tensor x = normal({rows, C}, 1, wide), w = normal(size, 2, dtype), b = a == Activation::relu ? Tensor() : normal({O}, 3, wide);
          const Tensor y = Linear{a}.forward(x, w, b, nullptr);
          REQUIRE(y.shape() == Shape{rows, O});
          REQUIRE(y.dtype() == wide);
          const auto xs = x.values<double>(), ws = w.values<double>(), ys = y.values<double>(), bs = b ? b.values<double>() : std::vector<double>(size_t(O), 0);
          double worst = 0;
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t o = 0; o < O; ++o) {
              double s = bs[size_t(o)], scale = 1;
              for (int64_t c = 0; c < C; ++c) {
                const double term = xs[size_t(r * C + c)] * ws[size_t(o * C + c)];
                s += term, scale += std::abs(term);
              }
              worst = std::max(worst, std::abs(act(s, a) - ys[size_t(r * O + o)]) / scale);
            }
          CHECK(worst < (wide == DType::f64 ? 1e-14 : 1e-6));
        }
}

TEST_CASE("linear: a row's result does not depend on the rows beside it or on the number of threads") {
  const Tensor x = normal({11, 1000}, 4, DType::f32), w = normal({301, 1000}, 5, DType::bf16), b = normal({301}, 6, DType::f32);
  const auto together = Linear{Activation::gelu}.forward(x, w, b, nullptr).values<float>();
  const int before = threads();
  for (const int n : {1, 3}) {
    set_threads(n);
    for (int64_t r = 0; r < 11; ++r) {
      const auto alone = Linear{Activation::gelu}.forward(x.slice(0, r, r + 1), w, b, nullptr).values<float>();
      CHECK(std::equal(alone.begin(), alone.end(), together.begin() + r * 301));
    }
  }
  set_threads(before);
}

TEST_CASE("weights stored as bf16 are looked up as they are, and refused by name where a gradient is wanted") {
  const Tensor table = normal({9, 21}, 7, DType::bf16);
  const int64_t ids[] = {8, 0, 3};
  const Tensor at = Context::cpu().from(ids, {3}), y = Embedding{.scale = 2.5}.forward(table, at, nullptr);
  CHECK(y.dtype() == DType::f32);
  const auto v = y.values<float>(), t = table.values<float>();
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t c = 0; c < 21; ++c) CHECK(v[size_t(r * 21 + c)] == t[size_t(ids[r] * 21 + c)] * 2.5f);
  Embedding::Saved looked_up;
  CHECK_THROWS_WITH_AS(Embedding{}.forward(table, at, &looked_up), doctest::Contains("embedding: weight [9, 21] is bf16 and has no gradient"), Error);
  Linear::Saved product;
  CHECK_THROWS_WITH_AS(Linear{}.forward(y, table, {}, &product), doctest::Contains("linear: weight [9, 21] is bf16 and has no gradient"), Error);
  CHECK_THROWS_WITH_AS(Linear{}.forward(y.to(DType::f64), table, {}, nullptr), doctest::Contains("x f32 and weight bf16"), Error);
}
