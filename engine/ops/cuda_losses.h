// The GPU kernels of the losses, and of picking the best, as cuda_kernels.h has those of the layers.
#pragma once
#include "engine/ops/codebook.h"
#include "engine/ops/contrastive_loss.h"
#include "engine/ops/ctc_loss.h"
#include "engine/ops/latency.h"
#include "engine/ops/top_k.h"

namespace alinea::cuda {

// codebook.cu; rows of G groups of V numbers. noise may be none, chosen is i32 [rows, G].
void code_softmax(const Tensor& logits, const Tensor& noise, double temperature, int64_t groups, const Tensor& weights);
void code_softmax_gradient(const Tensor& weights, double factor, int64_t groups, const Tensor& d);   // d = p (d − Σ p d) · factor, in place
void code_choices(const Tensor& logits, const Tensor& noise, const Tensor& chosen);
void take_codes(const Tensor& codevectors, const Tensor& chosen, const Tensor& y);
void take_codes_gradient(const Tensor& g, const Tensor& chosen, const Tensor& d);
std::vector<double> code_sums(const Tensor& weights, const std::vector<uint8_t>& named);      // over the named rows; waits
std::vector<double> code_counts(const Tensor& chosen, int64_t entries, const std::vector<uint8_t>& named);   // as one-hot rows of G · entries; waits
void code_slopes(const std::vector<double>& slope, const std::vector<uint8_t>& named, const Tensor& g, const Tensor& d);   // g · slope in the named rows, else 0

// contrastive_loss.cu; forward writes all that `a` keeps but the negatives and the masked frames, which it reads. a.weights may be none going forward.
void contrastive_loss(double temperature, const Tensor& states, const Tensor& targets, const ContrastiveLoss::Saved& a, const Tensor& loss);
void contrastive_loss_states(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d);    // d: zeros
void contrastive_loss_targets(const ContrastiveLoss::Saved& a, const Tensor& g, const Tensor& d);

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

// replace_elements.cu; waits for the elements.
std::vector<double> replace_elements(const Tensor& x, const std::vector<int64_t>& places, double value);

}  // namespace alinea::cuda
