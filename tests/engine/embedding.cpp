#include "engine/ops/embedding.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"

using namespace alinea;

namespace {

Tensor random(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(draw.normal());
  return Context::cpu().from(v.data(), shape);
}

Tensor ids(std::vector<int64_t> v, const Shape& shape) { return Context::cpu().from(v.data(), shape); }

}  // namespace

TEST_CASE("embedding: rows, scale, gradient with repeats and padding") {
  const Tensor weight = random({5, 37}, 1), which = ids({4, 0, 4, 2, 1, 4}, {2, 3}), g = random({2, 3, 37}, 2);
  const Embedding op{.padding_idx = 1, .scale = 2};
  Embedding::Saved kept, again;
  const auto y = op.forward(weight, which, &kept).values<float>(), w = weight.values<float>(), vg = g.values<float>();
  std::vector<float> want(w.size(), 0.0f);
  for (size_t r = 0; r < 6; ++r)
    for (size_t c = 0; c < 37; ++c) {
      const auto id = size_t(which.values<int64_t>()[r]);
      CHECK(y[r * 37 + c] == 2 * w[id * 37 + c]);
      if (id != 1) want[id * 37 + c] += 2 * vg[r * 37 + c];
    }
  again = kept;
  CHECK(op.backward(std::move(kept), Tensor(g), {})[0].values<float>() == want);
  // Into a buffer: added there, other rows untouched.
  const Tensor into = Context::cpu().full({5, 37}, DType::f32, 0.5);
  Needs<2> need;
  need[0].into = into;
  CHECK(op.backward(std::move(again), Tensor(g), need)[0].shares_storage(into));
  for (size_t i = 0; i < want.size(); ++i) CHECK(into.values<float>()[i] == doctest::Approx(want[i] + 0.5f).epsilon(1e-5));
  CHECK(into.values<float>()[1 * 37] == 0.5f);
}

TEST_CASE("embedding: the same bits for any number of threads") {
  std::vector<int64_t> v(3000);
  Draw draw(RandomKey{3});
  for (int64_t& id : v) id = draw.integer(0, 9);
  const Tensor weight = random({10, 100}, 4), g = random({3000, 100}, 5), which = ids(v, {3000});
  const int before = threads();
  std::vector<float> first;
  for (const int n : {1, 2, 3}) {
    set_threads(n);
    Embedding::Saved kept;
    Embedding{}.forward(weight, which, &kept);
    const auto d = Embedding{}.backward(std::move(kept), Tensor(g), {})[0].values<float>();
    if (first.empty()) first = d;
    CHECK(d == first);
  }
  set_threads(before);
}

TEST_CASE("embedding: an id out of range is named") {
  const Tensor weight = random({5, 4}, 1);
  for (const int64_t bad : {int64_t(5), int64_t(-1)}) {
    try {
      Embedding{}.forward(weight, ids({0, 1, 2, 3, bad, 4}, {2, 3}), nullptr);
      FAIL("not refused");
    } catch (const Error& e) {
      CHECK(e.kind() == Exit::data);
      CHECK(std::string(e.what()).find("ids[1, 1] is " + std::to_string(bad) + ", but weight has V = 5") != std::string::npos);
    }
  }
  CHECK_THROWS_WITH(Embedding{}.forward(weight, weight, nullptr), doctest::Contains("i64"));
}
