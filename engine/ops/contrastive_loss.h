// The contrastive loss of wav2vec 2.0 (Baevski et al. 2020, equation 3): which of K + 1 quantized frames belongs to a masked one?
#pragma once
#include <vector>

#include "engine/ops/op.h"

namespace alinea {

/// Σ over the frames n that `mask` names of −log( e^{s_nn} / (e^{s_nn} + Σ_{j in negatives_n, q_j ≠ q_n} e^{s_nj}) )
///   s_nj = x̂_n·q̂_j / κ,   v̂ = v / max(|v|, ε),   ε = 1e-8;  a negative equal to the positive is left out
///   with w_nj = (softmax_j(s_n) − [j = n]) / κ:   dx̂_n = Σ_j w_nj q̂_j,   dq̂_j = Σ_n w_nj x̂_n,   dv = (dv̂ − (dv̂·v̂) v̂) / |v|
/// states x, targets q [B, T, P]  negatives i64 [B, T, K]: frames as b · T + t  mask u8 [B, T]  ->  loss []
/// negatives and mask may lie on the host, from where a GPU takes them without waiting. Contiguous. Keeps x̂, q̂, the lengths and w. Sums over
/// negatives run in their order, for any number of threads.
struct ContrastiveLoss {
  double temperature = 0.1;                                 // κ
  struct Saved {
    Tensor states, targets, weights;                        // x̂ and q̂ [frames, P]; weights w [masked frames, 1 + K]
    Tensor state_lengths, target_lengths;                   // f64 [frames]
    Tensor negatives;                                       // on the host
    std::vector<int64_t> masked;
    Shape shape;
  };
  Tensor forward(const Tensor& states, const Tensor& targets, const Tensor& negatives, const Tensor& mask, Saved* kept) const;
  Grads<4> backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const;
};

}  // namespace alinea
