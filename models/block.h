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

/// Whether training leaves this layer out.
inline bool left_out(double rate, const Pass& pass) { return pass.training && rate > 0 && Draw(pass.key.child("layer drop")).uniform() < rate; }

/// Of each of `columns` columns per item: whether it is one of the item's first lengths[b].
inline std::vector<bool> real_columns(const std::vector<int32_t>& lengths, int64_t columns) {
  std::vector<bool> real;
  for (const int32_t n : lengths)
    for (int64_t t = 0; t < columns; ++t) real.push_back(t < n);
  return real;
}

inline Activation activation_named(const std::string& name) { return name == "gelu" ? Activation::gelu : Activation::relu; }

}  // namespace alinea
