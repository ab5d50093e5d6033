// What every attention family promises, for every row of the registry, every variant of it and every mask it honours. A new row is tested
// without a new line.
#include "nn/attention/attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/elementwise.h"
#include "autograd/layout.h"
#include "autograd/reduce.h"
#include "nn/attention/choice.h"

using namespace alinea;

namespace {

constexpr int64_t B = 2, H = 3, N = 7, D = 4;

Tensor random(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape);
}

// Families of one sequence are tried with as many rows as columns.
int64_t rows_of(const AttentionFamily& f) { return f.self_only ? N : 5; }

std::vector<Mask> masks(int64_t T) {
  Mask staircase{.rule = Mask::Rule::staircase, .wait_k = 1, .ratio = 2}, chunk{.rule = Mask::Rule::chunk, .chunk = 2}, given{.rule = Mask::Rule::given, .rows = T};
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < T; ++i) given.written_at.push_back(int32_t(std::min<int64_t>(N, 1 + i * (b + 1))));
  std::vector<Mask> all{Mask{}, Mask::causal(), staircase, chunk, given};
  if (T < N) all.push_back(Mask::causal(2));
  for (size_t i = 0, n = all.size(); i < n; ++i) {
    all.push_back(all[i]);
    all.back().source_lengths = {7, 4};
    if (T == N) all.back().target_lengths = {7, 4};
  }
  return all;
}

AttentionInput input(const Mask& mask, int64_t T, uint64_t seed = 1) {
  std::vector<double> rarity;
  for (int64_t i = 0; i < B * N; ++i) rarity.push_back(double((i * 5) % 11));
  return {.q = random({B, H, T, D}, seed),
          .k = random({B, H, N, D}, seed + 1),
          .v = random({B, H, N, D}, seed + 2),
          .mask = mask,
          .extents = {{7, 4}, {double(T), 6}},
          .rarity = Context::cpu().from(rarity.data(), {B, N}),
          .policy = random({B, 1, T, N}, seed + 3)};
}

AttentionRole role(bool self, Mask::Rule rule = Mask::Rule::all) { return {.heads = H, .width = D, .self = self, .rule = rule, .key = RandomKey{9}}; }

template <class F>
void each_variant(F&& f) {
  for (const AttentionFamily& family : attention_families())
    for (const std::string_view variant : family.variants) {
      CAPTURE(family.name);
      CAPTURE(variant);
      f(family, AttentionSpec{std::string(family.name), std::string(variant)});
    }
}

template <class F>
void each_variant_and_mask(F&& f) {
  each_variant([&](const AttentionFamily& family, const AttentionSpec& spec) {
    for (const Mask& mask : masks(rows_of(family))) {
      if (!family.honours(mask)) continue;
      CAPTURE(mask.describe());
      const ChosenAttention attention(Context::cpu(), spec, role(family.self_only, mask.rule));
      f(attention, input(mask, rows_of(family)));
    }
  });
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::isfinite(x[i]) ? std::abs(x[i] - y[i]) : 1e30);
  return worst;
}

// Adds `by` to one item's rows begin … of x [B,H,N,D].
Tensor changed(const Variable& x, int64_t item, int64_t begin, double by) {
  const Tensor t = x.value().clone();
  for (int64_t h = 0; h < H; ++h)
    for (int64_t j = begin; j < N; ++j)
      for (int64_t d = 0; d < D; ++d) t.data<double>()[((item * H + h) * N + j) * D + d] += by;
  return t;
}

}  // namespace

TEST_CASE("attention: the output is the quadratic form's weights times the values, and no weight lies on a masked column") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    const int64_t T = in.q.size(2);
    const Tensor y = attention.forward(in).context.value(), w = attention->weights(in);
    const auto weights = w.values<double>(), v = in.v.value().values<double>();
    std::vector<double> expected(size_t(B * H * T * D), 0);
    for (int64_t bh = 0; bh < B * H; ++bh)
      for (int64_t i = 0; i < T; ++i)
        for (int64_t j = 0; j < N; ++j) {
          const double a = weights[size_t((bh * T + i) * N + j)];
          if (j >= in.mask.visible(bh / H, i, N)) CHECK(a == 0);
          for (int64_t d = 0; d < D; ++d) expected[size_t((bh * T + i) * D + d)] += a * v[size_t((bh * N + j) * D + d)];
        }
    CHECK(largest_difference(y, Context::cpu().from(expected.data(), {B, H, T, D})) < 1e-12);
  });
}

