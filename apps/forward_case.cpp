#include "apps/forward_case.h"

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/forward_trajectory.h"
#include "engine/core/files.h"

namespace alinea {

namespace {

using json = nlohmann::json;

bool starts(const std::string& s, std::string_view with) { return s.starts_with(with); }
bool holds(const std::string& s, std::string_view part) { return s.find(part) != std::string::npos; }

/// One forward pass that several expected tensors share.
struct Scenario {
  std::string name;                                         // tells passes apart
  std::string key;                                          // of the expected tensor among the pass's results
  std::function<NamedInputs(const NamedInputs&)> inputs = [](const NamedInputs& in) { return in; };
  ForwardOptions options{.hidden_states = true};
  bool gradients = false;
};

// "loss_sum.too_long.zero_infinity_0", "loss_mean.blank_in_labels": CTC with another reduction and other labels.
Scenario ctc_loss_scenario(const std::string& key) {
  Scenario s{.name = key, .key = "loss"};
  s.options.loss.reduction = starts(key, "loss_sum") ? Reduction::sum : Reduction::mean;
  if (holds(key, "zero_infinity_")) s.options.loss.zero_infinity = key.back() == '1';
  const std::string labels = holds(key, "too_long") ? "labels_too_long" : holds(key, "blank_in_labels") ? "labels_with_blank" : "labels";
  s.inputs = [labels](const NamedInputs& in) { return in.with("labels", in.need(labels, "[B, L]")); };
  return s;
}

Scenario smoothed_scenario(const std::string& key) {
  Scenario s{.name = "smoothed", .key = key, .gradients = true};
  s.options.loss.smoothing = 0.1;
  if (starts(key, "loss_")) s.key = "loss";
  if (holds(key, "fairseq")) {
    s.name = "smoothed as fairseq", s.gradients = false;
    s.options.loss.convention = CrossEntropy::Convention::fairseq;
    s.options.loss.reduction = Reduction::sum;
  }
  if (starts(key, "grad_smooth")) s.key = "grad" + key.substr(std::string_view("grad_smooth").size());
  return s;
}

Scenario scenario_of(const std::string& key) {
  if (starts(key, "eval.") || starts(key, "train.")) {
    Scenario s{.name = key.substr(0, key.find('.')), .key = key.substr(key.find('.') + 1), .gradients = true};
    s.options.training = s.name == "train";
    if (!s.options.training) s.inputs = [](const NamedInputs& in) { return in.without("gumbel_noise"); };
    return s;
  }
  if (key == "logits_without_mask") return {.name = key, .key = "logits", .inputs = [](const NamedInputs& in) { return in.without("attention_mask").without("sample_lengths"); }};
  if (key == "nll_sum") {
    Scenario s{.name = key, .key = "loss"};
    s.options.loss.reduction = Reduction::sum;
    return s;
  }
  if (starts(key, "loss_smooth") || starts(key, "grad_smooth")) return smoothed_scenario(key);
  if (starts(key, "loss_")) return ctc_loss_scenario(key);
  return {.name = "plain", .key = key, .gradients = true};
}

class CaseRunner {
 public:
  CaseRunner(ForwardModel& model, Context& context, const std::filesystem::path& folder)
      : model_(model),
        case_(json::parse(read_file(folder / "case.json"))),
        expected_(SafetensorsFile(folder / "expected.safetensors").load_all(Context::cpu())),
        inputs_(SafetensorsFile(folder / "inputs.safetensors").load_all(context)) {}

  std::vector<ComparedTensor> compare() {
    std::vector<ComparedTensor> rows;
    for (const auto& [name, want] : expected_) {
      const json& t = case_.at("tolerance").at(holds(name, "grad") && case_["tolerance"].contains("grad") ? "grad" : "forward");
      rows.push_back(compare_tensor(name, result(name), want, t.at("atol"), t.at("rtol")));
    }
    return rows;
  }

 private:
  Tensor result(const std::string& key) {
    if (case_.contains("schedule")) return named(trajectory(), key);
    if (starts(key, "gen.")) return generated(key);
    const Scenario s = scenario_of(key);
    auto it = passes_.find(s.name);
    if (it == passes_.end()) it = passes_.emplace(s.name, run(s)).first;
    return named(it->second, s.key);
  }

