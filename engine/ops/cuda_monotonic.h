// The GPU kernels of monotonic attention (monotonic.cu, beta.cu), for the .cpp files that choose them with on_device(). The caller has checked shapes
// and dtypes, and that all tensors lie on one GPU; all are contiguous.
#pragma once
#include "engine/ops/monotonic.h"

namespace alinea::cuda {

void monotonic_alpha(const std::vector<int32_t>& lengths, const Tensor& z, const Tensor& alpha);
void monotonic_alpha_backward(const std::vector<int32_t>& lengths, const Tensor& z, const Tensor& alpha, const Tensor& g, const Tensor& dz);   // dz may be g

// Gradients that are not wanted are none; that of u may be g.
void lookback_beta(const LookbackBeta& op, const Tensor& alpha, const Tensor& u, const Tensor& beta);
void lookback_beta_backward(const LookbackBeta& op, const LookbackBeta::Saved& kept, const Tensor& g, const Grads<2>& d);
void chunk_beta(const ChunkBeta& op, const Tensor& alpha, const Tensor& u, const Tensor& beta);
void chunk_beta_backward(const ChunkBeta& op, const ChunkBeta::Saved& kept, const Tensor& g, const Grads<2>& d);

}  // namespace alinea::cuda
