// Functions applied to every element. The formulas and slopes are in elementwise_math.h; here they become ops.
// Inputs are contiguous, f32 or f64; two inputs have equal shapes (expand() broadcasts, by name).
#pragma once
#include "engine/ops/elementwise_math.h"
#include "engine/ops/op.h"
#include "engine/ops/recipe.h"

namespace alinea {

/// y = f(x), dx = g ⊙ f'.  Keeps x, y or nothing, as F declares. Backward works in g when nobody else holds it.
template <class F>
struct Elementwise {
  F f{};
  struct Saved {
    KeptInput read_by_slope;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// y = f(a, b) for a, b of one shape. Add and Sub keep nothing; Mul keeps the other factor; Div keeps b, and a when b needs its gradient.
template <class F>
struct Elementwise2 {
  F f{};
  struct Saved {
    Needs<2> needs;
    Tensor a, b;
  };
  Tensor forward(const Tensor& a, const Tensor& b, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

/// y = gelu(h), h = x + residual + bias, in one pass.   x, residual [..., C]  bias [C]  ->  y [..., C]
///   with g' = g ⊙ gelu'(h):   dx = dresidual = g',   dbias = Σ_rows g'
/// Keeps h.
struct AddBiasGelu {
  struct Saved {
    Tensor hidden;
  };
  Tensor forward(const Tensor& x, const Tensor& residual, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

}  // namespace alinea
