#include "nn/analysis/scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/error.h"

namespace alinea {

int64_t Scores::cells() const { return std::accumulate(visible.begin(), visible.end(), int64_t(0)); }

namespace {

bool causal(const Scores& a) {
  if (!a.square() || a.rows == 1) return false;
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = i + 1; j < a.columns; ++j)
      if (a.at(i, j) != 0) return false;
  return true;
}

void check_values(const Scores& a, std::string_view place) {
  double total = 0;
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.columns; ++j) {
      const double x = a.at(i, j);
      require_data(std::isfinite(x), "{}: the score at row {}, column {} is {}; scores must be finite", place, i, j, x);
      require_data(x >= 0, "{}: the score at row {}, column {} is {}; scores are weights and must not be negative", place, i, j, x);
      require_data(x == 0 || j < a.visible[size_t(i)], "{}: the score at row {}, column {} is {}, but this row sees {} columns", place, i, j, x, a.visible[size_t(i)]);
      total += x;
    }
  require_data(total > 0, "{}: all {} × {} scores are 0; there is nothing to analyse", place, a.rows, a.columns);
}

}  // namespace

Scores make_scores(int64_t rows, int64_t columns, std::vector<double> values, std::string_view place, std::vector<int64_t> visible, Diagonal diagonal) {
  require_data(rows > 0 && columns > 0, "{}: holds {} rows and {} columns; at least one of each is needed", place, rows, columns);
  require(int64_t(values.size()) == rows * columns && (visible.empty() || int64_t(visible.size()) == rows), "{}: {} values and {} visible lengths for {} rows × {} columns",
          place, values.size(), visible.size(), rows, columns);
  Scores a{.rows = rows, .columns = columns, .values = std::move(values), .visible = std::move(visible), .centre = {}};
  if (a.visible.empty()) {
    const bool lower = causal(a);
    for (int64_t i = 0; i < rows; ++i) a.visible.push_back(lower ? i + 1 : columns);
  }
  const bool stretch = diagonal == Diagonal::stretched && rows > 1;
  for (int64_t i = 0; i < rows; ++i) a.centre.push_back(stretch ? (2 * i * (columns - 1) + rows - 1) / (2 * (rows - 1)) : i);
  check_values(a, place);
  return a;
}

}  // namespace alinea
