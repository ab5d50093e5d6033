#include "models/target_length.h"

#include <doctest/doctest.h>

#include "nn/optimizer.h"

using namespace alinea;

namespace {

TransformerConfig sizes(const std::string& kind) {
  TransformerConfig c("test");
  c.d_model = 8;
  c.target_length.kind = kind;
  c.target_length.width = 8;
  return c;
}

// Token v makes v target tokens.
std::vector<LengthExample> corpus(int64_t words) {
  Draw draw(RandomKey{3});
  std::vector<LengthExample> all;
  for (int i = 0; i < 400; ++i) {
    LengthExample e;
    for (int64_t j = 0, n = draw.integer(3, 9); j < n; ++j) e.source.push_back(int32_t(draw.integer(1, words - 1)));
    for (const int32_t v : e.source) e.target += v;
    e.positions = int64_t(e.source.size());
    all.push_back(e);
  }
  return all;
}

}  // namespace

TEST_CASE("target length: the ratio is the mean over the training data, a given one stays, nothing is less than 1") {
  TargetLength fitted(Context::cpu(), sizes("ratio"), 0, RandomKey{1});
  CHECK(!fitted.fitted());
  CHECK_THROWS_AS(fitted.predict({}, {4}, {}), Error);
  CHECK_THROWS_AS(fitted.fit({}), Error);
  fitted.fit({{{}, 10, 5}, {{}, 4, 4}});
  CHECK(fitted.predict({}, {8, 0}, {}) == std::vector<double>{6, 1});
  TransformerConfig given = sizes("ratio");
  given.target_length.ratio = 2;
  TargetLength fixed(Context::cpu(), given, 0, RandomKey{1});
  fixed.fit({{{}, 10, 5}});
  CHECK(fixed.predict({}, {8}, {})[0] == 16);
  CHECK_THROWS_AS(TargetLength(Context::cpu(), sizes("table"), 0, RandomKey{1}), Error);
}

TEST_CASE("target length: the table learns what each token adds, and dampening divides") {
  const int64_t words = 6;
  TransformerConfig c = sizes("table");
  TargetLength table(Context::cpu(), c, words, RandomKey{1});
  table.fit(corpus(words));
  const auto n = table.predict({}, {6, 2}, Context::cpu().from(std::vector<int64_t>{1, 5, 5, 2, 3, 4, 4, 1, 0, 0, 0, 0}.data(), {2, 6}));
  CHECK(n[0] == doctest::Approx(20).epsilon(0.02));
  CHECK(n[1] == doctest::Approx(5).epsilon(0.05));
  c.target_length.dampening = 2;
  TargetLength damped(Context::cpu(), c, words, RandomKey{1});
  damped.fit(corpus(words));
  CHECK(damped.predict({}, {1}, Context::cpu().from(std::vector<int64_t>{4}.data(), {1, 1}))[0] == doctest::Approx(2).epsilon(0.05));
}

TEST_CASE("target length: the network learns lengths from states, and its gradient reaches them") {
  TargetLength network(Context::cpu(), sizes("network"), 0, RandomKey{1});
  network.fit({{{}, 4, 4}});
  FlatParameters parameters(network);
  Optimizer adam(parameters, OptimizerConfig{.lr = 5e-3});
  Draw draw(RandomKey{2});
  std::vector<float> values(size_t(8 * 5 * 8));
  for (float& x : values) x = float(draw.normal());
  const Tensor states = Context::cpu().from(values.data(), {8, 5, 8});
  std::vector<int32_t> lengths, targets;
  for (int32_t b = 0; b < 8; ++b) lengths.push_back(2 + b % 4), targets.push_back(b % 2 == 0 ? 3 : 12);
  double first = 0, last = 0;
  for (int64_t step = 1; step <= 150; ++step) {
    adam.zero_grad();
    Tape tape;
    const Variable x = tape.watch(states.clone()), loss = network.loss(x, lengths, targets, {&tape});
    tape.backward(loss);
    if (step == 1) first = loss.value().item();
    last = loss.value().item();
    double reached = 0;
    for (const double g : tape.grad(x).values<double>()) reached += std::abs(g);
    CHECK(reached > 0);
    adam.step(5e-3, step, adam.gradient_norm());
  }
  CHECK(last < 0.05 * first);
}

TEST_CASE("target length: training stretches real lengths by at most the jitter, and only while training") {
  TransformerConfig c = sizes("ratio");
  c.target_length.jitter = 1.25;
  const TargetLength t(Context::cpu(), c, 0, RandomKey{1});
  const Extents still = t.training_extents({5}, {20}, {}), moved = t.training_extents({5}, {20}, {.key = RandomKey{4}, .training = true});
  CHECK(still.target[0] == 20);
  CHECK(moved.source[0] == 5);
  CHECK(moved.target[0] != 20);
  CHECK(moved.target[0] >= 16);
  CHECK(moved.target[0] <= 25);
}
