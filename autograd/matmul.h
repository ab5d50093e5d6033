// Tape wrappers of the matrix products.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/matmul.h"

namespace alinea {

/// y = act(x Wᵀ + b); bias may be none.
inline Variable linear(const Variable& x, const Variable& weight, const Variable& bias, Activation activation = Activation::none) {
  return Tape::apply(Linear{activation}, "linear", x, weight, bias);
}
inline Variable matmul(const Variable& a, const Variable& b, bool transpose_a = false, bool transpose_b = false) {
  return Tape::apply(MatMul{transpose_a, transpose_b}, "matmul", a, b);
}

}  // namespace alinea
