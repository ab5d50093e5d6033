// Monotonic attention: the alignment α of a read/write policy, and the attention weights β that it gives.
// Rows i = 0 … T-1 are target tokens, columns j = 0 … S-1 source positions. p = σ(z) is the probability of writing, r = σ(-z) of reading on;
// r comes from z and never from 1 - p, which has no digits left where p is near 1. All arrays are row-major and contiguous; `source_lengths`
// (empty: none padded) are at least 1 and at most S. Columns past an item's length give 0 and get gradient 0.
// Nothing is divided by a product of probabilities, unlike the closed form of Raffel et al. (see monotonic_reference.h).
#pragma once
#include <vector>

#include "engine/ops/op.h"

namespace alinea {

/// α_ij = P(token i is written when j+1 columns have been read).   z [B, H, T, S]  ->  alpha [B, H, T, S]
///   q_ij = r_{i,j-1} q_{i,j-1} + α_{i-1,j},   α_ij = p_ij q_ij,   α_{-1} = one-hot at column 0
/// The policy writes for certain in the last valid column (p = 1 there, no gradient to its z), so each row has mass 1 (mass preservation).
/// z = ±inf is a policy of exactly 0 or 1. Gradient, with A = dL/dα and V = dL/dq, the value function of the read/write process:
///   G_ij = A_ij + V_{i+1,j},   V_ij = p_ij G_ij + r_ij V_{i,j+1},   dz_ij = α_ij r_ij (G_ij - V_{i,j+1})
/// |dz_ij| ≤ ½ Σ_{i'≥i} max_j |A_{i'j}|: it grows with the rows at most linearly. Time and memory O(T·S).
/// Keeps z and alpha. Raffel et al., "Online and linear-time attention by enforcing monotonic alignments", 2017, eq. 8-9;
/// Ma et al., "Efficient monotonic multihead attention", arXiv 2312.04515 (the same α by a transition matrix in O(T·S²)).
struct MonotonicAlpha {
  std::vector<int32_t> source_lengths;
  struct Saved {
    Tensor z, alpha;
  };
  Tensor forward(const Tensor& z, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// Infinite lookback: soft attention over what has been read when the token is written.
///   β_ij = Σ_{k≥j} α_ik e^{u_ij} / Z_ik,   Z_ik = Σ_{l≤k} e^{u_il}            alpha [B, H or 1, T, C], u [B, H, T, S] -> beta [B, H, T, S]
/// C = ceil(S / ratio): column c of α ends at source column min(ratio·(c+1), length) - 1, where it is put. With one head, α serves all heads of u.
/// Gradient, with D = dL/dβ, w_k = e^{u_k}/Z_k, R_k = Σ_{l≥k} α_l/Z_l, H_k the softmax average of D over columns ≤ k (H_{-1} = 0):
///   dα_k = H_k,   x_k = w_k R_k (D_k - H_{k-1}),   du_k = Z_{k-1} x_k - e^{u_k} Σ_{l>k} x_l
/// which sums to 0 over a row and does not cancel where w is near 1. Exponents are taken from a maximum that moves where the energies rise by
/// more than 40 over the row's earlier ones, so that no prefix underflows. Keeps alpha and u; O(T·S).
/// Chiu & Raffel 2018; Arivazhagan et al., "Monotonic infinite lookback attention", 2019, eq. 12-13.
struct LookbackBeta {
  std::vector<int32_t> source_lengths;
  int64_t ratio = 1;
  struct Saved {
    Tensor alpha, u;
  };
  Tensor forward(const Tensor& alpha, const Tensor& u, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

/// MoChA: soft attention over the last `width` columns read.
///   β_ij = Σ_{k=j}^{j+width-1} α_ik e^{u_ij} / Z_ik,   Z_ik = Σ_{l=max(0,k-width+1)}^{k} e^{u_il}       shapes and `ratio` as in LookbackBeta
/// Gradient:  dα_k = H_k, the window's softmax average of D = dL/dβ;  du_j = Σ_{k=j}^{j+width-1} α_k e^{u_j}/Z_k (D_j - H_k)
/// Sums over windows are joined from a block's end and the next block's start (van Herk 1992, Gil & Werman 1993), each carrying its own exponent:
/// O(1) per column whatever the width, no subtraction. Keeps alpha and u. Chiu & Raffel, "Monotonic chunkwise attention", ICLR 2018, eq. 19-23.
struct ChunkBeta {
  std::vector<int32_t> source_lengths;
  int64_t width = 1;
  int64_t ratio = 1;
  struct Saved {
    Tensor alpha, u;
  };
  Tensor forward(const Tensor& alpha, const Tensor& u, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
