// The activations of linear layers and convolutions, inside kernels.
#pragma once
#include "engine/core/vec.h"
#include "engine/ops/matmul.h"

namespace alinea {

template <Vector V>
ALINEA_INLINE V activate(V x, Activation a) {
  using T = Lane<V>;
  if (a == Activation::relu) return x < 0 ? splat(T(0)) : x;   // NaN passes
  if (a == Activation::gelu) return x * T(0.5) * (T(1) + erf(x * T(0.70710678118654752)));
  return x;
}

}  // namespace alinea
