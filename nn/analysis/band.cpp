#include "nn/analysis/band.h"

#include <algorithm>
#include <cmath>

namespace alinea {

double BandCurve::relative_frobenius(int64_t w) const { return w >= widest() ? 0 : std::sqrt(squared[size_t(w)] / total_squared); }

double BandCurve::mass_at(double count) const {
  const auto at = size_t(std::lower_bound(cells.begin(), cells.end(), count) - cells.begin());
  if (at == cells.size()) return total;
  const double above = total - l1[at], cells_below = at == 0 ? 0 : double(cells[at - 1]), below = at == 0 ? 0 : total - l1[at - 1];
  return below + (above - below) * (count - cells_below) / (double(cells[at]) - cells_below);
}

BandCurve band_curve(const Scores& a) {
  int64_t widest = 0;
  for (const int64_t c : a.centre) widest = std::max({widest, c, a.columns - 1 - c});
  std::vector<double> sum(size_t(widest + 1)), square(size_t(widest + 1));   // over both diagonals of |d|
  std::vector<int64_t> count(size_t(widest + 1));
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.visible[size_t(i)]; ++j) {
      const auto d = size_t(std::abs(j - a.centre[size_t(i)]));
      const double x = a.at(i, j);
      sum[d] += x, square[d] += x * x, ++count[d];
    }
  BandCurve curve{.l1 = std::vector<double>(size_t(widest + 1)), .squared = std::vector<double>(size_t(widest + 1)), .cells = count};
  for (int64_t w = widest; w > 0; --w) {
    curve.l1[size_t(w - 1)] = curve.l1[size_t(w)] + sum[size_t(w)];
    curve.squared[size_t(w - 1)] = curve.squared[size_t(w)] + square[size_t(w)];
  }
  for (size_t w = 1; w < count.size(); ++w) curve.cells[w] += curve.cells[w - 1];
  curve.total = curve.l1[0] + sum[0];
  curve.total_squared = curve.squared[0] + square[0];
  return curve;
}

void add_band(Cells& kept, const Scores& a, int64_t w) {
  for (int64_t i = 0; i < a.rows; ++i) {
    const int64_t c = a.centre[size_t(i)];
    for (int64_t j = std::max<int64_t>(0, c - w); j < std::min(a.visible[size_t(i)], c + w + 1); ++j) kept.add(i, j);
  }
}

ChosenBand choose_band(std::span<const BandCurve> curves, double mass, double share) {
  int64_t widest = 0;
  for (const BandCurve& c : curves) widest = std::max(widest, c.widest());
  ChosenBand best;
  for (int64_t w = 0; w <= widest; ++w) {
    double kept = 0, taken = 0;
    for (const BandCurve& c : curves) {
      kept += 1 - c.relative_l1(w);
      taken += double(c.cells[size_t(std::min(w, c.widest()))]) / double(c.cells.back());
    }
    kept /= double(curves.size()), taken /= double(curves.size());
    if (w > 0 && taken > share) break;
    best = {.w = w, .mass = kept, .share = taken, .enough = kept >= mass};
    if (best.enough) break;
  }
  return best;
}

}  // namespace alinea
