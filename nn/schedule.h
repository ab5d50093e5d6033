// Learning-rate schedules as pure functions of the step, so that a resumed run continues on the same curve.
#pragma once
#include <cmath>
#include <string>

#include "engine/core/config.h"
#include "engine/core/error.h"

namespace alinea {

/// factor(step) · lr with step = 1, 2, …: linear warm-up to 1, then
///   cosine: ½ + ½ cos(π step / steps) · inverse_sqrt: √(warmup / step) · constant: 1.   The cosine starts at step 0, under the warm-up too.
struct Schedule {
  std::string kind = "cosine";
  int64_t warmup = 100;
  void fields(Config& c) {
    c.field("kind", kind, "cosine, inverse_sqrt or constant");
    c.field("warmup", warmup, "steps of linear warm-up");
  }
  double factor(int64_t step, int64_t steps) const {
    const double s = double(step), w = double(warmup), rise = warmup > 0 ? std::min(1.0, s / w) : 1.0;
    if (kind == "cosine") return rise * (0.5 + 0.5 * std::cos(3.141592653589793 * s / double(steps)));
    if (kind == "inverse_sqrt") return rise * std::min(1.0, std::sqrt(std::max(w, 1.0) / s));
    if (kind == "constant") return rise;
    fail(Exit::usage, "schedule: kind '{}' is not cosine, inverse_sqrt or constant", kind);
  }
};

}  // namespace alinea
