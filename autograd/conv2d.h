// Tape wrapper of the convolution over time and bins.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/conv2d.h"

namespace alinea {

/// y [B, H', W', O] = act(conv(x [B, H, W, C], weight [O, C, M, N]) + bias); bias may be none.
inline Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2d& op = {}) {
  return Tape::apply(op, "conv2d", x, weight, bias);
}

}  // namespace alinea
