#include "nn/analysis/columns.h"

#include <algorithm>
#include <numeric>

namespace alinea {

std::vector<double> column_mass(const Scores& a, const Cells& kept) {
  std::vector<double> mass(size_t(a.columns), 0.0);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.visible[size_t(i)]; ++j)
      if (!kept.has(i, j)) mass[size_t(j)] += a.at(i, j);
  return mass;
}

std::vector<int64_t> best_columns(const Scores& a, const Cells& kept, int64_t r) {
  const std::vector<double> mass = column_mass(a, kept);
  std::vector<int64_t> order(mass.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return mass[size_t(x)] > mass[size_t(y)]; });
  order.resize(std::min(order.size(), size_t(r)));
  std::erase_if(order, [&](int64_t j) { return mass[size_t(j)] == 0; });
  std::sort(order.begin(), order.end());
  return order;
}

void add_columns(Cells& kept, const Scores& a, const std::vector<int64_t>& columns) {
  for (int64_t i = 0; i < a.rows; ++i)
    for (const int64_t j : columns)
      if (j < a.visible[size_t(i)]) kept.add(i, j);
}

}  // namespace alinea
