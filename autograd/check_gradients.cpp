#include <cmath>

#include "autograd/op_table.h"

namespace alinea {

namespace {

Tensor filled(const Fill& fill, bool integer, Draw& draw) {
  Context& cpu = Context::cpu();
  if (integer) {
    const std::vector<int64_t> ids(fill.values.begin(), fill.values.end());
    return cpu.from(ids.data(), fill.shape);
  }
  std::vector<double> v(size_t(fill.shape.count()));
  for (size_t i = 0; i < v.size(); ++i) {
    const double x = draw.normal();
    if (fill.kind == Fill::given) v[i] = fill.values[i];
    else if (fill.kind == Fill::positive) v[i] = 0.5 + 1.5 * draw.uniform();
    else if (fill.kind == Fill::away_from_zero) v[i] = std::copysign(0.3 + 1.2 * draw.uniform(), x);
    else v[i] = x;
  }
  return cpu.from(v.data(), fill.shape);
}

double weighted_sum(const std::vector<Variable>& outputs, const std::vector<std::vector<double>>& weights) {
  double s = 0;
  for (size_t o = 0; o < outputs.size(); ++o) {
    const auto y = outputs[o].value().values<double>();
    for (size_t i = 0; i < y.size(); ++i) s += weights[o][i] * y[i];
  }
  return s;
}

// The inputs where the op is to run.
std::map<std::string, Variable> inputs_on(Context& context, const std::map<std::string, Tensor>& values) {
  std::map<std::string, Variable> inputs;
  for (const auto& [name, value] : values) inputs[name] = value.to(context);
  return inputs;
}

// Gradients of Σ w · output by the op's own backward, in the order of `names`.
std::vector<std::vector<double>> analytic(const OpRow& row, Context& context, const std::map<std::string, Tensor>& values, const OpExample& example,
                                          const std::vector<std::string>& names, std::vector<std::vector<double>>& weights, Draw& draw) {
  Tape tape;
  std::map<std::string, Variable> inputs = inputs_on(context, values);
  for (const auto& name : names) inputs[name] = tape.watch(inputs[name].value());
  const auto outputs = row.run(make_call(row, inputs, example.attributes));
  std::vector<Tensor> g;
  for (const Variable& y : outputs) {
    auto& w = weights.emplace_back(size_t(y.value().count()));
    for (double& x : w) x = draw.normal();
    g.push_back(context.from(w.data(), y.shape()));
  }
  tape.backward(outputs, std::move(g));
  std::vector<std::vector<double>> result;
  for (const auto& name : names) {
    const Tensor d = tape.grad(inputs[name]);
    result.push_back(d ? d.values<double>() : std::vector<double>(size_t(values.at(name).count())));
  }
  return result;
}

}  // namespace

std::vector<GradCheck> check_gradients(const OpRow& row, RandomKey key, Context& context) {
  std::vector<GradCheck> checks;
  for (size_t e = 0; e < row.examples.size(); ++e) {
    const OpExample& example = row.examples[e];
    Draw draw(key.child(row.name).child(e));
    std::map<std::string, Tensor> values;
    std::vector<std::string> names;
    for (const OpInput& input : row.inputs) {
      const auto it = example.inputs.find(input.name);
      if (it == example.inputs.end()) continue;
      values[input.name] = filled(it->second, input.integer, draw);
      if (!input.integer && !input.constant) names.push_back(input.name);
    }
    std::vector<std::vector<double>> weights;
    const auto gradients = analytic(row, context, values, example, names, weights, draw);
    for (size_t n = 0; n < names.size(); ++n) {
      GradCheck check{row.name, names[n], int(e)};
      double largest = 1;
      for (const double d : gradients[n]) largest = std::max(largest, std::abs(d));
      const Tensor& x = values[names[n]];
      double* p = x.data<double>();
      for (int64_t i = 0; i < x.count(); ++i) {
        const double old = p[i], h = 1e-5 * std::max(1.0, std::abs(old));
        auto at = [&](double v) {
          p[i] = v;
          return weighted_sum(row.run(make_call(row, inputs_on(context, values), example.attributes)), weights);
        };
        // Five points: the error of the difference itself falls to h⁴.
        const double numeric = (8 * (at(old + h) - at(old - h)) - (at(old + 2 * h) - at(old - 2 * h))) / (12 * h);
        p[i] = old;
        const double error = std::abs(numeric - gradients[n][size_t(i)]) / largest;
        if (!(error <= check.worst)) check.worst = error, check.at = i;
      }
      checks.push_back(check);
    }
  }
  return checks;
}

}  // namespace alinea
