// AdamW over the flat parameter buffer, with clipping by the global gradient norm and factors for groups of parameters.
#pragma once
#include <map>
#include <string>

#include "engine/core/config.h"
#include "engine/ops/adamw.h"
#include "nn/module.h"

namespace alinea {

struct OptimizerConfig {
  std::string name = "adamw";
  double lr = 2e-3, beta1 = 0.9, beta2 = 0.98, eps = 1e-8, weight_decay = 0.01, clip = 1;
  std::map<std::string, double> lr_factors, weight_decays;
  void fields(Config& c) {
    c.field("name", name, "adamw (decoupled weight decay) or adam (added to the gradient)");
    c.field("lr", lr, "learning rate at the top of the schedule");
    c.field("beta1", beta1, "decay of the first moment");
    c.field("beta2", beta2, "decay of the second moment");
    c.field("eps", eps, "added to the root of the second moment");
    c.field("weight_decay", weight_decay, "decoupled weight decay");
    c.field("clip", clip, "largest norm of the whole gradient; 0: never clipped");
    c.field("lr_factors", lr_factors, "parameter groups: name prefix (with * for any characters) -> factor on the learning rate");
    c.field("weight_decays", weight_decays, "parameter groups: name prefix -> its own weight decay");
  }
};

class Optimizer {
 public:
  Optimizer(FlatParameters& parameters, const OptimizerConfig& config);

  void zero_grad() { parameters_.grads.zero(); }
  /// √Σ g² over all parameters, f64 {}. On a GPU it need not be waited for: step() reads it there.
  Tensor gradient_norm() const;
  /// One update with learning rate lr (the schedule's), step counted from 1; `norm` from gradient_norm() decides the clipping. Weights and moments
  /// stay as they are where the norm is NaN or infinite.
  void step(double lr, int64_t step, const Tensor& norm);

  Tensor moment1, moment2;                                  // flat, like the parameters

 private:
  struct Group {
    int64_t begin, end;
    double lr_factor, weight_decay;
  };
  FlatParameters& parameters_;
  OptimizerConfig config_;
  std::vector<Group> groups_;                               // neighbouring parameters with the same settings
};

}  // namespace alinea
