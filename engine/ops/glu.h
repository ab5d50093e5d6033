// Gated linear unit (Dauphin et al. 2017, "Language modeling with gated convolutional networks").
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y = a ⊙ σ(b), where a and b are the halves of x along `axis`.   x [.., 2N, ..]  ->  y [.., N, ..]
///   with s = σ(b):   da = g s,   db = g a s (1 - s)
/// x contiguous, f32 or f64. Keeps x; backward writes into it when nobody else holds it.
struct Glu {
  int axis = -1;
  struct Saved {
    Tensor x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

}  // namespace alinea
