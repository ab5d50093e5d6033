// Buckets of gradients are on their way as soon as they are final, always in the same order, and hold every gradient once.
#include <doctest/doctest.h>

#include "autograd/elementwise.h"
#include "autograd/matmul.h"
#include "nn/gradient_exchange.h"
#include "nn/layers.h"

using namespace alinea;

namespace {

// Stands for two processes that compute the same: a sum doubles, when it is waited for.
class Twins final : public Processes {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  void start_sum(std::span<float> values) override { started.push_back(values), before_finish.emplace_back(values.begin(), values.end()); }
  void finish() override {
    for (const auto& values : started)
      for (float& v : values) v *= 2;
  }
  void sum(std::span<double>) override {}
  void broadcast(std::span<double>) override {}
  void barrier() override {}
  void abort(int) override {}
  std::vector<std::span<float>> started;
  std::vector<std::vector<float>> before_finish;
};

// Four layers of 8 x 8, one behind the other; the last one is left out of the graph when asked.
class Stack final : public Module {
 public:
  explicit Stack(Context& context) {
    for (uint64_t i = 0; i < 4; ++i) layers.emplace_back(context, 8, 8, RandomKey{5}.child(i));
  }
  Variable operator()(Variable x, Tape& tape, size_t used, bool checkpointed) {
    for (size_t i = 0; i < used; ++i) {
      LinearLayer& layer = layers[i];
      if (checkpointed) x = Tape::checkpoint(&tape, [&layer](Tape* t, const std::vector<Variable>& in) { return layer(in[0], t); }, {x});
      else x = layer(x, &tape);
    }
    return x;
  }
  void visit(const std::string& prefix, const Visitor& v) override {
    for (size_t i = 0; i < layers.size(); ++i) layers[i].visit(path(prefix, std::to_string(i)), v);
  }
  std::vector<LinearLayer> layers;
};

std::vector<float> gradients(size_t used, bool checkpointed, Twins* twins, size_t* early = nullptr) {
  Context& context = Context::cpu();
  Stack stack(context);
  FlatParameters parameters(stack);
  std::unique_ptr<GradientExchange> exchange;
  if (twins) exchange = std::make_unique<GradientExchange>(parameters, *twins, 300);
  Tape tape;
  const Variable y = stack(tape.watch(context.full({3, 8}, DType::f32, 0.5)), tape, used, checkpointed);
  if (exchange) exchange->listen(tape);
  tape.backward(std::span(&y, 1), {context.full(y.shape(), DType::f32, 1)});
  if (early) *early = twins->started.size();
  if (exchange) exchange->finish();
  return parameters.grads.values<float>();
}

}  // namespace

TEST_CASE("gradient exchange: every gradient is added up once, after its last contribution, from the end to the beginning") {
  for (const size_t used : {4, 2}) {
    CAPTURE(used);
    const auto alone = gradients(used, false, nullptr);
    Twins twins;
    size_t early = 0;
    const auto together = gradients(used, false, &twins, &early);
    for (size_t i = 0; i < alone.size(); ++i) REQUIRE(together[i] == 2 * alone[i]);
    REQUIRE(twins.started.size() == 4);
    CHECK(early == 4);                                      // all of them while backward ran
    size_t covered = 0;
    for (size_t b = 0; b < twins.started.size(); ++b) {
      covered += twins.started[b].size();
      if (b > 0) CHECK(twins.started[b].data() + twins.started[b].size() == twins.started[b - 1].data());
      for (size_t i = 0; i < twins.started[b].size(); ++i) CHECK(2 * twins.before_finish[b][i] == twins.started[b][i]);
    }
    CHECK(covered == alone.size());
  }
}

TEST_CASE("gradient exchange: blocks that are computed again hide their parameters, so the buckets wait for the end") {
  const auto alone = gradients(4, true, nullptr);
  Twins twins;
  size_t early = 9;
  const auto together = gradients(4, true, &twins, &early);
  CHECK(early == 0);
  CHECK(twins.started.size() == 4);
  for (size_t i = 0; i < alone.size(); ++i) REQUIRE(together[i] == 2 * alone[i]);
}

TEST_CASE("tape: a parameter that is used twice is final after its second use") {
  Context& context = Context::cpu();
  LinearLayer layer(context, 4, 4, RandomKey{1}, false);
  Tape tape;
  const Variable y = layer(layer(Variable(context.full({2, 4}, DType::f32, 1)), &tape), &tape);
  std::vector<float> seen;
  int times = 0;
  tape.when_final([&](const Parameter& p) { ++times, seen = p.grad.values<float>(); });
  tape.backward(std::span(&y, 1), {context.full(y.shape(), DType::f32, 1)});
  CHECK(times == 1);
  CHECK(seen == layer.weight.grad.values<float>());
}
