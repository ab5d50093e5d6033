// Columns: source positions that many rows look at (the "rare-token" heads of Conti 2024; vertical lines in a picture of the scores).
#pragma once
#include "nn/analysis/scores.h"

namespace alinea {

/// c_j = Σ_i |a_ij| over the rows whose cell (i, j) is not kept yet; O(T S).
std::vector<double> column_mass(const Scores& a, const Cells& kept);

/// The r columns with the largest c_j, ascending; ties go to the lower index, columns that hold nothing more are left out. As the cells of
/// different columns are disjoint, no other r columns leave less error: exactly optimal when nothing follows. With a residual behind them
/// the best pair of both is not separable, and columns first is greedy.
std::vector<int64_t> best_columns(const Scores& a, const Cells& kept, int64_t r);

/// Adds every visible cell of the columns.
void add_columns(Cells& kept, const Scores& a, const std::vector<int64_t>& columns);

}  // namespace alinea
