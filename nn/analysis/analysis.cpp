#include "nn/analysis/analysis.h"

#include "engine/core/error.h"

namespace alinea {

Analysis analyze(const Scores& a, const BandCurve& curve, const AnalysisOptions& o, std::span<const double> rarity) {
  require(o.band >= 0 && o.columns >= 0 && o.largest_block >= 0 && o.residual >= 0 && o.eps > 0,
          "analysis: band {}, columns {}, blocks {} and residual {} must not be negative, eps {} must be above 0", o.band, o.columns, o.largest_block, o.residual, o.eps);
  require(rarity.empty() || int64_t(rarity.size()) == a.columns, "analysis: {} rarities for {} columns", rarity.size(), a.columns);
  Analysis r;
  Cells kept(a.rows, a.columns);
  add_band(kept, a, o.band);
  r.band = measure(a, kept);
  r.columns = best_columns(a, kept, o.columns);
  add_columns(kept, a, r.columns);
  r.with_columns = measure(a, kept);
  std::optional<BlockPartition> free;
  if (a.square()) r.blocks = *(free = best_blocks(a, a.rows, 1 / double(a.columns)));
  if (o.largest_block > 0) {
    r.blocks = best_blocks(a, o.largest_block, 1 / double(a.columns));
    add_blocks(kept, a, r.blocks.blocks);
  }
  r.with_blocks = measure(a, kept);
  r.residual = best_residual(a, kept, o.residual, o.eps);
  r.fit = measure(a, kept, r.residual);
  r.baselines = baselines(a, r.fit.nnz);
  r.roles = role_counts(a, curve, free, rarity);
  r.row_sum_error = row_sum_error(a);
  if (r.row_sum_error <= row_sum_tolerance) {
    for (const Entry& e : r.residual) kept.add(e.row, e.column);
    r.renormalised_l1 = renormalised_l1(a, kept) / double(a.rows);
  }
  return r;
}

}  // namespace alinea
