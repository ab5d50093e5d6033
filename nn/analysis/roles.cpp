#include "nn/analysis/roles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/analysis/columns.h"

namespace alinea {

namespace {

// The two rarest columns, or fewer when fewer can be rare.
std::vector<int64_t> rarest(std::span<const double> rarity) {
  std::vector<int64_t> order(rarity.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int64_t j) { return !(rarity[size_t(j)] > -INFINITY); });
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return rarity[size_t(x)] > rarity[size_t(y)]; });
  order.resize(std::min<size_t>(order.size(), 2));
  return order;
}

}  // namespace

RoleCounts role_counts(const Scores& a, const BandCurve& band, const std::optional<BlockPartition>& free, std::span<const double> rarity) {
  RoleCounts c;
  const std::vector<int64_t> rare = rarest(rarity);
  if (!rarity.empty()) c.rare_rows = 0;
  for (int64_t i = 0; i < a.rows; ++i) {
    const double* row = a.values.data() + i * a.columns;
    const int64_t top = std::max_element(row, row + a.columns) - row;
    if (row[top] == 0) continue;
    ++c.rows, ++c.offsets[top - a.centre[size_t(i)]];
    if (c.rare_rows && std::find(rare.begin(), rare.end(), top) != rare.end()) ++*c.rare_rows;
  }
  const std::vector<double> mass = column_mass(a, Cells(a.rows, a.columns));
  c.top_column = std::max_element(mass.begin(), mass.end()) - mass.begin();
  c.column = mass[size_t(c.top_column)] / band.total;
  if (free) c.block_gain = (free->mass - band.mass_at(double(free->cells))) / band.total;
  return c;
}

Role role_of(std::span<const RoleCounts> counts, std::span<const BandCurve> bands) {
  Role role;
  std::map<int64_t, int64_t> offsets;
  int64_t rows = 0, rare_rows = 0;
  double gain = 0;
  bool rare = true, square = true;
  for (const RoleCounts& c : counts) {
    for (const auto& [d, n] : c.offsets) offsets[d] += n;
    rows += c.rows, role.column += c.column / double(counts.size());
    rare = rare && c.rare_rows, rare_rows += c.rare_rows.value_or(0);
    square = square && c.block_gain, gain += c.block_gain.value_or(0) / double(counts.size());
  }
  const auto top = std::max_element(offsets.begin(), offsets.end(), [](const auto& x, const auto& y) { return x.second < y.second; });
  role.offset = top->first, role.positional = double(top->second) / double(rows);
  if (rare) role.rare = double(rare_rows) / double(rows);
  if (square) role.block_gain = gain;
  if (role.positional >= 0.9) role.name = "positional";
  else if (role.rare.value_or(0) >= 0.5) role.name = "rare";
  else if (role.column >= 1.0 / 3) role.name = "column";
  else if (role.block_gain.value_or(0) >= std::max(0.1, role.column)) role.name = "blocks";
  else role.name = choose_band(bands, 0.9, 0.25).enough ? "local" : "mixed";
  return role;
}

}  // namespace alinea
