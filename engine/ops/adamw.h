// Adam and AdamW over flat buffers, and what clipping the gradient by its norm needs.
#pragma once
#include <limits>

#include "engine/ops/op.h"

namespace alinea {

/// Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1; decoupled weight decay: Loshchilov and Hutter,
/// "Decoupled weight decay regularization", 2019, algorithm 2. In PyTorch's order, step n = 1, 2, …:
///   decoupled:  p ← (1 − lr λ) p            coupled (Adam with an L2 penalty):  g ← g + λ p
///   m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
///   p ← p − lr / (1 − β₁ⁿ) · m / (√v / √(1 − β₂ⁿ) + ε)
struct AdamW {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = true;
  int64_t step = 1;

  /// {parameter, moment1, moment2} after one step, new tensors of one shape and dtype. Has no gradient.
  std::array<Tensor, 3> forward(const Tensor& parameter, const Tensor& gradient, const Tensor& moment1, const Tensor& moment2, void* kept) const;
};

/// One step in place on elements begin … end-1 of four contiguous tensors with equal counts (a flat buffer; each parameter group is a
/// range with options of its own). The gradient is read as grad_scale · gradient (clipping, averaging), and left as it is. grad_scale: one
/// element of the parameters' dtype, where they lie (on a GPU nobody waits for it); none: 1; NaN: nothing is changed.
void adamw_step(const AdamW& options, const Tensor& parameter, const Tensor& gradient, const Tensor& moment1, const Tensor& moment2, const Tensor& grad_scale,
                int64_t begin, int64_t end);

/// √Σ x², f64 {}, where x lies. The sum is added in double in blocks of a fixed size, so that it does not depend on the number of threads.
Tensor l2_norm(const Tensor& x);

/// Factor that brings a gradient of this norm to at most max_norm, as PyTorch's clip_grad_norm_: min(1, max_norm / (norm + 1e-6)).
/// max_norm 0 means no clipping. NaN for a norm that is NaN or infinite: such a gradient teaches nothing.
constexpr double clip_scale(double norm, double max_norm) {
  if (!(norm <= std::numeric_limits<double>::max())) return std::numeric_limits<double>::quiet_NaN();
  const double scale = max_norm / (norm + 1e-6);
  return max_norm == 0 || scale > 1 ? 1 : scale;
}
/// The same of l2_norm()'s tensor, as adamw_step() takes it.
Tensor clip_scale(const Tensor& norm, double max_norm, DType dtype);

}  // namespace alinea
