// The GPU kernels of the convolutions (conv.cu), for conv1d.cpp and conv2d.cpp. All tensors are contiguous.
#pragma once
#include "engine/ops/op.h"

namespace alinea::cuda {

/// x [B, H, W, C] and weight [O, C/groups, M, N] to [B, rows, columns, O]; a convolution over one axis has H = M = 1.
struct Convolution {
  int64_t B, H, W, C, O, M, N, groups, s0, s1, p0, p1, rows, columns;   // strides, zeros before the first row and column
  constexpr int64_t in() const { return C / groups; }
  constexpr int64_t out() const { return O / groups; }
  constexpr int64_t outputs() const { return B * rows * columns; }
};

void convolve(const Convolution& c, const Tensor& x, const Tensor& weight, const Tensor& h);
Tensor convolution_weight_gradient(const Convolution& c, const Tensor& g, const Tensor& x, const Need& need, const Shape& shape);
Tensor convolution_input_gradient(const Convolution& c, const Tensor& g, const Tensor& weight, const Shape& shape);

}  // namespace alinea::cuda
