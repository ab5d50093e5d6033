// What every attention family promises, for every row of the registry and every mask it honours. A new row is tested without a new line.
#include <doctest/doctest.h>

#include <cmath>

#include "nn/attention/attention.h"

using namespace alinea;

namespace {

constexpr int64_t B = 2, H = 3, T = 5, S = 7, D = 4;

Tensor random(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape);
}

std::vector<Mask> masks() {
  Mask staircase{.rule = Mask::Rule::staircase, .wait_k = 1, .ratio = 2}, chunk{.rule = Mask::Rule::chunk, .chunk = 2}, given{.rule = Mask::Rule::given, .rows = T};
  given.written_at = {1, 1, 3, 4, 7, 2, 3, 3, 5, 6};
  std::vector<Mask> all{Mask{}, Mask::causal(), Mask::causal(2), staircase, chunk, given};
  for (size_t i = 0, n = all.size(); i < n; ++i) {
    all.push_back(all[i]);
    all.back().source_lengths = {7, 4};
  }
  return all;
}

AttentionInput input(const Mask& mask, uint64_t seed = 1) {
  return {.q = random({B, H, T, D}, seed), .k = random({B, H, S, D}, seed + 1), .v = random({B, H, S, D}, seed + 2), .mask = mask, .policy = random({B, 1, T, S}, seed + 3)};
}

template <class F>
void each_row_and_mask(F&& f) {
  for (const AttentionFamily& family : attention_families())
    for (const Mask& mask : masks()) {
      if (!family.honours(mask)) continue;
      CAPTURE(family.name);
      CAPTURE(mask.describe());
      f(*family.make(Context::cpu(), {}, {H, D, false}), mask);
    }
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::isfinite(x[i]) ? std::abs(x[i] - y[i]) : 1e30);
  return worst;
}

}  // namespace

TEST_CASE("attention: the output is the weights times the values, and no weight lies on a masked column") {
  each_row_and_mask([](Attention& attention, const Mask& mask) {
    const AttentionInput in = input(mask);
    const Tensor y = attention.forward(in).context.value(), w = attention.weights(in);
    const auto weights = w.values<double>(), v = in.v.value().values<double>();
    std::vector<double> expected(size_t(B * H * T * D), 0);
    for (int64_t bh = 0; bh < B * H; ++bh)
      for (int64_t i = 0; i < T; ++i)
        for (int64_t j = 0; j < S; ++j) {
          const double a = weights[size_t((bh * T + i) * S + j)];
          if (j >= mask.visible(bh / H, i, S)) CHECK(a == 0);
          for (int64_t d = 0; d < D; ++d) expected[size_t((bh * T + i) * D + d)] += a * v[size_t((bh * S + j) * D + d)];
        }
    CHECK(largest_difference(y, Context::cpu().from(expected.data(), {B, H, T, D})) < 1e-12);
  });
}

TEST_CASE("attention: padded columns change nothing, whatever they hold") {
  each_row_and_mask([](Attention& attention, const Mask& mask) {
    if (mask.source_lengths.empty()) return;
    const AttentionInput in = input(mask);
    AttentionInput poisoned = in;
    for (Variable* x : {&poisoned.k, &poisoned.v}) {
      const Tensor t = x->value().clone();
      for (int64_t h = 0; h < H; ++h)
        for (int64_t j = 4; j < S; ++j)
          for (int64_t d = 0; d < D; ++d) t.data<double>()[((H + h) * S + j) * D + d] = 1e9;
      *x = t;
    }
    CHECK(attention.forward(in).context.value().values<double>() == attention.forward(poisoned).context.value().values<double>());
  });
}

