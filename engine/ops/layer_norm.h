// Layer normalisation (Ba, Kiros, Hinton, "Layer normalization", 2016, equations 3 and 4), alone and behind a residual sum.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y = x̂ ⊙ w + b,  x̂ = (x − μ) r,  μ = mean(x),  r = 1/√(mean((x − μ)²) + eps),  means over the last axis.
///   x [..., C]  weight, bias [C]  ->  y [..., C]
///   with h = g ⊙ w:   dx = r (h − mean(h) − x̂ mean(h ⊙ x̂)),   dw = Σ_rows g ⊙ x̂,   db = Σ_rows g
/// All contiguous. Keeps x, w and per row μ, r. A row is read from memory once: mean and variance are two passes over the cache.
struct LayerNorm {
  double eps = 1e-5;
  struct Saved {
    Needs<3> needs;
    Tensor x, weight, mean, rstd;
  };
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

/// {s, y}: s = x + residual, y = layer_norm(s), in one pass: the seam between two blocks of a transformer, pre-norm (s goes on as the
/// next residual) or post-norm (s is not used again).   x, residual [..., C]  weight, bias [C]
///   dx = dresidual = g_s + (gradient of layer_norm for g_y); either output may go without a gradient
struct ResidualLayerNorm {
  double eps = 1e-5;
  struct Saved {
    Needs<4> needs;
    Tensor sum, weight, mean, rstd;
  };
  std::array<Tensor, 2> forward(const Tensor& x, const Tensor& residual, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<4> backward(Saved&& kept, std::array<Tensor, 2>&& g, const Needs<4>& need) const;
};

}  // namespace alinea
