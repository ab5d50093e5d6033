// Softmax attention over a structured set of keys: band, blocks, columns, random keys, different for each head. Linear in the lengths.
#pragma once
#include "engine/ops/op.h"
#include "engine/ops/structured_pattern.h"

namespace alinea {

/// o_i = Σ_{j ∈ S_i} P_ij v_j,   P_ij = exp(s_ij − L_i),   L_i = log Σ_{j ∈ S_i} exp s_ij,   S_i: structured_pattern.h
///   s_ij = scale · q_i·k_j + b_h[j − i] for |j − i| ≤ w_h  + c_h for columns outside band and block
///   dv_j = Σ_i P_ij g_i,   ds_ij = P_ij (g_i·v_j − δ_i),  δ_i = g_i·o_i,   dq_i = scale Σ_j ds_ij k_j,   dk_j = scale Σ_i ds_ij q_i,
///   db_h[t] = Σ_i ds_{i,i+t},   dc_h = Σ over those columns;  with dropout P_ij m_ij / (1 − p) as in softmax_attention, with the same m for the same (i, j).
/// q [B, H, T, D]  k, v [B, H, S, D], any strides whose last axis is 1  ->  y [B, H, T, D]
/// [band_bias [H, 2 w + 1], w the widest of the heads: entry w + j − i; narrower heads leave their outer entries unused]  [column_bias [H]]
/// The memory of y, dq, dk and dv is [B, T|S, H, D], returned as a permuted view: merging the heads again is free.
/// A row that sees nothing gives zeros and has no gradient. The pattern has no gradient.
/// Time O(Σ |S_i| D), memory O((T + S) D), nothing T x S: keeps q, k, v, y and L [B, H, T]. A tile of rows reads the slab of its bands as
/// small products with masked corners; the columns are gathered once and are a second product. The gradients of keys are added up tile
/// after tile; long sequences with few heads are split into parts that are added in their order: the same bytes for any number of threads.
/// Sources: Conti (arXiv 2409.00068, 2024), scores P + E with P diagonal, banded or in columns; here with q·k on these positions
/// and columns by rarity. Bands and global rows as Beltagy et al., "Longformer" (2020), random keys as Zaheer et al., "Big Bird" (2020).
struct StructuredAttention {
  StructuredPattern pattern;
  double scale = 0;                                          // 0: 1/√D
  double dropout = 0;
  RandomKey key;                                             // of dropout
  struct Saved {
    Needs<5> needs;
    Tensor q, k, v, band_bias, column_bias, y, log_sum;
  };
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& band_bias, const Tensor& column_bias, Saved* kept) const;
  Grads<5> backward(Saved&& kept, Tensor&& g, const Needs<5>& need) const;
};

/// P [B, H, T, S] before dropout, quadratic: for plots and analysis.
Tensor structured_weights(const StructuredAttention& op, const Tensor& q, const Tensor& k, const Tensor& band_bias, const Tensor& column_bias);

}  // namespace alinea
