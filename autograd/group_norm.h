// Tape wrapper of group normalisation.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/group_norm.h"

namespace alinea {

/// x [B, T, C]; statistics per item over time and the channels of a group.
inline Variable group_norm(const Variable& x, int64_t groups, const Variable& weight, const Variable& bias, double eps = 1e-5) {
  return Tape::apply(GroupNorm{groups, eps}, "group_norm", x, weight, bias);
}

}  // namespace alinea
