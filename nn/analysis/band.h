// The best band of every half width at once.
#pragma once
#include <span>

#include "nn/analysis/scores.h"

namespace alinea {

/// The band of half width w holds the cells with |j − c_i| ≤ w; its best values are those of A (the problem separates by cell), so with
/// d = j − c_i and s_d = Σ_i |a_{i, c_i + d}|
///   err₁(w) = Σ_{|d| > w} s_d        err_F(w)² = Σ_{|d| > w} Σ_i a²_{i, c_i + d}
/// in one O(T S) pass. Summed from the outside inwards: both never rise with w and are exactly 0 at the last width (n − 1 when square).
/// A square matrix that sees everything has (2w + 1) n − w (w + 1) cells. Conti 2024, section on band matrices: the best approximation there
/// is only shown to exist; this is it, in either norm.
struct BandCurve {
  std::vector<double> l1, squared;                          // err₁(w), err_F(w)²; index w = 0 … widest()
  std::vector<int64_t> cells;                               // visible cells in the band
  double total = 0, total_squared = 0;                      // Σ |a_ij|, Σ a_ij²

  int64_t widest() const { return int64_t(l1.size()) - 1; }
  double relative_l1(int64_t w) const { return w >= widest() ? 0 : l1[size_t(w)] / total; }
  double relative_frobenius(int64_t w) const;
  /// Σ of the |a_ij| in a band with `cells` cells, between two widths by linear interpolation.
  double mass_at(double cells) const;
};

BandCurve band_curve(const Scores& a);

/// Adds the cells of a band of half width w.
void add_band(Cells& kept, const Scores& a, int64_t w);

/// How --band is chosen when it is not given: the smallest w whose band keeps `mass` of the scores, on average over the matrices, but none
/// that takes more than `share` of the cells (on average), since such a pattern spares nothing.
struct ChosenBand {
  int64_t w = 0;
  double mass = 0, share = 0;                               // what it keeps and takes
  bool enough = false;                                      // whether it keeps as much as asked for
};
ChosenBand choose_band(std::span<const BandCurve> curves, double mass, double share);

}  // namespace alinea
