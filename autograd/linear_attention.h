// Tape wrapper of linear attention.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/linear_attention.h"

namespace alinea {

/// y [B, H, T, D] = φ(q) Σ φ(k) vᵀ / floor(φ(q) Σ φ(k)) under the mask.
inline Variable linear_attention(const Variable& q, const Variable& k, const Variable& v, const LinearAttention& op) {
  return Tape::apply(op, "linear_attention", q, k, v);
}

}  // namespace alinea
