// Everything that is asked of one matrix of scores, in the order in which the pattern grows: band, columns, blocks, residual.
#pragma once
#include "nn/analysis/blocks.h"
#include "nn/analysis/columns.h"
#include "nn/analysis/fit.h"
#include "nn/analysis/roles.h"

namespace alinea {

struct AnalysisOptions {
  int64_t band = 0;                                         // half width w; ≥ n keeps all
  int64_t columns = 2;                                      // at most so many
  int64_t largest_block = 0;                                // of the blocks in the pattern; 0: no blocks in it
  int64_t residual = 16;                                    // k
  double eps = 1;                                           // largest |e_ij|
};

/// P = band ∪ columns ∪ blocks with A's own values, E = the residual; X = P + E. Columns are chosen by what the band leaves over, blocks by all
/// of A (price 1 / S), the residual by what all others leave over. Greedy: with a residual the best columns need not be the best ones alone.
struct Analysis {
  std::vector<int64_t> columns;
  BlockPartition blocks;                                    // square: with largest_block, or of any size when that is 0 (then not in P)
  std::vector<Entry> residual;
  Fit band, with_columns, with_blocks, fit;                 // the pattern as it grows; fit is that of X
  Baselines baselines;                                      // at fit.nnz
  RoleCounts roles;
  double row_sum_error = 0;
  std::optional<double> renormalised_l1;                    // per row, of the softmax on the stored cells; rows that do not sum to 1: none
};

/// Rows count as summing to 1 up to this: what 16-bit files lose.
constexpr double row_sum_tolerance = 5e-3;

/// O(T S) time and memory, O(n²) with blocks of any size. curve: band_curve(a).
Analysis analyze(const Scores& a, const BandCurve& curve, const AnalysisOptions& options, std::span<const double> rarity = {});

}  // namespace alinea
