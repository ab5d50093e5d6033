// Latency of an alignment, differentiable. Delays are in source columns, 1-based: a token written when j columns have been read has delay j.
// All losses are linear in that unit: times `seconds_per_column` they are in seconds. `source_lengths` and `target_lengths` (empty: none padded)
// are |X| and |Y| per item, at least 1; rows past |Y| and columns past |X| count nothing and get gradient 0.
#pragma once
#include <vector>

#include "engine/ops/op.h"

namespace alinea {

/// d_i = Σ_j j α_ij.   alpha [B, H, T, S] -> delay [B, H, T].    dα_ij = j g_i.   Keeps no tensor.
/// Raffel et al. 2017; Ma et al., "Monotonic multihead attention", 2020, eq. 11.
struct ExpectedDelay {
  std::vector<int32_t> source_lengths;
  struct Saved {
    int64_t columns = 0;
  };
  Tensor forward(const Tensor& alpha, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// AL = (1/n) Σ_{i≤n} (d_i - (i-1)|X|/|Y|), n the rows up to and including the first with d_i ≥ |X|, else |Y|; without `average` the sum.
/// delay [B, H, T] -> [B, H].   n is a constant for the gradient: dd_i = g/n for i ≤ n.   Keeps d.
/// Ma et al., "STACL", 2019, eq. 8; the differentiable form of SimulEval 1.0 (Ma et al., 2020).
struct AverageLagging {
  std::vector<int32_t> source_lengths, target_lengths;
  bool average = true;
  struct Saved {
    Tensor delay;
  };
  Tensor forward(const Tensor& delay, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// DAL = (1/|Y|) Σ_i (d'_i - (i-1) c),  d'_1 = d_1,  d'_i = max(d_i, d'_{i-1} + c),  c = |X|/|Y|.   delay [B, H, T] -> [B, H]
/// The gradient of d'_i goes to the last row that won its maximum.   Keeps d.
/// Cherry & Foster, "Thinking slow about latency evaluation for simultaneous machine translation", 2019, eq. 4-5.
struct DifferentiableAverageLagging {
  std::vector<int32_t> source_lengths, target_lengths;
  struct Saved {
    Tensor delay;
  };
  Tensor forward(const Tensor& delay, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// (1/|Y|) Σ_i V_i,  V_i = Σ_j (j - d_i)² α_ij.   alpha [B, H, T, S] -> variance [B, H], in columns².
///   dα_ij = g/|Y| ((j - d_i)² - 2 j d_i (1 - m_i)),  m_i = Σ_j α_ij
/// Two passes: E[j²] - E[j]² loses every digit where d is large and V small.   Keeps alpha.   arXiv 2312.04515, eq. 22-23.
struct AlignmentVariance {
  std::vector<int32_t> source_lengths, target_lengths;
  struct Saved {
    Tensor alpha;
  };
  Tensor forward(const Tensor& alpha, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

/// One value of several heads.   values [B, N] -> [B]
///   mean; max (gradient to the first largest); softmax: ℓ = Σ_h w_h L_h, w = softmax(L), dL_h = g w_h (1 + L_h - ℓ), which is negative for heads
///   below ℓ - 1: they are pushed to be slower; softmax_stopgrad: the same value with constant weights, dL_h = g w_h.
/// Keeps values (not for mean).   Ma et al. 2020, eq. 12-13.
enum class HeadPooling { mean, max, softmax, softmax_stopgrad };
struct HeadPool {
  HeadPooling method = HeadPooling::mean;
  struct Saved {
    Tensor values;
    int64_t heads = 0;
  };
  Tensor forward(const Tensor& values, Saved* kept) const;
  Grads<1> backward(Saved&& kept, Tensor&& g, const Needs<1>& need) const;
};

}  // namespace alinea
