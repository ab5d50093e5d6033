// The GPU kernels of the ops, for the .cpp files that choose them with on_device(); each is defined in the .cu file named. The caller has
// checked shapes and dtypes, and that all tensors lie on one GPU; all are contiguous.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea::cuda {

// elementwise.cu; F is a struct of elementwise_math.h.
template <class F>
void apply(F f, const Tensor& x, const Tensor& y);
template <class F>
void apply_slope(F f, const Tensor& read_by_slope, const Tensor& g, const Tensor& d);   // read_by_slope: none when the slope reads nothing
template <class F>
void apply2(F f, const Tensor& a, const Tensor& b, const Tensor& y);
template <class F>
void apply2_slopes(F f, const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& da, const Tensor& db);   // all but g may be none
void add_into(const Tensor& sum, const Tensor& x);

// bias.cu
void bias_activation(const Tensor& h, const Tensor& bias, Activation activation, const Tensor& y);   // y may be h; bias may be none
void add_bias_gelu(const Tensor& x, const Tensor& residual, const Tensor& bias, const Tensor& hidden, const Tensor& y);   // hidden may be none
void activation_backward(const Tensor& g, const Tensor& hidden, Activation activation, const Tensor& out);   // nothing for none: out is g
void column_sums(const Tensor& x, double beta, const Tensor& sums);   // sums = beta · sums + Σ_rows x

// softmax.cu
void softmax(const Tensor& x, const Tensor& y);
void softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx);
void log_softmax(const Tensor& x, const Tensor& y);
void log_softmax_backward(const Tensor& y, const Tensor& g, const Tensor& dx);

}  // namespace alinea::cuda
