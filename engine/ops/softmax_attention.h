// Softmax attention without its T x S map: tiles with an online softmax.
#pragma once
#include "engine/core/mask.h"
#include "engine/core/random.h"
#include "engine/ops/op.h"

namespace alinea {

/// o_i = Σ_j P_ij v_j,   P_ij = exp(s_ij − L_i),   s_ij = scale · q_i·k_j for j < visible(i), nothing beyond,   L_i = log Σ_j exp s_ij
///   dv_j = Σ_i P_ij g_i,   ds_ij = P_ij (g_i·v_j − δ_i),  δ_i = g_i·o_i,   dq_i = scale Σ_j ds_ij k_j,   dk_j = scale Σ_i ds_ij q_i
///   with dropout the weights are P_ij m_ij / (1 − p), m from (key, i, j); the same in backward, δ is unchanged.
/// q [B, H, T, D]  k, v [B, H, S, D], any strides whose last axis is 1  ->  y [B, H, T, D]
/// The memory of y, dq, dk and dv is [B, T|S, H, D], returned as a permuted view: merging the heads again is free.
/// A row that sees nothing gives zeros and has no gradient; tiles that no row sees are skipped.
/// Memory O(T + S): keeps q, k, v, y and L [B, H, T]. Sums run in a fixed order for a given number of threads.
/// Sources: Milakov & Gimelshein, "Online normalizer calculation for softmax" (2018); Dao et al., "FlashAttention" (2022), algorithms 1 and 4.
struct SoftmaxAttention {
  Mask mask;
  double scale = 0;                                          // 0: 1/√D
  double dropout = 0;
  RandomKey key;
  struct Saved {
    Needs<3> needs;
    Tensor q, k, v, y, log_sum;
  };
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

/// P [B, H, T, S] itself, quadratic: for plots and analysis. scale 0 means 1/√D.
Tensor attention_weights(const Tensor& q, const Tensor& k, const Mask& mask, double scale = 0);

/// Shapes and layouts that every attention of this form asks for; `op` names the caller in the error.
void check_attention(std::string_view op, const Tensor& q, const Tensor& k, const Tensor& v, const Mask& mask);

}  // namespace alinea
