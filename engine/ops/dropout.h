// Dropout (Srivastava et al. 2014), scaled in training so that inference needs nothing.
#pragma once
#include "engine/core/random.h"
#include "engine/ops/op.h"

namespace alinea {

/// y = x ⊙ m / (1 - p),  dx = g ⊙ m / (1 - p),  m = 0 with probability p.
/// m is a pure function of (key, offset, element): element e is dropped when number e % 4 of key.block(offset + e / 4) is below p · 2³².
/// So nothing is kept: backward draws the same mask again. p = 0 returns x. x contiguous, f32 or f64; 0 ≤ p < 1.
struct Dropout {
  double p = 0;
  RandomKey key;
  uint64_t offset = 0;                                      // in blocks of four numbers
  struct Saved {};
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

}  // namespace alinea
