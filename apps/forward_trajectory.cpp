#include "apps/forward_trajectory.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "nn/optimizer.h"
#include "nn/schedule.h"

namespace alinea {

namespace {

double loss_of(ForwardModel& model, const NamedInputs& in, Tape* tape, Variable* loss = nullptr) {
  for (auto& [name, v] : model.outputs(in, {}, tape))
    if (name == "loss") {
      if (loss) *loss = v;
      return v.value().item();
    }
  fail(Exit::data, "forward: the optimiser needs a loss, and these inputs give none; add labels");
}

// Sums over the parameters in the recorded order. The bias of k_proj has a true gradient of zero (a shift of all scores), so what Adam
// makes of its rounding noise is not compared: 0 stands in its place.
void append_sums(const FlatParameters& parameters, const nlohmann::json& order, NamedTensors& results) {
  std::map<std::string, std::pair<double, double>> sums;
  for (const auto& e : parameters.entries) {
    auto& [sum, absolute] = sums[e.path];
    for (const double x : e.parameter->value.values<double>()) sum += x, absolute += std::abs(x);
  }
  std::vector<double> sum, absolute;
  double total = 0, total_absolute = 0;
  for (const auto& name : order) {
    const std::string path = name.get<std::string>();
    const bool skip = path.ends_with("k_proj.bias");
    const auto it = sums.find(path);
    sum.push_back(skip ? 0 : it == sums.end() ? NAN : it->second.first);
    absolute.push_back(skip ? 0 : it == sums.end() ? NAN : it->second.second);
    total += sum.back(), total_absolute += absolute.back();
  }
  const auto give = [&](const char* name, const std::vector<double>& v) { results.emplace_back(name, Context::cpu().from(v.data(), {int64_t(v.size())})); };
  give("param_sum", sum);
  give("param_abs_sum", absolute);
  results.emplace_back("sum", Context::cpu().from(&total, {}));
  results.emplace_back("abs_sum", Context::cpu().from(&total_absolute, {}));
}

}  // namespace

NamedTensors adamw_trajectory(ForwardModel& model, const NamedInputs& in, const nlohmann::json& order) {
  constexpr int64_t steps = 5;
  const OptimizerConfig config{.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip = 1};
  const Schedule schedule{.kind = "inverse_sqrt", .warmup = 2};
  FlatParameters parameters(model.module());
  Optimizer optimizer(parameters, config);
  std::vector<double> rates, losses, norms;
  for (int64_t step = 1; step <= steps; ++step) {
    Tape tape;
    Variable loss;
    optimizer.zero_grad();
    losses.push_back(loss_of(model, in, &tape, &loss));
    tape.backward(loss);
    const Tensor norm = optimizer.gradient_norm();
    norms.push_back(norm.item());
    rates.push_back(config.lr * schedule.factor(step, steps));
    optimizer.step(rates.back(), step, norm);
  }
  NamedTensors results;
  const auto give = [&](const char* name, const std::vector<double>& v) { results.emplace_back(name, Context::cpu().from(v.data(), {steps})); };
  give("lr", rates), give("loss", losses), give("grad_norm", norms);
  const double after = loss_of(model, in, nullptr);
  results.emplace_back("loss_after", Context::cpu().from(&after, {}));
  for (const auto& e : parameters.entries) {
    const Shape shape = e.parameter->value.shape();
    const auto slice = [&](const Tensor& flat) { return flat.slice(0, e.begin, e.begin + e.count).reshape(shape).clone(); };
    results.emplace_back("final." + e.path, e.parameter->value.clone());
    results.emplace_back("exp_avg." + e.path, slice(optimizer.moment1));
    results.emplace_back("exp_avg_sq." + e.path, slice(optimizer.moment2));
  }
  append_sums(parameters, order, results);
  return results;
}

}  // namespace alinea
