#include "nn/analysis/residual.h"

#include <algorithm>

namespace alinea {

std::vector<Entry> best_residual(const Scores& a, const Cells& kept, int64_t k, double eps) {
  std::vector<Entry> outside;
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.visible[size_t(i)]; ++j)
      if (!kept.has(i, j) && a.at(i, j) > 0) outside.push_back({i, j, a.at(i, j)});
  const auto earlier = [](const Entry& x, const Entry& y) { return x.row != y.row ? x.row < y.row : x.column < y.column; };
  if (int64_t(outside.size()) > k) {
    std::nth_element(outside.begin(), outside.begin() + k, outside.end(),
                     [&](const Entry& x, const Entry& y) { return x.value != y.value ? x.value > y.value : earlier(x, y); });
    outside.resize(size_t(k));
    std::sort(outside.begin(), outside.end(), earlier);
  }
  for (Entry& e : outside) e.value = std::min(e.value, eps);
  return outside;
}

}  // namespace alinea
