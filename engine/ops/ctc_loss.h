// Connectionist temporal classification (Graves, Fernández, Gomez, Schmidhuber, ICML 2006).
#pragma once
#include <vector>

#include "engine/ops/op.h"
#include "engine/ops/reduction.h"

namespace alinea {

/// −log P(target | logits): P sums over all alignments, frame by frame one label or blank, that give the target when equal neighbours are
/// merged and blanks dropped. With y = softmax(logits frame) and l' = blank, l₁, blank, …, l_L, blank (2L + 1 states):
///   α_t(s) = y_t(l'_s) (α_{t−1}(s) + α_{t−1}(s−1) + [l'_s is not blank, l'_s ≠ l'_{s−2}] α_{t−1}(s−2))     (equations 6 and 7)
///   β_t(s): the same from the end, here without y_t, so that Σ_s α_t(s) β_t(s) = P for every t
///   dlogits_t(v) = g · (y_t(v) − Σ_{s: l'_s = v} α_t(s) β_t(s) / P),   0 for frames past the item's length          (equation 16)
///   logits [B, T, V]  target i64 or i32 [B, L] (entries past target_lengths are not read)  ->  loss [], or [B] without a reduction
/// mean is PyTorch's: each loss over max(1, target length), then the mean over the batch.
/// A target that no alignment gives (too few frames: it needs one per label and one between equal neighbours) has an infinite loss and a
/// NaN gradient, or 0 and 0 with zero_infinity. Blank inside a target is an error.
/// α and β are logarithms in double for either dtype: sharp logits lose nothing. Contiguous. Keeps logits, log Σ e^logits per frame and
/// log α (B · T · (2L + 1) doubles); the gradient overwrites the logits when nobody else holds them.
struct CtcLoss {
  int64_t blank = 0;
  bool zero_infinity = false;
  Reduction reduction = Reduction::mean;
  std::vector<int32_t> input_lengths, target_lengths;       // per item
  struct Saved {
    Tensor logits, target, log_total, log_alpha, losses;    // losses: −log P per item, in double
  };
  Tensor forward(const Tensor& logits, const Tensor& target, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
