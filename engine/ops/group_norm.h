// Group normalisation (Wu and He, "Group normalization", ECCV 2018, equations 1 to 4) of sequences.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y = (x − μ) r ⊙ w + b,  r = 1/√(σ² + eps): μ and σ² over all T steps and the C / groups neighbouring channels of a group, per item.
///   x [B, T, C]  weight, bias [C]  ->  y [B, T, C].   groups = C is instance normalisation over time (wav2vec2's first layer).
///   with x̂ = (x − μ) r, h = g ⊙ w:   dx = r (h − mean(h) − x̂ mean(h ⊙ x̂)), means over the group;   dw = Σ_{B,T} g ⊙ x̂,   db = Σ_{B,T} g
/// Padded steps count like any other (as in PyTorch); cut them off before where they should not. Contiguous. Keeps x, w and μ, r per group.
/// Statistics are merged from short runs of steps (Chan, Golub, LeVeque, 1979), so that x is read twice, without loss for large means.
struct GroupNorm {
  int64_t groups = 1;
  double eps = 1e-5;
  struct Saved {
    Needs<3> needs;
    Tensor x, weight, mean, rstd;
  };
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

}  // namespace alinea
