// What a head does, in numbers, and the name that goes with them (roles after Voita et al. 2019, arXiv 1905.09418; the columns and blocks after
// Conti 2024, where heads are sorted by eye).
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string_view>

#include "nn/analysis/band.h"
#include "nn/analysis/blocks.h"

namespace alinea {

/// Of one matrix. The argmax of a row is its first largest score; rows of zeros have none.
struct RoleCounts {
  std::map<int64_t, int64_t> offsets;                       // argmax_j a_ij − c_i -> rows
  int64_t rows = 0;
  std::optional<int64_t> rare_rows;                         // rows whose argmax is one of the two rarest columns, when rarity is known
  double column = 0;                                        // Σ_i a_ij of the heaviest column / |A|
  int64_t top_column = 0;
  std::optional<double> block_gain;                         // square: (mass in the best blocks − mass of a band of as many cells) / |A|
};

/// free: the best blocks of any size, of a square matrix. rarity: one value per column, as inverse document frequency; −inf: never rare (special tokens). Empty: unknown. Ties go to the lower index.
RoleCounts role_counts(const Scores& a, const BandCurve& band, const std::optional<BlockPartition>& free, std::span<const double> rarity);

/// Of one head over many sentences.
struct Role {
  std::string_view name;
  double positional = 0;                                    // max_d P(argmax offset = d), over all rows
  int64_t offset = 0;                                       // that d
  double column = 0;                                        // means over sentences
  std::optional<double> rare, block_gain;                   // rare: P(argmax is one of the two rarest), over all rows
};

/// The first of these that holds names the head; the scores are always there to judge by.
///   positional  positional ≥ 0.9 (Voita et al.)              rare    rare ≥ 0.5
///   column      column ≥ 1/3                                 blocks  block_gain ≥ 0.1 and above column: a block around a heavy column gains, too
///   local       a band of at most a quarter of the cells keeps 0.9 of the scores
///   mixed       none of these
Role role_of(std::span<const RoleCounts> counts, std::span<const BandCurve> bands);

}  // namespace alinea
