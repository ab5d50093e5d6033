// The GPU kernels of the losses, and of picking the best, as cuda_kernels.h has those of the layers.
#pragma once
#include "engine/ops/ctc_loss.h"
#include "engine/ops/latency.h"
#include "engine/ops/top_k.h"

namespace alinea::cuda {

// ctc_loss.cu; target: i64, on the host. Forward writes log_total, log_alpha and losses, backward log_alpha again; d may be the logits.
struct CtcTensors {
  Tensor logits, target, log_total, log_alpha, losses;
};
void ctc_loss(const CtcLoss& op, const CtcTensors& a, const std::vector<double>& weights, const Tensor& loss);   // weights: of each item in the result
void ctc_loss_backward(const CtcLoss& op, const CtcTensors& a, const std::vector<double>& weights, const Tensor& g, const Tensor& d);

// latency.cu
void expected_delay(const Tensor& alpha, const std::vector<int32_t>& source, const Tensor& delay);
void expected_delay_backward(const Tensor& g, const std::vector<int32_t>& source, const Tensor& d);
void average_lagging(const AverageLagging& op, const Tensor& delay, const Tensor& loss);
void average_lagging_backward(const AverageLagging& op, const Tensor& delay, const Tensor& g, const Tensor& d);
void differentiable_average_lagging(const DifferentiableAverageLagging& op, const Tensor& delay, const Tensor& loss);
void differentiable_average_lagging_backward(const DifferentiableAverageLagging& op, const Tensor& delay, const Tensor& g, const Tensor& d);
void alignment_variance(const AlignmentVariance& op, const Tensor& alpha, const Tensor& variance);
void alignment_variance_backward(const AlignmentVariance& op, const Tensor& alpha, const Tensor& g, const Tensor& d);
void head_pool(HeadPooling method, const Tensor& values, const Tensor& pooled);
void head_pool_backward(HeadPooling method, const Tensor& values, const Tensor& g, const Tensor& d);   // values: none for the mean

// top_k.cu; waits for the result.
TopK::Result top_k(const TopK& op, const Tensor& x);

}  // namespace alinea::cuda
