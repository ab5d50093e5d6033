// Bias and activation in one pass, the tail of linear and of the convolutions; and its gradient.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea {

/// y = act(h + b) over the last axis; b may be none. In place unless the activation is gelu and `keep_hidden`:
/// then h keeps h + b (backward needs it) and y is new.
Tensor bias_activation(const Tensor& h, const Tensor& bias, Activation activation, bool keep_hidden);

/// g' = g ⊙ act'(hidden), in place when g has one owner; `hidden` is y for relu, h + b for gelu, none otherwise.
/// bias_grad becomes the column sums of g' when they are needed.
Tensor activation_backward(Tensor&& g, const Tensor& hidden, Activation activation, const Need& need_bias, Tensor& bias_grad);

}  // namespace alinea
