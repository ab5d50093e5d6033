// The literal form of structured scores: a learned pattern plus a sparse residual instead of queries and keys.
#pragma once
#include "engine/ops/op.h"
#include "engine/ops/structured_pattern.h"

namespace alinea {

/// y = (P + E) v
///   P_ij = exp(s_ij − log Σ_{S_i} exp s),  s_ij = a_h[j − i] for |j − i| ≤ w_h,  c_h for columns outside the band (0 without column_logits),  0 elsewhere in S_i
///   E has `residual.size(1)` entries per head at seeded positions (i, j), all different, of 0 … span−1 (j ≤ i under a causal mask), with the
///   values e = ε tanh(residual / ε): close to `residual` while that is small, never beyond ε. tanh and not a clip, whose gradient would end there.
///   A position past T or S, or not visible to its row, has no effect in that call.
///   dv_j = Σ_i (P_ij + E_ij) g_i,   ds_ij = P_ij (g_i·v_j − g_i·(P v)_i),   da_h[t] = Σ_i ds_{i,i+t},   dc_h = Σ over columns,
///   dresidual = (1 − (e/ε)²) Σ_items g_i·v_j
/// v [B, H, S, D], any strides whose last axis is 1; band_logits [H, 2 w + 1], entry w + j − i; [column_logits [H]] [residual [H, n]]
///   ->  y [B, H, T, D], T = rows, or S where rows is 0; memory of y and dv is [B, T|S, H, D]. A row that sees nothing gives zeros.
/// Costs and order of sums as structured_attention; P costs O(n (2w + 1 + r) D) and E O(n D) per head.
/// Sources: Conti (arXiv 2409.00068, 2024), eq. 20 and 21: f = P + E with P in a structured set and E sparse, |e| ≤ ε, here with P trained;
/// Raganato et al., "Fixed encoder self-attention patterns in Transformer-based machine translation" (2020).
struct LiteralAttention {
  StructuredPattern pattern;
  double eps = 0.1;                                          // ε
  int64_t span = 0;                                          // residual positions lie below it; 0: S. Fix it where lengths vary or rows are decoded
  RandomKey key;                                             // of the residual's positions
  int64_t rows = 0;                                          // T: a decoding step has rows 1 and pattern.mask.first_row
  struct Saved {
    Needs<4> needs;
    Tensor v, band_logits, column_logits, residual, y, log_sum;
  };
  Tensor forward(const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& residual, Saved* kept) const;
  Grads<4> backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const;
};

/// The positions of one head's residual entries, by row then column: n different ones below span, a function of (key, head).
std::vector<std::pair<int64_t, int64_t>> residual_positions(RandomKey key, int64_t head, int64_t n, int64_t span, bool causal);

/// P + E [B, H, T, S], quadratic: for plots and analysis. v gives the sizes alone.
Tensor literal_weights(const LiteralAttention& op, const Tensor& v, const Tensor& band_logits, const Tensor& column_logits, const Tensor& residual);

}  // namespace alinea
