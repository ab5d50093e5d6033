#include <doctest/doctest.h>

#include <numeric>
#include <set>

#include "engine/core/random.h"
#include "engine/core/tensor.h"
#include "engine/core/vec.h"
#include "tests/engine/normal_numbers.h"

using namespace alinea;

namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> v(size_t(shape.count()));
  std::iota(v.begin(), v.end(), 0.0f);
  return Context::cpu().from(v.data(), shape);
}

// Worst error of a float vector function over [low, high], in units of the last place of the true value (at least that of `floor`).
template <class F, class G>
double worst_ulp(F f, G truth, double low, double high, double floor = 1e-30) {
  double worst = 0;
  for (int i = 0; i < 200000; i += 16) {
    Vec<float> x{};
    for (int l = 0; l < 16; ++l) x[l] = float(low + (high - low) * (i + l) / 200000);
    const Vec<float> y = f(x);
    for (int l = 0; l < 16; ++l) {
      const double t = truth(double(x[l])), unit = std::ldexp(1.0, std::ilogb(std::max(std::abs(t), floor)) - 23);
      worst = std::max(worst, std::abs(y[l] - t) / unit);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("shape: counts, negative axes, refusals") {
  const Shape s{2, 3, 4};
  CHECK(s.count() == 24);
  CHECK(s.rows() == 6);
  CHECK(s[-1] == 4);
  CHECK(s.with_last(7) == Shape{2, 3, 7});
  CHECK(Shape{}.count() == 1);
  CHECK(s.str() == "[2, 3, 4]");
  CHECK_THROWS_AS(s[3], Error);
  CHECK_THROWS_AS((Shape{1, 1, 1, 1, 1, 1, 1}), Error);
}

TEST_CASE("tensor: views, layouts, copies, conversions") {
  const Tensor x = counting({2, 3, 4}), t = x.permute({2, 0, 1}), s = x.slice(2, 1, 3);
  CHECK_FALSE(t.contiguous());
  CHECK(t.shares_storage(x));
  CHECK(t.compact().values<float>()[(1 * 2 + 1) * 3 + 2] == 1 * 12 + 2 * 4 + 1);
  CHECK(s.values<float>() == std::vector<float>{1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22});
  CHECK(x.compact().shares_storage(x));
  CHECK_FALSE(x.clone().shares_storage(x));
  CHECK_THROWS_AS(t.data<float>(), Error);
  CHECK_THROWS_AS(x.data<double>(), Error);
  CHECK_THROWS_AS(t.reshape({24}), Error);
  CHECK_THROWS_AS(x.reshape({5, -1}), Error);
  CHECK_THROWS_AS(x.permute({0, 0, 1}), Error);
  CHECK_THROWS_AS(Tensor().strided<float>(), Error);
  s.zero();
  CHECK(x.values<float>()[1] == 0);
  CHECK(x.values<float>()[3] == 3);
  const float values[] = {1.5f, -2.25f, 3.0e-3f};
  const Tensor f = Context::cpu().from(values, {3});
  CHECK(f.to(DType::bf16).to(DType::f32).values<float>()[1] == -2.25f);
  CHECK(std::abs(f.to(DType::bf16).values<float>()[2] - 3.0e-3f) < 3.0e-3f / 256);
  CHECK(f.to(DType::i64).values<int64_t>() == std::vector<int64_t>{1, -2, 0});
  CHECK(Context::cpu().full({}, DType::f64, 2.5).item() == 2.5);
  CHECK_THROWS_AS(f.item(), Error);
}

TEST_CASE("allocator: live and peak are exact, blocks come back") {
  Context& cpu = Context::cpu();
  const int64_t live = cpu.memory().live;
  cpu.reset_peak();
  void* block = nullptr;
  {
    const Tensor a = cpu.empty({1 << 18}, DType::f32), view = a.slice(0, 0, 5);
    block = a.data<float>();
    CHECK(cpu.memory().live - live == 1 << 20);
    { const Tensor b = cpu.empty({1 << 18}, DType::f32); }
  }
  CHECK(cpu.memory().live == live);
  CHECK(cpu.memory().peak - live == 2 << 20);
  const Tensor a = cpu.empty({1 << 18}, DType::f32), b = cpu.empty({1 << 18}, DType::f32);
  CHECK((a.data<float>() == block || b.data<float>() == block));
  CHECK(reinterpret_cast<uintptr_t>(cpu.empty({3}, DType::f32).data<float>()) % 64 == 0);
  CHECK_THROWS_AS(cpu.empty({-1}, DType::f32), Error);
}

TEST_CASE("storage: foreign memory is kept alive and not counted; a placeholder has a shape and no elements") {
  Context& cpu = Context::cpu();
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4, 5, 6});
  std::weak_ptr<const void> alive = owner;
  const int64_t before = cpu.memory().live;
  {
    Tensor t(std::make_shared<Storage>(cpu, 24, owner->data(), owner), {2, 3}, DType::f32);
    owner.reset();
    CHECK(cpu.memory().live == before);
    const Tensor row = t.slice(0, 1, 2);
    t = {};
    CHECK(row.values<float>() == std::vector<float>{4, 5, 6});
    CHECK_FALSE(alive.expired());
  }
  CHECK(alive.expired());
  CHECK(cpu.memory().live == before);

  const Tensor empty = cpu.placeholder({int64_t(1) << 40, 3}, DType::f32);
  CHECK(bool(empty));
  CHECK(empty.placeholder());
  CHECK(empty.shape() == Shape{int64_t(1) << 40, 3});
  CHECK(cpu.memory().live == before);
  CHECK_THROWS_WITH_AS(empty.data<float>(), doctest::Contains("the weights are not loaded"), Error);
  CHECK_THROWS_WITH_AS(cpu.placeholder({2}, DType::f32).zero(), doctest::Contains("the weights are not loaded"), Error);
  CHECK_THROWS_WITH_AS(cpu.zeros({2}, DType::f32).copy_from(cpu.placeholder({2}, DType::f32)), doctest::Contains("not loaded"), Error);
  CHECK_THROWS_WITH_AS(cpu.placeholder({int64_t(1) << 40, int64_t(1) << 40}, DType::f32), doctest::Contains("too large for any memory"), Error);
  CHECK_FALSE(cpu.zeros({0, 3}, DType::f32).placeholder());
}

TEST_CASE("random: Philox's published vectors, independent children, fair draws") {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, 0) == Block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, ~0ull) == Block{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  CHECK(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, 0x299f31d0a4093822ull) == Block{0xd16cfe09u, 0x94fdcceb, 0x5001e420u, 0x24126ea1u});
  std::set<uint64_t> paths;
  for (uint64_t i = 0; i < 1000; ++i) paths.insert(RandomKey{1}.child(i).path), paths.insert(RandomKey{1}.child("a").child(i).path);
  CHECK(paths.size() == 2000);
  double sum = 0, squares = 0;
  const auto v = normal<double>(100000, 5);
  for (const double x : v) sum += x, squares += x * x;
  CHECK(std::abs(sum / 100000) < 0.013);
  CHECK(std::abs(squares / 100000 - 1) < 0.018);
  Draw draw(RandomKey{2});
  std::array<int, 3> counts{};
  for (int i = 0; i < 30000; ++i) ++counts[size_t(draw.integer(-1, 1) + 1)];
  for (const int n : counts) CHECK(std::abs(n - 10000) < 330);
}

