// "Did you mean …": the nearest of several names.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

/// Levenshtein distance between two words.
inline int64_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = int64_t(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t corner = row[0];
    row[0] = int64_t(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1])});
      corner = above;
    }
  }
  return row[b.size()];
}

/// The name with the smallest edit distance ("" when there are none).
inline std::string nearest_name(std::string_view name, const std::vector<std::string>& names) {
  const auto it = std::min_element(names.begin(), names.end(), [&](const auto& a, const auto& b) { return edit_distance(name, a) < edit_distance(name, b); });
  return it == names.end() ? "" : *it;
}

}  // namespace alinea
