// Tape wrappers of the elementwise functions.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/elementwise.h"

namespace alinea {

inline Variable relu(const Variable& x) { return Tape::apply(Elementwise<math::Relu>{}, "relu", x); }
inline Variable gelu(const Variable& x) { return Tape::apply(Elementwise<math::Gelu>{}, "gelu", x); }
inline Variable silu(const Variable& x) { return Tape::apply(Elementwise<math::Silu>{}, "silu", x); }
inline Variable sigmoid(const Variable& x) { return Tape::apply(Elementwise<math::Sigmoid>{}, "sigmoid", x); }
inline Variable tanh(const Variable& x) { return Tape::apply(Elementwise<math::Tanh>{}, "tanh", x); }
inline Variable exp(const Variable& x) { return Tape::apply(Elementwise<math::Exp>{}, "exp", x); }
inline Variable log(const Variable& x) { return Tape::apply(Elementwise<math::Log>{}, "log", x); }
/// factor · x; negate(x) is scale(x, -1).
inline Variable scale(const Variable& x, double factor) { return Tape::apply(Elementwise<math::Scale>{{factor}}, "scale", x); }
inline Variable negate(const Variable& x) { return scale(x, -1); }
inline Variable add_scalar(const Variable& x, double term) { return Tape::apply(Elementwise<math::AddScalar>{{term}}, "add_scalar", x); }

// Equal shapes; expand() broadcasts.
inline Variable add(const Variable& a, const Variable& b) { return Tape::apply(Elementwise2<math::Add>{}, "add", a, b); }
inline Variable sub(const Variable& a, const Variable& b) { return Tape::apply(Elementwise2<math::Sub>{}, "sub", a, b); }
inline Variable mul(const Variable& a, const Variable& b) { return Tape::apply(Elementwise2<math::Mul>{}, "mul", a, b); }
inline Variable div(const Variable& a, const Variable& b) { return Tape::apply(Elementwise2<math::Div>{}, "div", a, b); }

/// gelu(x + residual + bias).
inline Variable add_bias_gelu(const Variable& x, const Variable& residual, const Variable& bias) {
  return Tape::apply(AddBiasGelu{}, "add_bias_gelu", x, residual, bias);
}

}  // namespace alinea
