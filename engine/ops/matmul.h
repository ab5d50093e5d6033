// Matrix products with gradients.
#pragma once
#include "engine/ops/op.h"
#include "engine/ops/recipe.h"

namespace alinea {

enum class Activation { none, relu, gelu };

/// What an act(product + bias), linear or a convolution, keeps: x for dW, W for dx, and what act' is read from (y for relu, h for gelu).
struct ProductSaved {
  Needs<3> needs;
  KeptInput x;
  Tensor weight, hidden;
  Shape x_shape, weight_shape;
  void keep(const Tensor& input, const Tensor& weights, const Tensor& h, const Tensor& y, Activation activation);
};

/// y = act(x Wᵀ + b).   x [..., C]  W [O, C]  b [O] or none  ->  y [..., O]
///   with h = x Wᵀ + b and g' = g ⊙ act'(h):   dx = g' W,   dW = g'ᵀ x,   db = Σ_rows g'
/// x: rows contiguous. Keeps x, W; for relu y, for gelu h. W may be stored as bf16 where x is f32 and nothing is kept: half the memory, f32 arithmetic.
struct Linear {
  Activation activation = Activation::none;
  using Saved = ProductSaved;
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

/// y = op(a) op(b), op(a) [..., M, K], op(b) [..., K, N] with equal leading axes  ->  y [..., M, N]
///   da = g op(b)ᵀ,  db = op(a)ᵀ g  (transposed back where the attribute says so)
struct MatMul {
  bool transpose_a = false, transpose_b = false;
  struct Saved {
    Needs<2> needs;
    Tensor a, b;
  };
  Tensor forward(const Tensor& a, const Tensor& b, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