TEST_CASE("attention: gradients of every input equal central differences") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    AttentionInput x = in;
    Variable* parts[] = {&x.q, &x.k, &x.v, &x.policy};
    const Tensor outer = random({B, H, in.q.size(2), D}, 77);
    const auto value = [&] { return weighted_sum(compact(attention.forward(x).context), outer); };
    Tape tape;
    const Tensor plain[] = {in.q.value(), in.k.value(), in.v.value(), in.policy.value()};
    const size_t count = attention.family().needs_policy ? 4 : 3;
    for (size_t p = 0; p < count; ++p) *parts[p] = tape.watch(plain[p].clone());
    const Variable loss = value();
    tape.backward(loss);
    std::vector<Tensor> gradients;
    for (size_t p = 0; p < count; ++p) {                    // none: the family does not look at this input
      const Tensor g = tape.grad(*parts[p]);
      gradients.push_back(g ? g.compact() : Context::cpu().zeros(plain[p].shape(), DType::f64));
    }
    Draw draw(RandomKey{5});
    for (size_t p = 0; p < count; ++p) {
      double largest = 1, worst = 0;
      for (const double g : gradients[p].values<double>()) largest = std::max(largest, std::abs(g));
      for (int probe = 0; probe < 12; ++probe) {
        const int64_t at = draw.integer(0, plain[p].count() - 1);
        double side[2];
        for (int s = 0; s < 2; ++s) {
          for (size_t o = 0; o < 4; ++o) *parts[o] = plain[o];
          const Tensor moved = plain[p].clone();
          moved.data<double>()[at] += s == 0 ? 1e-6 : -1e-6;
          *parts[p] = moved;
          side[s] = value().value().item();
        }
        worst = std::max(worst, std::abs((side[0] - side[1]) / 2e-6 - gradients[p].values<double>()[size_t(at)]) / largest);
      }
      CAPTURE(p);
      CHECK(worst < 1e-7);
    }
  });
}

TEST_CASE("attention: padded columns change nothing, whatever they hold") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    if (in.mask.source_lengths.empty()) return;
    AttentionInput poisoned = in;
    poisoned.k = changed(in.k, 1, 4, 1e9), poisoned.v = changed(in.v, 1, 4, 1e9);
    CHECK(attention.forward(in).context.value().values<double>() == attention.forward(poisoned).context.value().values<double>());
  });
}

TEST_CASE("attention: what a row may not see leaves its bytes unchanged") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    if (in.mask.rule == Mask::Rule::all) return;
    for (const int64_t i : {int64_t(0), int64_t(2)}) {
      const int64_t seen = in.mask.visible(0, i, N);
      AttentionInput future = in;
      future.k = changed(in.k, 0, seen, -5), future.v = changed(in.v, 0, seen, 3);
      const Tensor rarity = in.rarity.clone();
      for (int64_t j = seen; j < N; ++j) rarity.data<double>()[j] += 100;
      future.rarity = rarity;
      const auto row = [&](const AttentionInput& x) { return attention.forward(x).context.value().slice(0, 0, 1).slice(2, i, i + 1).values<double>(); };
      CHECK(row(in) == row(future));
    }
  });
}

TEST_CASE("attention: an item without real columns gives zeros, and two runs the same bytes") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    if (attention.family().needs_policy) return;            // a policy needs a column to write in
    AttentionInput empty = in;
    empty.mask.source_lengths = {7, 0};
    const Tensor y = attention.forward(empty).context.value();
    for (const double x : y.slice(0, 1, 2).values<double>()) CHECK(x == 0);
    CHECK(y.values<double>() == attention.forward(empty).context.value().values<double>());
  });
}

TEST_CASE("attention: a NaN in a query shows in its row and in no other") {
  each_variant_and_mask([](const ChosenAttention& attention, const AttentionInput& in) {
    const int64_t T = in.q.value().size(2);
    const auto with = [&](double by) {
      AttentionInput x = in;
      const Tensor q = in.q.value().clone();
      for (int64_t d = 0; d < D; ++d) q.data<double>()[D + d] += by;   // item 0, head 0, row 1
      x.q = q;
      return attention.forward(x).context.value();
    };
    const auto row = [](const Tensor& y, int64_t b, int64_t h, int64_t i) { return y.slice(0, b, b + 1).slice(1, h, h + 1).slice(2, i, i + 1).values<double>(); };
    const Tensor y = with(0), moved = with(1), broken = with(NAN);
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t i = 0; i < T; ++i)
          if (b + h > 0 || i != 1) CHECK(row(broken, b, h, i) == row(y, b, h, i));
    if (row(moved, 0, 0, 1) == row(y, 0, 0, 1)) return;     // a single column has weight 1 whatever the query says; literal attention has none
    const std::vector<double> there = row(broken, 0, 0, 1);
    CHECK(std::any_of(there.begin(), there.end(), [](double x) { return std::isnan(x); }));
  });
}