TEST_CASE("attention: what a row may not see leaves its bytes unchanged") {
  each_row_and_mask([](Attention& attention, const Mask& mask) {
    if (mask.rule == Mask::Rule::all) return;
    const AttentionInput in = input(mask);
    const int64_t seen = mask.visible(0, 0, S);
    AttentionInput changed = in;
    const Tensor k = in.k.value().clone();
    for (int64_t h = 0; h < H; ++h)
      for (int64_t j = seen; j < S; ++j)
        for (int64_t d = 0; d < D; ++d) k.data<double>()[(h * S + j) * D + d] -= 5;
    changed.k = k;
    const auto row = [&](const AttentionInput& x) { return attention.forward(x).context.value().slice(0, 0, 1).slice(2, 0, 1).values<double>(); };
    CHECK(row(in) == row(changed));
  });
}

TEST_CASE("attention: steps give the rows of forward") {
  for (const AttentionFamily& family : attention_families()) {
    if (family.needs_policy) continue;                      // decoding attends to what has been read; see the test below
    CAPTURE(family.name);
    const auto attention = family.make(Context::cpu(), {}, {H, D, true});
    AttentionInput in = input(Mask::causal());
    in.k = random({B, H, T, D}, 21), in.v = random({B, H, T, D}, 22);
    const Tensor whole = attention->forward(in).context.value();
    auto state = attention->begin(Context::cpu(), B, T);
    for (int64_t i = 0; i < T; ++i) {
      for (int twice = 0; twice < 2; ++twice) {             // a step that is undone leaves no trace
        if (twice) state->undo();
        state->append(in.k.value().slice(2, i, i + 1), in.v.value().slice(2, i, i + 1));
        CHECK(largest_difference(attention->step(*state, in.q.value().slice(2, i, i + 1)), whole.slice(2, i, i + 1)) < 1e-12);
      }
    }
  }
}

TEST_CASE("attention: a state with lengths sees the real columns alone, and follows its beams") {
  for (const AttentionFamily& family : attention_families()) {
    CAPTURE(family.name);
    const auto attention = family.make(Context::cpu(), {}, {H, D, false});
    const AttentionInput in = input(Mask{});
    auto state = attention->begin(Context::cpu(), B, S, {7, 4});
    state->append(in.k.value(), in.v.value());
    auto alone = attention->begin(Context::cpu(), 1, S);
    alone->append(in.k.value().slice(0, 1, 2).slice(2, 0, 4), in.v.value().slice(0, 1, 2).slice(2, 0, 4));
    CHECK(largest_difference(attention->step(*state, in.q.value()).slice(0, 1, 2), attention->step(*alone, in.q.value().slice(0, 1, 2))) < 1e-12);
    CHECK(state->bytes() > 0);
  }
}

TEST_CASE("attention emma: with a policy that writes at given columns, forward is softmax over what has been read") {
  const auto emma = attention_family("emma").make(Context::cpu(), {}, {H, D, false});
  const auto softmax = attention_family("softmax").make(Context::cpu(), {}, {H, D, false});
  Mask given{.rule = Mask::Rule::given, .rows = T};
  given.written_at = {1, 1, 3, 4, 7, 2, 3, 3, 5, 7};
  AttentionInput in = input(Mask{});
  std::vector<double> z(size_t(B * T * S), -INFINITY);
  for (int64_t r = 0; r < B * T; ++r) z[size_t(r * S + given.written_at[size_t(r)] - 1)] = INFINITY;
  in.policy = Context::cpu().from(z.data(), {B, 1, T, S});
  AttentionInput read = in;
  read.mask = given;
  CHECK(largest_difference(emma->forward(in).context.value(), softmax->forward(read).context.value()) < 1e-12);
}

TEST_CASE("attention: what a family cannot honour or lacks is refused by name") {
  const ChosenAttention emma(Context::cpu(), "emma", {}, {H, D, false});
  CHECK_THROWS_AS(emma.forward(input(Mask::causal())), Error);
  AttentionInput without = input(Mask{});
  without.policy = {};
  CHECK_THROWS_AS(emma.forward(without), Error);
  CHECK_THROWS_WITH_AS(attention_family("sofmax"), "attention: there is no family 'sofmax'; known are softmax, linear, emma", Error);
}
