// Some optimiser steps on one batch, with everything that a recorded AdamW trajectory holds.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "apps/forward_model.h"

namespace alinea {

/// Five AdamW steps (lr 0.001 · inverse square root with warm-up 2, β 0.9 and 0.98, eps 1e-8, decay 0.01, clipped at norm 1):
/// lr, loss, grad_norm [5] (before each step), loss_after, final.NAME, exp_avg.NAME, exp_avg_sq.NAME, and over `order` param_sum and
/// param_abs_sum with their totals sum and abs_sum.
NamedTensors adamw_trajectory(ForwardModel& model, const NamedInputs& in, const nlohmann::json& order);

}  // namespace alinea
