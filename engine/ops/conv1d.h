// Convolution over time, channels-last.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea {

/// y[b, t, o] = act( bias[o] + Σ_{k, c} w[o, c, k] · x[b, t · stride + k − pad_left, c of o's group] ),  x is 0 outside 0 … T−1
///   with g' = g ⊙ act'(h):   dx[b, t·stride + k − pad_left, c] = Σ g'[b, t, o] w[o, c, k],   dw[o, c, k] = Σ_{b, t} g'[b, t, o] x[…],   db = Σ g'
/// x [B, T, C]  weight [O, C/groups, K] (PyTorch's layout)  bias [O] or none  ->  y [B, T', O],  T' = ⌊(T + pad_left + pad_right − K) / stride⌋ + 1
/// A causal convolution has pad_left = K − 1, pad_right = 0.
///
/// Rows of x are neighbours in memory, so the window of one output row is K · C adjacent numbers and no im2col is needed: every
/// m-th window, m = ⌈K / stride⌉, is a row of a matrix with row step m · stride · C ≥ K · C. That makes m products with the whole
/// window as inner dimension; a long kernel over few rows is cut into blocks of taps, one set of products each.
/// Groups of few channels go another way (narrow_conv.h), and dx is then itself a convolution, of g' with the taps from the last to the first.
/// x and weight: contiguous. Keeps x, weight; for relu y, for gelu h. Errors (usage): sizes that don't fit, an input shorter than the kernel.
struct Conv1d {
  int64_t stride = 1, pad_left = 0, pad_right = 0, groups = 1;
  Activation activation = Activation::none;
  using Saved = ProductSaved;
  Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;

  /// T' for T input rows and K taps.
  int64_t output_length(int64_t rows, int64_t taps) const { return (rows + pad_left + pad_right - taps) / stride + 1; }
};

}  // namespace alinea
