// The residual around every block: x + drop(f(LN(x))) (pre-norm) or LN(x + drop(f(x))) (post-norm).
#pragma once
#include "autograd/elementwise.h"
#include "models/s2t_config.h"
#include "nn/layers.h"

namespace alinea {

template <class F>
Variable residual(const Variable& x, LayerNormLayer& norm, bool pre, double dropout, const Pass& pass, F&& f) {
  if (pre) return add(x, drop(f(norm(x, pass.tape)), dropout, pass));
  return norm.after_add(x, drop(f(x), dropout, pass), pass.tape).y;
}

inline Activation activation_named(const std::string& name) { return name == "gelu" ? Activation::gelu : Activation::relu; }

}  // namespace alinea
