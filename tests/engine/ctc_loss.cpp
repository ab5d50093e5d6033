#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "autograd/ctc_loss.h"
#include "engine/core/random.h"
#include "tests/golden.h"

using namespace alinea;

namespace {

nlohmann::json reference() { return nlohmann::json::parse(std::ifstream(golden("ctc_loss.json"))); }

void check_gradient(const Tensor& got, const std::vector<double>& want, double tolerance) {
  const auto v = got.values<double>();
  REQUIRE(v.size() == want.size());
  for (size_t i = 0; i < v.size(); ++i) CHECK(std::abs(v[i] - want[i]) <= tolerance);
}

// −log Σ over all V^frames paths that collapse to the target.
double by_enumeration(const std::vector<double>& logits, int64_t frames, int64_t V, const std::vector<int64_t>& target, int64_t blank) {
  double total = 0;
  std::vector<int64_t> path(size_t(frames), 0);
  for (;;) {
    std::vector<int64_t> labels;
    double p = 1;
    for (size_t t = 0; t < path.size(); ++t) {
      double sum = 0;
      for (int64_t v = 0; v < V; ++v) sum += std::exp(logits[t * size_t(V) + size_t(v)]);
      p *= std::exp(logits[t * size_t(V) + size_t(path[t])]) / sum;
      if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) labels.push_back(path[t]);
    }
    if (labels == target) total += p;
    size_t t = 0;
    while (t < path.size() && ++path[t] == V) path[t++] = 0;
    if (t == path.size()) return -std::log(total);
  }
}

}  // namespace

TEST_CASE("ctc_loss: single problems equal PyTorch in double: repeats, empty and impossible targets, other blanks, sharp logits") {
  const nlohmann::json golden_cases = reference();
  for (const auto& c : golden_cases["cases"]) {
    CAPTURE(c["name"].get<std::string>());
    const auto logits = c["logits"].get<std::vector<double>>();
    const auto target = c["target"].get<std::vector<int64_t>>();
    const int32_t frames = c["frames"], labels = int32_t(target.size());
    const CtcLoss options{.blank = c["blank"], .zero_infinity = c["zero_infinity"], .reduction = Reduction::sum, .input_lengths = {frames}, .target_lengths = {labels}};
    for (const DType dtype : {DType::f32, DType::f64}) {
      Tape tape;
      const Variable x = tape.watch(Context::cpu().from(logits.data(), {1, frames, c["classes"].get<int64_t>()}).to(dtype));
      const Variable loss = ctc_loss(x, Context::cpu().from(target.data(), {1, labels}), options);
      if (c["loss"].is_null()) {
        CHECK(std::isinf(loss.value().item()));
        tape.backward(loss);
        CHECK(std::isnan(tape.grad(x).values<double>()[0]));
        continue;
      }
      const double want = c["loss"];
      CHECK(std::abs(loss.value().item() - want) <= 1e-5 + 1e-6 * want);
      tape.backward(loss);
      check_gradient(tape.grad(x), c["gradient"], dtype == DType::f32 ? 5e-6 + 5e-7 * want : 2e-6);
    }
  }
}

TEST_CASE("ctc_loss: a batch with padding in every reduction equals PyTorch") {
  const auto b = reference()["batch"];
  const auto logits = b["logits"].get<std::vector<float>>();
  const auto shape = b["shape"].get<std::vector<int64_t>>();
  std::vector<int64_t> target;
  for (const auto& row : b["target"])
    for (const int64_t label : row) target.push_back(label);
  const Tensor x = Context::cpu().from(logits.data(), Shape(std::span<const int64_t>(shape))), ids = Context::cpu().from(target.data(), {shape[0], 7});
  CtcLoss options{.reduction = Reduction::none, .input_lengths = b["input_lengths"], .target_lengths = b["target_lengths"]};
  const auto each = options.forward(x, ids, nullptr).values<double>();
  for (size_t i = 0; i < each.size(); ++i) {
    if (b["none"][i].is_null()) CHECK(std::isinf(each[i]));
    else CHECK(each[i] == doctest::Approx(b["none"][i].get<double>()).epsilon(1e-6));
  }
  options.zero_infinity = true;
  for (const std::string reduction : {"mean", "sum"}) {
    CAPTURE(reduction);
    options.reduction = reduction == "mean" ? Reduction::mean : Reduction::sum;
    Tape tape;
    const Variable v = tape.watch(x);
    const Variable loss = ctc_loss(v, ids, options);
    CHECK(loss.value().item() == doctest::Approx(b[reduction].get<double>()).epsilon(1e-6));
    tape.backward(loss);
    check_gradient(tape.grad(v), b["gradient_" + reduction], 2e-5);
  }
}

TEST_CASE("ctc_loss equals the sum over all paths") {
  Draw draw(RandomKey{5});
  std::vector<double> logits(5 * 3);
  for (double& x : logits) x = draw.normal();
  for (const auto& target : std::vector<std::vector<int64_t>>{{}, {0}, {2, 2}, {0, 2, 0}, {2, 2, 0}}) {
    const int32_t labels = int32_t(target.size());
    const CtcLoss options{.blank = 1, .reduction = Reduction::sum, .input_lengths = {5}, .target_lengths = {labels}};
    const double loss = options.forward(Context::cpu().from(logits.data(), {1, 5, 3}), Context::cpu().from(target.data(), {1, labels}), nullptr).item();
    CHECK(loss == doctest::Approx(by_enumeration(logits, 5, 3, target, 1)).epsilon(1e-12));
  }
}

TEST_CASE("ctc_loss: the gradient in the place of the logits equals the one beside them") {
  const CtcLoss options{.reduction = Reduction::sum, .input_lengths = {4, 3}, .target_lengths = {2, 1}};
  const std::vector<int64_t> target = {1, 2, 2, -1};
  Context& cpu = Context::cpu();
  std::vector<double> logits(2 * 4 * 3);
  Draw draw(RandomKey{6});
  for (double& x : logits) x = draw.normal();
  const Tensor ids = cpu.from(target.data(), {2, 2}), held = cpu.from(logits.data(), {2, 4, 3}), g = cpu.full({}, DType::f64, 1);
  CtcLoss::Saved beside, in_place;
  options.forward(held, ids, &beside);
  options.forward(cpu.from(logits.data(), {2, 4, 3}), ids, &in_place);
  CHECK(options.backward(std::move(in_place), g.clone(), {})[0].values<double>() == options.backward(std::move(beside), g.clone(), {})[0].values<double>());
  CHECK(held.values<double>() == logits);
}

TEST_CASE("ctc_loss: no frames, and what is refused") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({1, 2, 3}, DType::f32);
  const std::vector<int64_t> good = {1, 2}, with_blank = {1, 0}, outside = {1, 3};
  auto run = [&](const std::vector<int64_t>& target, int32_t frames, int32_t labels) {
    return CtcLoss{.input_lengths = {frames}, .target_lengths = {labels}}.forward(x, cpu.from(target.data(), {1, 2}), nullptr).item();
  };
  CHECK(run(good, 0, 0) == 0);
  CHECK(std::isinf(run(good, 0, 1)));
  CHECK_THROWS_AS(run(with_blank, 2, 2), Error);
  CHECK_THROWS_AS(run(outside, 2, 2), Error);
  CHECK_THROWS_AS(run(good, 3, 2), Error);
  CHECK_THROWS_AS(run(good, 2, 3), Error);
  CHECK_THROWS_AS(CtcLoss{}.forward(x, cpu.from(good.data(), {1, 2}), nullptr), Error);
}
