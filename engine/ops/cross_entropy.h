// Cross-entropy with label smoothing, fused with the log-softmax.
#pragma once
#include "engine/ops/op.h"
#include "engine/ops/reduction.h"

namespace alinea {

/// Σ or mean over the rows whose target is not ignore_index of   a · (−log p_t) + b · Σ_v (−log p_v),   p = softmax(logits row)
///   torch:    a = 1 − ε,           b = ε / V        (PyTorch's label_smoothing: the smoothed target includes t)
///   fairseq:  a = 1 − ε − ε/(V−1), b = ε / (V−1)    (fairseq's label_smoothed_cross_entropy)
///   logits [..., V]  target i64 or i32 [...]  ->  loss []
///   d row = scale · (p − b − a · [v = t]), since a + bV = 1 in both; ignored rows get 0; scale = g, for the mean g / counted rows
/// The mean over no rows at all is 0 with a zero gradient: a batch shard may hold nothing but padding, and NaN would end the training.
/// Contiguous. Keeps logits and log Σ e^logits per row; the gradient overwrites the logits when nobody else holds them.
/// A target outside 0 … V−1 that is not ignore_index is an error.
struct CrossEntropy {
  enum class Convention { torch, fairseq };
  double smoothing = 0;
  Convention convention = Convention::torch;
  int64_t ignore_index = -100;
  Reduction reduction = Reduction::mean;                    // mean or sum
  struct Saved {
    Tensor logits, target, log_total;
    int64_t counted;
  };
  Tensor forward(const Tensor& logits, const Tensor& target, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
