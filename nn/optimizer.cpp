#include "nn/optimizer.h"

namespace alinea {

namespace {

// The value of the longest prefix of `name` (with * for any characters), or `standard`.
double of_prefix(const std::map<std::string, double>& by_prefix, const std::string& name, double standard) {
  size_t longest = 0;
  for (const auto& [prefix, value] : by_prefix)
    if (matches(name, prefix + "*") && prefix.size() >= longest) longest = prefix.size(), standard = value;
  return standard;
}

}  // namespace

Optimizer::Optimizer(FlatParameters& parameters, const OptimizerConfig& config)
    : moment1(parameters.values.context().zeros(parameters.values.shape(), DType::f32)),
      moment2(parameters.values.context().zeros(parameters.values.shape(), DType::f32)),
      parameters_(parameters),
      config_(config) {
  require(config.name == "adamw" || config.name == "adam", "optimizer: '{}' is not adamw or adam", config.name);
  require(config.lr > 0 && config.clip >= 0 && config.beta1 >= 0 && config.beta1 < 1 && config.beta2 >= 0 && config.beta2 < 1,
          "optimizer: lr {} must be positive, clip {} not negative, beta1 {} and beta2 {} in [0, 1)", config.lr, config.clip, config.beta1, config.beta2);
  for (const auto& e : parameters.entries) {
    const Group g{e.begin, e.begin + e.count, of_prefix(config.lr_factors, e.path, 1), of_prefix(config.weight_decays, e.path, config.weight_decay)};
    if (!groups_.empty() && groups_.back().lr_factor == g.lr_factor && groups_.back().weight_decay == g.weight_decay) groups_.back().end = g.end;
    else groups_.push_back(g);
  }
}

Tensor Optimizer::gradient_norm() const { return l2_norm(parameters_.grads); }

void Optimizer::step(double lr, int64_t step, const Tensor& norm) {
  const Tensor scale = clip_scale(norm, config_.clip, DType::f32);
  for (const Group& g : groups_) {
    const AdamW options{.lr = lr * g.lr_factor, .beta1 = config_.beta1, .beta2 = config_.beta2, .eps = config_.eps, .weight_decay = g.weight_decay,
                        .decoupled = config_.name == "adamw", .step = step};
    adamw_step(options, parameters_.values, parameters_.grads, moment1, moment2, scale, g.begin, g.end);
  }
}

}  // namespace alinea
