// Sums and means. Sums run in a fixed order; long ones add blocks of vector lanes in double. x contiguous, f32 or f64.
#pragma once
#include <optional>

#include "engine/ops/op.h"

namespace alinea {

/// y = factor · Σ x over one axis, which disappears, or over all (y is a scalar []); `mean` makes the factor 1/n.
///   dx = factor · g repeated.   Keeps the shape of x.
struct Sum {
  std::optional<int> axis;
  bool mean = false;
  struct Saved {
    Shape x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// Sum over leading axes and over axes that are 1 in `shape`, so that y has `shape`: what undoes expand.
///   dx = g expanded to x.   Keeps the shape of x.
struct SumTo {
  Shape shape;
  struct Saved {
    Shape x;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// factor · x summed to `shape`; what SumTo, Sum and the gradient of expand compute.
Tensor sum_over(const Tensor& x, const Shape& shape, double factor = 1);

}  // namespace alinea
