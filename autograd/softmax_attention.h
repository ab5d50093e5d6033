// Tape wrapper of softmax attention.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/softmax_attention.h"

namespace alinea {

/// y [B, H, T, D] = softmax(scale q kᵀ under the mask) v.
inline Variable softmax_attention(const Variable& q, const Variable& k, const Variable& v, const SoftmaxAttention& op) {
  return Tape::apply(op, "softmax_attention", q, k, v);
}

}  // namespace alinea
