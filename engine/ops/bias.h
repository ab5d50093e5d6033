// Bias and activation in one pass, the tail of linear and conv1d; and its gradient.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea {

/// y = act(h + b) over the last axis; b may be none. In place unless the activation is gelu and `keep_hidden`:
/// then h keeps h + b (backward needs it) and y is new.
Tensor bias_activation(const Tensor& h, const Tensor& bias, Activation activation, bool keep_hidden);

/// g ⊙ act'(hidden), in place when g has one owner; `hidden` is y for relu, h + b for gelu, none otherwise.
/// Column sums of the result go to beta · bias_grad + Σ when bias_grad is there.
Tensor activation_backward(Tensor&& g, const Tensor& hidden, Activation activation, const Tensor& bias_grad, double beta);

}  // namespace alinea