  static Tensor named(const NamedTensors& all, const std::string& key) {
    for (const auto& [name, t] : all)
      if (name == key) return t;
    return {};
  }

  NamedTensors run(const Scenario& s) {
    NamedInputs in = s.inputs(inputs_);
    for (const char* other : {"labels_too_long", "labels_with_blank"}) in = in.without(other);
    const bool gradients = s.gradients && case_.contains("param_order");
    NamedTensors results = run_forward(model_, in, s.options, gradients ? std::vector<std::string>{"all"} : std::vector<std::string>());
    if (gradients) results.emplace_back("grad_l2", gradient_norms(results));
    return results;
  }

  // |gradient| of every parameter, in the order of the case's param_order.
  Tensor gradient_norms(const NamedTensors& results) const {
    std::vector<float> norms;
    for (const auto& name : case_.at("param_order")) {
      const Tensor g = named(results, "grad." + name.get<std::string>());
      double sum = 0;
      if (g)
        for (const double x : g.values<double>()) sum += x * x;
      norms.push_back(g ? float(std::sqrt(sum)) : NAN);
    }
    return Context::cpu().from(norms.data(), {int64_t(norms.size())});
  }

  Tensor generated(const std::string& key) {
    const std::string plan = key.substr(4, key.rfind('.') - 4);
    auto it = passes_.find("gen." + plan);
    if (it == passes_.end()) it = passes_.emplace("gen." + plan, model_.generate(inputs_, settings(case_.at("generate").at(plan)))).first;
    return named(it->second, key.substr(key.rfind('.') + 1));
  }

  static std::vector<std::pair<std::string, std::string>> settings(const json& plan) {
    std::vector<std::pair<std::string, std::string>> all;
    for (const auto& [name, value] : plan.items()) {
      std::string text = value.is_null() ? "none" : value.is_string() ? value.get<std::string>() : value.dump();
      if (value.is_array()) {
        text.clear();
        for (const auto& part : value) text += (text.empty() ? "" : "+") + part.dump();
      }
      all.emplace_back(name, text);
    }
    return all;
  }

  const NamedTensors& trajectory() {
    auto it = passes_.find("trajectory");
    if (it == passes_.end()) it = passes_.emplace("trajectory", adamw_trajectory(model_, inputs_, case_.at("param_order"))).first;
    return it->second;
  }

  ForwardModel& model_;
  json case_;
  NamedTensors expected_;
  NamedInputs inputs_;
  std::map<std::string, NamedTensors> passes_;
};

}  // namespace

ComparedTensor compare_tensor(const std::string& name, const Tensor& got, const Tensor& want, double atol, double rtol) {
  ComparedTensor row{.name = name};
  if (!got) return row.complaint = "not computed", row;
  if (got.shape() != want.shape()) return row.complaint = fmt::format("is {}, expected {}", got.shape(), want.shape()), row;
  const bool whole = want.dtype() == DType::i32 || want.dtype() == DType::i64 || want.dtype() == DType::u8;
  const auto g = got.values<double>(), w = want.values<double>();
  double largest = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const bool finite = std::isfinite(w[i]);
    if (finite != std::isfinite(g[i]) || std::isnan(w[i]) != std::isnan(g[i]) || (std::isinf(w[i]) && w[i] != g[i]))
      return row.complaint = fmt::format("entry {} is {}, expected {}", i, g[i], w[i]), row;
    if (!finite) continue;
    row.worst = std::max(row.worst, std::abs(g[i] - w[i]));
    largest = std::max(largest, std::abs(w[i]));
  }
  row.tolerance = whole ? 0 : atol + rtol * largest;
  row.ok = row.worst <= row.tolerance;
  if (!row.ok) row.complaint = "off";
  return row;
}

std::vector<ComparedTensor> compare_case(ForwardModel& model, Context& context, const std::filesystem::path& folder) { return CaseRunner(model, context, folder).compare(); }

}  // namespace alinea
