#include "autograd/layout.h"

#include <doctest/doctest.h>

#include <numeric>

#include "autograd/elementwise.h"

using namespace alinea;

namespace {

Tensor counting(const Shape& shape) {
  std::vector<float> v(size_t(shape.count()));
  std::iota(v.begin(), v.end(), 0.0f);
  return Context::cpu().from(v.data(), shape);
}

}  // namespace

TEST_CASE("layout: reshape, permute and slice are views, forward and back") {
  const Tensor x = counting({2, 3, 4});
  Reshape::Saved reshaped;
  const Tensor flat = Reshape{{6, -1}}.forward(x, &reshaped);
  CHECK(flat.shape() == Shape{6, 4});
  CHECK(flat.shares_storage(x));
  CHECK(Reshape{{6, -1}}.backward(std::move(reshaped), Tensor(flat), {})[0].shape() == x.shape());
  const Permute permute{{2, -3, 1}};
  const Tensor p = permute.forward(x, nullptr);
  CHECK(p.shape() == Shape{4, 2, 3});
  CHECK(p.shares_storage(x));
  CHECK(p.values<float>()[1 * 6 + 1 * 3 + 2] == 1 * 12 + 2 * 4 + 1);
  const Tensor back = permute.backward({}, Tensor(p), {})[0];
  CHECK(back.shares_storage(x));
  CHECK(back.values<float>() == x.values<float>());
  const Slice slice{1, 1, 3};
  Slice::Saved sliced;
  const Tensor s = slice.forward(x, &sliced);
  CHECK(s.shares_storage(x));
  CHECK(s.values<float>()[8] == 16);
  const auto d = slice.backward(std::move(sliced), Context::cpu().full({2, 2, 4}, DType::f32, 1), {})[0].values<float>();
  for (size_t i = 0; i < 24; ++i) CHECK(d[i] == (i / 4 % 3 >= 1 ? 1 : 0));
  CHECK_THROWS_AS((Slice{1, 2, 4}.forward(x, nullptr)), Error);
  CHECK_THROWS_AS(permute.forward(flat, nullptr), Error);
}

TEST_CASE("layout: concat joins any layout and gives slices back") {
  const Tensor a = counting({2, 3}), b = counting({4, 2}).permute({1, 0});
  Concat::Saved kept;
  const Concat concat{-1};
  const Tensor y = concat.forward(a, b, a, {}, &kept);
  CHECK(y.values<float>() == std::vector<float>{0, 1, 2, 0, 2, 4, 6, 0, 1, 2, 3, 4, 5, 1, 3, 5, 7, 3, 4, 5});
  Needs<4> need;
  need[0].wanted = false;
  const Grads<4> d = concat.backward(std::move(kept), Tensor(y), need);
  CHECK_FALSE(d[0]);
  CHECK(d[1].values<float>() == b.values<float>());
  CHECK(d[1].shares_storage(y));
  CHECK(d[2].values<float>() == a.values<float>());
  CHECK_THROWS_WITH(concat.forward(a, counting({3, 3}), {}, {}, nullptr), doctest::Contains("all axes but axis 1"));
  CHECK_THROWS_AS(concat.forward(a, counting({2}), {}, {}, nullptr), Error);
}

TEST_CASE("layout: expand repeats every axis pattern") {
  const Shape large{2, 3, 4, 5};
  for (int pattern = 0; pattern < 16; ++pattern) {
    Shape small = large;
    for (int a = 0; a < 4; ++a)
      if (pattern >> a & 1) small.dim[a] = 1;
    const Tensor x = counting(small);
    const auto y = Expand{large}.forward(x, nullptr).values<float>();
    bool equal = true;
    for (int64_t i = 0; i < large.count(); ++i) {
      int64_t rest = i, at = 0, step = 1;
      for (int a = 3; a >= 0; --a) at += (small.dim[a] == 1 ? 0 : rest % large.dim[a]) * step, step *= small.dim[a], rest /= large.dim[a];
      equal &= y[size_t(i)] == float(at);
    }
    CAPTURE(pattern);
    CHECK(equal);
  }
  CHECK(Expand{{2, 3}}.forward(counting({}), nullptr).values<float>() == std::vector<float>(6, 0));
  CHECK(Expand{{0, 3}}.forward(counting({3}), nullptr).count() == 0);
  CHECK_THROWS_WITH(Expand{large}.forward(counting({4}), nullptr), doctest::Contains("every axis must be equal or 1"));
}

TEST_CASE("layout: gradients that are strided views add up on the tape") {
  Tape tape;
  const Variable x = tape.watch(counting({2, 3}));
  const Variable y = add(scale(compact(transpose(x, 0, 1)), 2), scale(compact(transpose(x, 0, 1)), 3));
  tape.backward(std::span(&y, 1), {counting({3, 2})});
  CHECK(tape.grad(x).values<float>() == std::vector<float>{0, 10, 20, 5, 15, 25});
}
