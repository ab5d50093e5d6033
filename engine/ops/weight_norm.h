// Weight normalisation of a convolution's taps (Salimans and Kingma, "Weight normalization", 2016, equations 2 and 3).
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// w[o, c, k] = g_k v[o, c, k] / n_k,   n_k = √(Σ_{o,c} v[o, c, k]²): one length per tap (PyTorch's weight_norm with dim 2).
///   with s_k = Σ_{o,c} d[o, c, k] v[o, c, k] for the gradient d of w:   dg_k = s_k / n_k,   dv = (g_k / n_k) (d − v s_k / n_k²)
/// v [O, C, K]  g [1, 1, K]  ->  w [O, C, K]. No eps: a tap of zeros gives NaN, as there. Contiguous. Keeps v, g and the lengths.
/// Sums run in double over blocks of rows.
struct WeightNorm {
  struct Saved {
    Needs<2> needs;
    Tensor v, g, lengths;
  };
  Tensor forward(const Tensor& v, const Tensor& g, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& d, const Needs<2>& need) const;
};

}  // namespace alinea
