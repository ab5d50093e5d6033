// Softmax and its logarithm over the last axis.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// y = e^{x − m} / Σ e^{x − m},  m = max(x), over the last axis.   x [..., C]  ->  y [..., C]
///   dx = y ⊙ (g − Σ g ⊙ y)
/// A row that is −∞ everywhere (a row that a mask leaves nothing to) gives zeros, and its gradient is zero. Contiguous. Keeps y.
struct Softmax {
  struct Saved {
    Tensor y;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// y = x − m − log Σ e^{x − m} over the last axis.   x [..., C]  ->  y [..., C]
///   dx = g − e^y Σ g
/// A row that is −∞ everywhere stays so, and its gradient is zero. Contiguous. Keeps y.
struct LogSoftmax {
  struct Saved {
    Tensor y;
  };
  Tensor forward(const Tensor& x, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

}  // namespace alinea
