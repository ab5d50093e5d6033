// The product quantizer of wav2vec 2.0 (Baevski et al. 2020, section 2 and equation 1; Jégou et al. 2011 for the idea) and the measure
// of how evenly its entries are used (equation 4).
#pragma once
#include <vector>

#include "engine/ops/op.h"

namespace alinea {

/// From each of G codebooks one of V vectors c_gv, by the largest logit; a row of y is the G chosen vectors side by side.
///   p_gv = softmax_v((l_gv + n_gv) / τ),  n: Gumbel noise, so that the argmax of l + n is a draw from softmax(l) (Jang et al. 2017)
///   hard, gumbel:  y_g = c_gi, i = argmax_v (l_gv + n_gv);      soft:  y_g = Σ_v p_gv c_gv
/// With the part h_g of the gradient:   dc_gv = Σ_rows h_g [v = i]  (soft: Σ_rows h_g p_gv)
///   gumbel, soft:  dl_gv = p_gv (h_g·c_gv − Σ_u p_gu h_g·c_gu) / τ: gumbel is the straight-through estimate, soft the true gradient
///   hard: dl = 0
/// logits [..., G V]  codevectors [1, G V, E]  noise [..., G V] or none  ->  y [..., G E].   Contiguous. Keeps p, the choices and c.
struct Codebook {
  enum class Choice { hard, gumbel, soft };
  Choice choice = Choice::hard;
  int64_t groups = 1;
  double temperature = 1;
  struct Saved {
    Needs<3> needs;
    Tensor weights, chosen, codevectors;                    // weights: p [rows, G V]; chosen: i32 [rows, G]
    Shape logits;
  };
  Tensor forward(const Tensor& logits, const Tensor& codevectors, const Tensor& noise, Saved* kept) const;
  Grads<3> backward(Saved&& kept, Tensor&& g, const Needs<3>& need) const;
};

/// argmax of each codebook's logits: i64 [..., G].
Tensor codebook_choices(const Tensor& logits, int64_t groups);

/// Σ_g exp(−Σ_v p̄_gv ln p̄_gv),  p̄_gv = mean over the rows that `mask` names of softmax_v(l_gv), or (hard) of the one-hot choices: between G,
/// where one entry is always chosen, and G V, where all are used alike.
///   with e_g = exp(…):   dp_gv = −e_g (ln p̄_gv + 1) / rows,   dl_gv = p_gv (dp_gv − Σ_u p_gu dp_gu);   hard: no gradient
/// logits [..., G V]  mask u8 [...]  ->  perplexity [].   No row at all gives G. Contiguous. Keeps p of the named rows.
struct CodePerplexity {
  int64_t groups = 1;
  bool hard = false;
  struct Saved {
    Tensor weights;                                         // p [rows, G V]; rows that are not named are not written
    std::vector<uint8_t> named;
    std::vector<double> slope;                              // dp_gv
    Shape logits;
  };
  Tensor forward(const Tensor& logits, const Tensor& mask, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