TEST_CASE("attention: steps give the rows of forward, and a step that is undone leaves no trace") {
  each_variant([](const AttentionFamily& family, const AttentionSpec& spec) {
    if (family.needs_policy || !family.honours(Mask::causal())) return;   // monotonic: see the test of write times below
    const ChosenAttention attention(Context::cpu(), spec, role(true, Mask::Rule::causal));
    AttentionInput in = input(Mask::causal(), N);
    in.extents = {{9, 8}, {9, 8}};
    const Tensor whole = attention.forward(in).context.value();
    const auto state = attention->begin(Context::cpu(), {.batch = B, .capacity = N, .lengths = {}, .extents = in.extents});
    for (int64_t i = 0; i < N; ++i)
      for (int twice = 0; twice < 2; ++twice) {
        if (twice) state->undo();
        state->append({in.k.value().slice(2, i, i + 1), in.v.value().slice(2, i, i + 1), in.rarity.slice(1, i, i + 1)});
        CHECK(largest_difference(attention->step(*state, in.q.value().slice(2, i, i + 1), i), whole.slice(2, i, i + 1)) < 1e-12);
      }
  });
}

TEST_CASE("attention: a state with lengths sees the real columns alone, and follows its beams") {
  each_variant([](const AttentionFamily& family, const AttentionSpec& spec) {
    if (family.self_only) return;
    const ChosenAttention attention(Context::cpu(), spec, role(false));
    const AttentionInput in = input(Mask{}, 5);
    const auto state = attention->begin(Context::cpu(), {.batch = B, .capacity = N, .lengths = {7, 4}, .extents = {{7, 4}, {5, 6}}});
    state->append({in.k.value(), in.v.value(), {}});
    const auto alone = attention->begin(Context::cpu(), {.batch = 1, .capacity = N, .lengths = {}, .extents = {{4}, {6}}});
    alone->append({in.k.value().slice(0, 1, 2).slice(2, 0, 4), in.v.value().slice(0, 1, 2).slice(2, 0, 4), {}});
    const Tensor second = attention->step(*alone, in.q.value().slice(0, 1, 2), 0);
    CHECK(largest_difference(attention->step(*state, in.q.value(), 0).slice(0, 1, 2), second) < 1e-12);
    CHECK(state->bytes() > 0);
  });
}

TEST_CASE("attention monotonic: with a policy that writes at given columns, forward is softmax over what each variant then attends to") {
  Mask given{.rule = Mask::Rule::given, .rows = 5};
  given.written_at = {1, 1, 3, 4, 7, 2, 3, 3, 5, 7};
  for (const auto& [variant, window] : {std::pair{"{}", 0}, {R"({"variant": "infinite_lookback"})", 0}, {R"({"variant": "mocha", "width": 2})", 2}, {R"({"variant": "hard"})", 1}}) {
    CAPTURE(variant);
    const ChosenAttention attention(Context::cpu(), {"monotonic", variant}, role(false));
    AttentionInput in = input(Mask{}, 5);
    std::vector<double> z(size_t(B * 5 * N), -INFINITY);
    for (int64_t r = 0; r < B * 5; ++r) z[size_t(r * N + given.written_at[size_t(r)] - 1)] = INFINITY;
    in.policy = Context::cpu().from(z.data(), {B, 1, 5, N});
    const Tensor y = attention.forward(in).context.value();
    for (int64_t b = 0; b < B; ++b) {
      const auto state = attention->begin(Context::cpu(), {.batch = 1, .capacity = N, .lengths = {}, .extents = {}});
      int64_t read = 0;
      for (int64_t i = 0; i < 5; ++i) {
        for (; read < given.written_at[size_t(b * 5 + i)]; ++read) {
          const auto column = [&](const Variable& x) { return x.value().slice(0, b, b + 1).slice(2, read, read + 1); };
          state->append({column(in.k), column(in.v), {}});
        }
        CHECK(largest_difference(attention->step(*state, in.q.value().slice(0, b, b + 1).slice(2, i, i + 1), i), y.slice(0, b, b + 1).slice(2, i, i + 1)) < 1e-12);
      }
    }
    if (window != 0) continue;
    AttentionInput read = in;                               // and wait-k, a 0/1 policy, is the mask `given` of softmax attention
    read.mask = given;
    CHECK(largest_difference(y, ChosenAttention(Context::cpu(), {"softmax", "{}"}, role(false, Mask::Rule::given)).forward(read).context.value()) < 1e-12);
  }
}

