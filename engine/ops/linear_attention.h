// Attention with a decomposable similarity: linear in the lengths, with a state of M x D numbers for decoding.
#pragma once
#include "engine/core/mask.h"
#include "engine/ops/feature_map.h"
#include "engine/ops/op.h"

namespace alinea {

/// How the row sum z is kept away from zero: ẑ = max(z, eps) or ẑ = z + eps.
enum class Floor { clamp, add };

/// What defines the similarity, shared by the whole pass and by decoding.
struct LinearForm {
  FeatureMap map = FeatureMap::relu;
  double eps = 0.1;
  Floor floor = Floor::clamp;
  double scale = 1;
  Tensor projection;                                         // favor: its random rows [M, D]
};

/// cosFormer's extents: lengths that positions are measured against, per item. Empty: max(T, S) on both sides under a causal mask (one axis),
/// each side's own real length otherwise (Agostinelli & Chen 2023, eq. 8).
struct Extents {
  std::vector<double> source, target;
};

/// o_i = n_i / ẑ_i,  [n_i, z_i] = scale · φ(q_i)ᵀ Σ_{j < g(i)} φ(k_j) [v_j, 1]ᵀ,  g(i) = visible columns, non-decreasing in i
///   With v' = [v, 1], w = 1/ẑ and G'_i = [w_i g_i, −χ_i w_i g_i·o_i], χ = 1[z ≥ eps] for clamp (1 for add), and a_ij = scale φ(q_i)·φ(k_j):
///   dφ(q_i) = scale · (Σ_{j<g(i)} φ(k_j) v'_jᵀ) G'_i,   dφ(k_j) = (Σ_{i: g(i)>j} scale φ(q_i) G'_iᵀ) v'_j,   dv'_j = Σ_{i: g(i)>j} a_ij G'_i
/// q [B, H, T, D]  k, v [B, H, S, D], any strides whose last axis is 1  ->  y [B, H, T, D]; memory of y, dq, dk, dv is [B, T|S, H, D].
/// Rows go in tiles of 64: columns that every row of a tile sees are in the state, the others make a small masked product. Time and memory O(T + S).
/// A row without similarity to anything gives zeros. Keeps q, k, v, y and z [B, H, T]. eps must be above 0.
/// Sources: Katharopoulos et al., "Transformers are RNNs" (2020), eq. 5; Agostinelli & Chen, "Modular linearized attention" (2023), eps 0.1.
struct LinearAttention {
  Mask mask;
  LinearForm form;
  Extents extents;
  struct Saved {
    Needs<3> needs;
    Tensor q, k, v, y, sums;
  };
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

/// cosFormer's extents {source, target} of one item: given, or by the rule of Extents.
std::pair<double, double> extents_of(const LinearAttention& op, int64_t item, int64_t T, int64_t S);

/// The weights themselves, a_ij / ẑ_i [B, H, T, S]: quadratic, for analysis, tests and the reference mode.
Tensor linear_attention_weights(const LinearAttention& op, const Tensor& q, const Tensor& k);

/// Decoding: everything seen so far is Σ φ(k) v'ᵀ. step(q) gives the rows that the whole pass gives for what has been appended.
class LinearAttentionState {
 public:
  /// extents: cosFormer's, one item's values used for the whole batch; required for that map.
  LinearAttentionState(Context& context, int64_t batch, int64_t heads, int64_t width, DType dtype, const LinearForm& form = {}, double source_extent = 0,
                       double target_extent = 0);
  void append(const Tensor& k, const Tensor& v);             // [B, H, n, D] more columns
  Tensor step(const Tensor& q, int64_t first_row = 0) const;  // [B, H, T, D], rows first_row … -> [B, H, T, D]
  void reorder(const std::vector<int32_t>& items);           // item b continues what item items[b] had
  LinearAttentionState clone() const {
    LinearAttentionState c = *this;
    c.state_ = state_.clone(), c.sums_ = sums_.clone();
    return c;
  }
  int64_t bytes() const { return state_.bytes() + sums_.bytes(); }

 private:
  LinearForm form_;
  double source_extent_, target_extent_;
  int64_t columns_ = 0;
  Tensor state_, sums_;                                      // [B, H, M, D], [B, H, M]
};

}  // namespace alinea
