// Diagonal blocks: stretches of positions that look at themselves (a clause, a number, the words between two commas).
#pragma once
#include "nn/analysis/scores.h"

namespace alinea {

/// Rows and columns begin … end − 1.
struct Block {
  int64_t begin = 0, end = 0;
  bool operator==(const Block&) const = default;
};

struct BlockPartition {
  std::vector<Block> blocks;                                // they cover 0 … n − 1 without gaps
  double mass = 0;                                          // Σ |a_ij| inside
  int64_t cells = 0;                                        // visible cells inside
};

/// The partition of 0 … n − 1 into blocks of at most `largest` positions that maximises Σ (mass − price · cells), by
///   best[j] = max_{j − largest ≤ i < j} best[i] + mass(i … j) − price · cells(i … j)
/// on two-dimensional prefix sums: O(n² + n · largest). price: what one stored cell has to earn; 1 / n is what uniform attention puts there,
/// so a block has to be denser than that. Of equal values the longer last block wins. Square matrices only.
BlockPartition best_blocks(const Scores& a, int64_t largest, double price);

void add_blocks(Cells& kept, const Scores& a, const std::vector<Block>& blocks);

}  // namespace alinea
