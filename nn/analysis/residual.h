// The sparse residual E of X = P + E.
#pragma once
#include "nn/analysis/scores.h"

namespace alinea {

/// One stored number in coordinate form.
struct Entry {
  int64_t row = 0, column = 0;
  double value = 0;
  bool operator==(const Entry&) const = default;
};

/// The best E with at most k entries, |e_ij| ≤ eps, on cells that are not kept: the k largest |a_ij|, clipped, e = clip(a, −eps, eps). With R the
/// cells outside and K those of E
///   err₁ = Σ_R |a| − Σ_K min(|a|, eps)        err_F² = Σ_R a² − Σ_K (a² − (|a| − eps)₊²)
/// and no other support does better in either norm (every cell's gain grows with |a|). It need not be the only one: with err₁ all cells with
/// |a| ≥ eps tie. Ties go to the earlier cell, zeros are left out. O(T S), in the order of the cells. Conti 2024: existence by compactness.
std::vector<Entry> best_residual(const Scores& a, const Cells& kept, int64_t k, double eps);

}  // namespace alinea
