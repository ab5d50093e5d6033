// Linear attention in its quadratic form, composed of small differentiable steps: what the linear-time kernel is held against, and the one
// form in which single weights can be dropped (the denominator keeps all of them, as in the authors' training).
#pragma once
#include "nn/attention/attention.h"

namespace alinea {

/// context [B,H,T,D] of relu, elu or cosformer features; O(T S) time and memory.
Variable linear_reference(const LinearAttention& op, const AttentionInput& in);

}  // namespace alinea