TEST_CASE("attention: wait-k's staircase is the given policy with the same write times, in every family that honours both") {
  each_variant([](const AttentionFamily& family, const AttentionSpec& spec) {
    Mask staircase{.rule = Mask::Rule::staircase, .wait_k = 2, .ratio = 2}, given{.rule = Mask::Rule::given, .rows = 5};
    for (int64_t b = 0; b < B; ++b)
      for (int64_t i = 0; i < 5; ++i) given.written_at.push_back(int32_t(std::min<int64_t>(N, (i + 2) * 2)));
    if (!family.honours(staircase) || !family.honours(given)) return;
    const ChosenAttention attention(Context::cpu(), spec, role(false, Mask::Rule::staircase));
    CHECK(attention.forward(input(staircase, 5)).context.value().values<double>() == attention.forward(input(given, 5)).context.value().values<double>());
  });
}

TEST_CASE("attention linear: the reference mode drops weights and keeps the denominator; favor's features are redrawn on schedule") {
  const ChosenAttention reference(Context::cpu(), {"linear", R"({"reference": true})"}, role(false));
  AttentionInput in = input(Mask{}, 5);
  const auto plain = reference.forward(in).context.value().values<double>();
  in.dropout = 0.5, in.pass.training = true;
  CHECK(reference.forward(in).context.value().values<double>() != plain);
  const ChosenAttention linear(Context::cpu(), {"linear", "{}"}, role(false));
  CHECK_THROWS_AS(linear.forward(in), Error);
  in.dropout = 0;
  const ChosenAttention favor(Context::cpu(), {"linear", R"({"feature_map": "favor", "redraw": 10})"}, role(false));
  const auto at = [&](int64_t step) {
    in.pass.step = step;
    return favor.forward(in).context.value().values<double>();
  };
  const auto first = at(0), still = at(9), later = at(10);
  CHECK(first == still);
  CHECK(still != later);
  CHECK(at(11) == later);
  CHECK(at(0) == first);                                    // a pure function of the step: resuming sees the same features
}

TEST_CASE("attention: choices by name, by options and by layer; what a family cannot honour or lacks is refused by name") {
  CHECK_THROWS_AS(ChosenAttention(Context::cpu(), {"monotonic", "{}"}, role(true, Mask::Rule::causal)), Error);
  AttentionInput without = input(Mask{}, 5);
  without.policy = {};
  CHECK_THROWS_AS(ChosenAttention(Context::cpu(), {"monotonic", "{}"}, role(false)).forward(without), Error);
  CHECK_THROWS_AS(ChosenAttention(Context::cpu(), {"linear", R"({"feature_map": "cosine"})"}, role(false)), Error);
  CHECK_THROWS_AS(ChosenAttention(Context::cpu(), {"linear", R"({"feature_mpa": "elu"})"}, role(false)), Error);
  const ChosenAttention cosformer(Context::cpu(), {"linear", R"({"feature_map": "cosformer"})"}, role(true));
  CHECK_THROWS_AS(cosformer->begin(Context::cpu(), {}), Error);
  try {
    attention_family("sofmax");
    FAIL("an unknown family was accepted");
  } catch (const Error& e) {
    for (const AttentionFamily& f : attention_families()) CHECK(std::string(e.what()).find(f.name) != std::string::npos);
  }

  Config c = Config::text(R"({"one": "linear", "two": ["softmax", {"name": "linear", "feature_map": "elu"}], "bad": [3], "none": []})", "test");
  AttentionChoice one, two, bad;
  one.field(c, "one", ""), two.field(c, "two", "");
  CHECK(one.layer(5).name == "linear");
  CHECK(two.layer(0).name == "softmax");
  CHECK(two.layer(1).options == R"({"feature_map":"elu"})");
  two.check("two", 2);
  CHECK_THROWS_AS(two.check("two", 3), Error);
  CHECK_THROWS_AS(bad.field(c, "bad", ""), Error);
  CHECK_THROWS_AS(bad.field(c, "none", ""), Error);
}
