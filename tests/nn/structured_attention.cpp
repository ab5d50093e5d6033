// What columns by rarity are for: one rare token anywhere in a sentence of frequent ones, and every position must name it. A band cannot carry
// it that far; a column at the rarest position can.
#include "autograd/structured_attention.h"

#include <doctest/doctest.h>

#include "autograd/cross_entropy.h"
#include "autograd/elementwise.h"
#include "autograd/embedding.h"
#include "autograd/layout.h"
#include "nn/layers.h"
#include "nn/optimizer.h"

using namespace alinea;

namespace {

constexpr int64_t frequent = 40, kinds = 8, n = 64, width = 32, batch = 16;

struct Sentences {
  Tensor tokens, kind;                                       // i64 [B, n]
  std::vector<double> rarity;                                // −ln p(token)
};

// Zipf's law over the frequent tokens; one of `kinds` rare ones at a random place.
Sentences sentences(uint64_t step) {
  Draw draw(RandomKey{17}.child(step));
  std::vector<double> below;
  double total = 0;
  for (int64_t t = 0; t < frequent; ++t) below.push_back(total += 1 / double(t + 1));
  std::vector<int64_t> tokens, kind;
  Sentences s;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t k = draw.integer(0, kinds - 1), place = draw.integer(0, n - 1);
    for (int64_t i = 0; i < n; ++i) {
      const auto common = int64_t(std::lower_bound(below.begin(), below.end(), draw.uniform() * total) - below.begin());
      tokens.push_back(i == place ? frequent + k : common);
      kind.push_back(k);
      s.rarity.push_back(i == place ? std::log(double(n * kinds)) : std::log(total * double(common + 1)));
    }
  }
  s.tokens = Context::cpu().from(tokens.data(), {batch, n}), s.kind = Context::cpu().from(kind.data(), {batch, n});
  return s;
}

struct OneLayer final : Module {
  Parameter table;
  LinearLayer q, k, v, out;
  StructuredPattern pattern;
  int64_t columns;
  bool at_random;                                            // columns at random places instead

  OneLayer(int64_t half_width, int64_t columns, bool at_random = false) : columns(columns), at_random(at_random) {
    Context& cpu = Context::cpu();
    const RandomKey key{3};
    table = normal_parameter(cpu, {frequent + kinds, width}, 1, key.child("table"));
    q = {cpu, width, width, key.child("q")}, k = {cpu, width, width, key.child("k")}, v = {cpu, width, width, key.child("v")};
    out = {cpu, width, kinds, key.child("out")};
    pattern.heads[0].half_width = half_width;
  }
  void visit(const std::string& prefix, const Visitor& visitor) override {
    visitor(path(prefix, "table"), table);
    for (auto [name, layer] : {std::pair{"q", &q}, {"k", &k}, {"v", &v}, {"out", &out}}) layer->visit(path(prefix, name), visitor);
  }
  Variable operator()(const Sentences& s, Tape* tape) {
    std::vector<double> rarity = s.rarity;
    Draw draw(RandomKey{5});
    for (double& x : rarity)
      if (at_random) x = draw.uniform();
    pattern.columns = rare_columns(rarity, batch, {}, columns, false);
    const Variable x = embedding(on(tape, table), s.tokens);
    auto heads = [&](LinearLayer& layer) { return permute(reshape(layer(x, tape), {batch, n, 1, width}), {0, 2, 1, 3}); };
    const Variable y = structured_attention(heads(q), heads(k), heads(v), {}, {}, {.pattern = pattern});
    return out(add(x, reshape(permute(y, {0, 2, 1, 3}), {batch, n, width})), tape);
  }
};

double accuracy_after_training(OneLayer model) {
  FlatParameters parameters(model);
  Optimizer optimizer(parameters, {.name = "adam", .weight_decay = 0});
  for (int64_t step = 1; step <= 300; ++step) {
    const Sentences s = sentences(uint64_t(step));
    Tape tape;
    optimizer.zero_grad();
    tape.backward(cross_entropy(model(s, &tape), s.kind));
    optimizer.step(5e-3, step, optimizer.gradient_norm());
  }
  int64_t right = 0, all = 0;
  for (uint64_t step = 1001; step <= 1010; ++step) {
    const Sentences s = sentences(step);
    const auto logits = model(s, nullptr).value().values<double>();
    const auto kind = s.kind.values<int64_t>();
    for (size_t i = 0; i < kind.size(); ++i, ++all) {
      const auto row = logits.begin() + int64_t(i) * kinds;
      right += std::max_element(row, row + kinds) - row == kind[i];
    }
  }
  return double(right) / double(all);
}

}  // namespace

TEST_CASE("a column at the rarest token carries it everywhere; a band alone, or a column elsewhere, does not") {
  CHECK(accuracy_after_training({2, 0}) < 0.25);             // at best 5 of 64 rows see it and the others guess one of 8: 0.19
  CHECK(accuracy_after_training({2, 1, true}) < 0.25);
  CHECK(accuracy_after_training({2, 1}) > 0.95);
}
