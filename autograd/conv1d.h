// Tape wrapper of the convolution over time.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/conv1d.h"

namespace alinea {

/// y [B, T', O] = act(conv(x [B, T, C], weight [O, C/groups, K]) + bias); bias may be none.
inline Variable conv1d(const Variable& x, const Variable& weight, const Variable& bias, const Conv1d& op = {}) {
  return Tape::apply(op, "conv1d", x, weight, bias);
}

}  // namespace alinea
