#include "nn/analysis/fit.h"

#include <algorithm>
#include <cmath>

namespace alinea {

Fit measure(const Scores& a, const Cells& kept, std::span<const Entry> residual) {
  Fit fit{.nnz = kept.count() + int64_t(residual.size()), .worst = 1, .worst_row = -1};
  double total = 0, total_squared = 0, squared = 0;
  int64_t rows = 0;
  size_t next = 0;                                          // of the residual, which is in the order of the cells
  for (int64_t i = 0; i < a.rows; ++i) {
    double sum = 0, held = 0;
    for (int64_t j = 0; j < a.columns; ++j) {
      const double x = a.at(i, j);
      double error = kept.has(i, j) ? 0 : x;
      if (kept.has(i, j)) held += x;
      if (next < residual.size() && residual[next].row == i && residual[next].column == j) error = x - residual[next++].value, held += x;
      sum += x, fit.l1 += std::abs(error), squared += error * error, total_squared += x * x;
    }
    total += sum;
    if (sum == 0) continue;
    const double m = std::min(1.0, held / sum);
    ++rows, fit.retained += m;
    if (fit.worst_row < 0 || m < fit.worst) fit.worst = m, fit.worst_row = i;
  }
  fit.per_cell = fit.l1 / double(a.rows * a.columns);
  fit.relative_l1 = fit.l1 / total;
  fit.frobenius = std::sqrt(squared);
  fit.relative_frobenius = std::sqrt(squared / total_squared);
  fit.retained /= double(rows);
  return fit;
}

Baselines baselines(const Scores& a, int64_t nnz) {
  std::vector<double> all;
  double total = 0, total_squared = 0, uniform = 0, uniform_squared = 0;
  for (int64_t i = 0; i < a.rows; ++i) {
    const int64_t seen = a.visible[size_t(i)];
    double sum = 0;
    for (int64_t j = 0; j < seen; ++j) sum += a.at(i, j);
    for (int64_t j = 0; j < seen; ++j) {
      const double x = a.at(i, j), error = x - sum / double(seen);
      all.push_back(x);
      total_squared += x * x, uniform += std::abs(error), uniform_squared += error * error;
    }
    total += sum;
  }
  const int64_t n = std::min(nnz, int64_t(all.size()));
  std::nth_element(all.begin(), all.begin() + n, all.end(), std::greater<>());
  double lost = 0, lost_squared = 0;
  for (size_t i = size_t(n); i < all.size(); ++i) lost += all[i], lost_squared += all[i] * all[i];
  const double missed = 1 - double(n) / double(all.size());
  return {.zero = {1, 1},
          .uniform = {uniform / total, std::sqrt(uniform_squared / total_squared)},
          .top = {lost / total, std::sqrt(lost_squared / total_squared)},
          .random = {missed, std::sqrt(missed)}};
}

double row_sum_error(const Scores& a) {
  double worst = 0;
  for (int64_t i = 0; i < a.rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < a.columns; ++j) sum += a.at(i, j);
    worst = std::max(worst, std::abs(sum - 1));
  }
  return worst;
}

double renormalised_l1(const Scores& a, const Cells& kept) {
  double error = 0;
  for (int64_t i = 0; i < a.rows; ++i) {
    double m = 0;
    for (int64_t j = 0; j < a.columns; ++j)
      if (kept.has(i, j)) m += a.at(i, j);
    for (int64_t j = 0; j < a.columns; ++j) {
      const double x = a.at(i, j);
      error += std::abs(x - (m > 0 && kept.has(i, j) ? x / m : 0));
    }
  }
  return error;
}

}  // namespace alinea
