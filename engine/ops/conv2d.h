// Convolution over two axes (time and frequency bins), channels-last.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea {

/// y[b, i, j, o] = act( bias[o] + Σ_{m, n, c} w[o, c, m, n] · x[b, i·s₀ + m − p₀, j·s₁ + n − p₁, c] ),  x is 0 outside
///   with g' = g ⊙ act'(h):   dx[b, i·s₀ + m − p₀, j·s₁ + n − p₁, c] = Σ g'[b, i, j, o] w[o, c, m, n],   dw[o, c, m, n] = Σ g'[b, i, j, o]
///   x[…], db = Σ g'
/// x [B, H, W, C]  weight [O, C, M, N] (PyTorch's layout)  bias [O] or none  ->  y [B, H', W', O],
///   H' = ⌊(H + 2 p₀ − M) / s₀⌋ + 1,  W' = ⌊(W + 2 p₁ − N) / s₁⌋ + 1.  Attributes as in torch.nn.Conv2d: (rows, columns).
///
/// Only the N taps along a row are copied side by side: the windows of an input row then are W' · N · C neighbours, and those of the rows
/// r, r + s₀, r + 2 s₀ … lie one after the other, so that each of the M taps across rows is one product on a shifted part of the same
/// copy. Against im2col (M · N / (s₀ s₁) times the input) that is N / s₁ times. Few channels make these products too thin;
/// there all M · N · C numbers of a window are copied (im2col). Either copy is of a few output rows at a time, one per thread.
/// x and weight: contiguous. Keeps x, weight; for relu y, for gelu h. Errors (usage): sizes that don't fit, an input smaller than the
/// kernel.
struct Conv2d {
  std::array<int64_t, 2> stride{1, 1}, padding{0, 0};
  Activation activation = Activation::none;
  using Saved = ProductSaved;
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;

  /// H' (axis 0) or W' (axis 1) for `size` inputs and `taps` taps.
  int64_t output_size(int axis, int64_t size, int64_t taps) const {
    return (size + 2 * padding[size_t(axis)] - taps) / stride[size_t(axis)] + 1;
  }
};

}  // namespace alinea
