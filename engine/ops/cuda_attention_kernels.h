// The GPU kernels of the attentions, for the .cpp files that choose them with on_device(); each is defined in the .cu file named. The caller has
// checked shapes and dtypes, and that all tensors lie on one GPU. Tensors of heads [B, H, T, D] have any strides with D dense, D at most widest_head.
#pragma once
#include "engine/ops/cached_attention.h"
#include "engine/ops/linear_attention.h"
#include "engine/ops/softmax_attention.h"
#include "engine/ops/structured_core.h"

namespace alinea::cuda {

inline constexpr int64_t widest_head = 256;                  // a row of a head is held in registers
inline void check_head_width(std::string_view op, int64_t width) {
  require(width <= widest_head, "{}: heads have {} numbers, the CUDA kernel takes at most {}; use more heads or --device cpu", op, width, widest_head);
}

// softmax_attention.cu; log_sum may be none, and so may gradients that are not wanted.
void softmax_attention(const SoftmaxAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& log_sum);
void softmax_attention_backward(const SoftmaxAttention& op, const SoftmaxAttention::Saved& kept, const Tensor& g, const Grads<3>& d);

// attention_weights.cu
void attention_weights(const Mask& mask, double scale, const Tensor& q, const Tensor& k, const Tensor& weights);

// cached_attention.cu
void cached_attention(const CachedAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y);
void softmax_attention_rows(const Mask& mask, double scale, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& log_sum);   // few rows, no dropout

// linear_attention.cu; sums may be none, and so may gradients that are not wanted.
void linear_attention(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& sums);
void linear_attention_backward(const LinearAttention& op, const LinearAttention::Saved& kept, const Tensor& g, const Grads<3>& d);
void linear_attention_weights(const LinearAttention& op, const Tensor& q, const Tensor& k, const Tensor& w);

// linear_attention_state.cu: columns first_column … into the state [B, H, M, D] and its sums [B, H, M]; rows first_row … read from them.
void linear_state_append(const LinearForm& form, const Tensor& k, const Tensor& v, int64_t first_column, double extent, const Tensor& state, const Tensor& sums);
void linear_state_step(const LinearForm& form, const Tensor& q, int64_t first_row, double extent, const Tensor& state, const Tensor& sums, const Tensor& y);

// structured.cu: structured_core.h on the GPU, and the bound of the literal form's residual: y = ε tanh(x / ε), d *= 1 − (y/ε)².
void structured_forward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum);
StructuredGradients structured_backward(const StructuredCall& call, const Tensor& y, const Tensor& log_sum, const Tensor& g, const StructuredWants& wants);
void bounded(const Tensor& x, double eps, const Tensor& y);
void bounded_backward(const Tensor& y, double eps, const Tensor& d);

}  // namespace alinea::cuda