TEST_CASE("vec: float functions to a few units in the last place, IEEE at the edges") {
  CHECK(worst_ulp([](Vec<float> x) { return exp(x); }, [](double x) { return std::exp(x); }, -87, 88.7) <= 2);
  CHECK(worst_ulp([](Vec<float> x) { return exp_nonpositive(x); }, [](double x) { return std::exp(x); }, -87, 0) <= 2);
  CHECK(worst_ulp([](Vec<float> x) { return tanh(x); }, [](double x) { return std::tanh(x); }, -10, 10) <= 3);
  CHECK(worst_ulp([](Vec<float> x) { return erf(x); }, [](double x) { return std::erf(x); }, -5, 5) <= 8);
  CHECK(worst_ulp([](Vec<float> x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }, -80, 80) <= 4);
  CHECK(worst_ulp([](Vec<float> x) { return log(x); }, [](double x) { return std::log(x); }, 0.01, 100, 1e-3) <= 1);
  const float inf = INFINITY;
  CHECK(exp(splat(inf))[0] == inf);
  CHECK(exp(splat(-inf))[0] == 0);
  CHECK(std::isnan(exp(splat(NAN))[3]));
  CHECK(exp_nonpositive(splat(-inf))[0] == 0);
  CHECK(exp_nonpositive(splat(0.0f))[0] == 1);
  CHECK(std::isnan(exp_nonpositive(splat(NAN))[3]));
  CHECK(std::isnan(erf(splat(NAN))[3]));
  CHECK(std::isnan(tanh(splat(NAN))[3]));
  CHECK(tanh(splat(100.0f))[0] == 1);
  CHECK(tanh(splat(-inf))[0] == -1);
  CHECK(erf(splat(inf))[0] == 1);
  CHECK(sigmoid(splat(-inf))[0] == 0);
  Vec<float> v{};
  for (int i = 0; i < 16; ++i) v[i] = float(i == 5 ? 100 : i);
  CHECK(sum(v) == 120 - 5 + 100);
  CHECK(max_of(v) == 100);
  CHECK(exp(splat(1.0))[7] == std::exp(1.0));
}
