// The GPU kernels of the ops, for the .cpp files that choose them with on_device(); each is defined in the .cu file named. The caller has
// checked shapes and dtypes, and that all tensors lie on one GPU; all are contiguous.
#pragma once
#include <vector>

#include "engine/core/random.h"
#include "engine/ops/broadcast_axes.h"
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

// layer_norm.cu, group_norm.cu. Either may be none: residual and sum, or mean and rstd (layer_norm); x, weight, mean, rstd where no gradient needs
// them; dx, dweight, dbias, which are not wanted then.
struct NormForward {
  Tensor x, residual, sum, weight, bias, y, mean, rstd;
};
struct NormBackward {
  Tensor g, x, weight, mean, rstd, add, dx, dweight, dbias;  // add: joins dx
  double beta_weight = 0, beta_bias = 0;                     // dweight = beta · dweight + …
};
void layer_norm(const NormForward& a, double eps);
void layer_norm_backward(const NormBackward& a);
void group_norm(const NormForward& a, int64_t groups, double eps);
void group_norm_backward(const NormBackward& a, int64_t groups);

// avg_pool_time.cu
void avg_pool_time(const Tensor& x, int64_t ratio, const std::vector<int32_t>& lengths, const Tensor& y);
void avg_pool_time_backward(const Tensor& g, int64_t ratio, const std::vector<int32_t>& lengths, const Tensor& d);

// cross_entropy.cu; loss = factor · Σ_rows, d = g · factor · its slope. target: i64.
struct CrossEntropyRows {
  Tensor logits, target, log_total;
  int64_t ignore_index;
  double on_target, on_all;                                  // a and b of cross_entropy.h
};
void cross_entropy(const CrossEntropyRows& a, double factor, const Tensor& loss);   // writes log_total
void cross_entropy_backward(const CrossEntropyRows& a, const Tensor& g, double factor, const Tensor& d);

// dropout.cu; y may be x.
void dropout(const RandomKey& key, uint64_t offset, double p, const Tensor& x, const Tensor& y);

// embedding.cu; ids as i64, and on the host for the gradient, which is added to d.
void embedding(const Tensor& weight, const Tensor& ids, double scale, const Tensor& y);
void embedding_backward(const Tensor& g, const std::vector<int64_t>& ids, int64_t skip, double scale, const Tensor& d);

// glu.cu; rows of two halves of n elements.
void glu(const Tensor& x, int64_t n, const Tensor& y);
void glu_backward(const Tensor& x, const Tensor& g, int64_t n, const Tensor& d);

// mask_frames.cu; fill, frames and channels may be none. Without a fill its frames become 0, as its gradient wants.
void mask_frames(const Tensor& x, const Tensor& fill, const Tensor& frames, const Tensor& channels, const Tensor& y);
void mask_frames_fill_gradient(const Tensor& g, const Tensor& frames, const Tensor& channels, const Tensor& dfill);

// reduce.cu
void sum_over(const Tensor& x, const BroadcastAxes& axes, double factor, const Tensor& y);
void expand(const Tensor& x, double factor, const Tensor& y);

// stored_linear.cu; y = act(x Wᵀ + b), x, b and y f32, W bf16; bias may be none.
void stored_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation, const Tensor& y);

// weight_norm.cu; lengths f64 [K].
void weight_norm(const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& w);   // writes lengths
void weight_norm_backward(const Tensor& d, const Tensor& v, const Tensor& g, const Tensor& lengths, const Tensor& dg, const Tensor& dv);

}  // namespace alinea::cuda
