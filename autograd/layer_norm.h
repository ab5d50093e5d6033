// Tape wrappers of layer normalisation.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/layer_norm.h"

namespace alinea {

inline Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps = 1e-5) {
  return Tape::apply(LayerNorm{eps}, "layer_norm", x, weight, bias);
}
struct ResidualNorm {
  Variable sum, y;
};
/// sum = x + residual, y = layer_norm(sum), fused.
inline ResidualNorm residual_layer_norm(const Variable& x, const Variable& residual, const Variable& weight, const Variable& bias, double eps = 1e-5) {
  auto [sum, y] = Tape::apply(ResidualLayerNorm{eps}, "residual_layer_norm", x, residual, weight, bias);
  return {std::move(sum), std::move(y)};
}

}  // namespace alinea
