#include <algorithm>
#include <cmath>

#include "apps/report/encode.h"
#include "apps/report/page_json.h"
#include "engine/core/error.h"

namespace alinea {

using Json = nlohmann::ordered_json;

namespace {

void check_head(const HeadPicture& h, const std::string& place) {
  require_data(h.rows > 0 && h.columns > 0 && static_cast<int64_t>(h.weights.size()) == h.rows * h.columns, "{}: {} weights for {} rows × {} columns; give rows · columns of them", place,
               h.weights.size(), h.rows, h.columns);
  for (size_t i = 0; i < h.weights.size(); ++i)
    require_data(std::isfinite(h.weights[i]) && h.weights[i] >= 0, "{}: the weight at row {}, column {} is {}; weights must be finite and not negative", place, static_cast<int64_t>(i) / h.columns,
                 static_cast<int64_t>(i) % h.columns, h.weights[i]);
  const auto named = [](const std::vector<std::string>& names, int64_t n) { return names.empty() || static_cast<int64_t>(names.size()) == n; };
  require_data(named(h.row_names, h.rows) && named(h.column_names, h.columns), "{}: {} and {} names for {} rows × {} columns; give one each, or none", place, h.row_names.size(), h.column_names.size(),
               h.rows, h.columns);
  const auto inside = [&](const std::pair<int64_t, int64_t>& x, int64_t first, int64_t second) { return x.first >= 0 && x.first <= first && x.second >= 0 && x.second <= second; };
  bool fits = h.band.empty() || static_cast<int64_t>(h.band.size()) == h.rows;
  for (const auto& b : h.band) fits = fits && inside(b, h.columns, h.columns);
  for (const auto& b : h.blocks) fits = fits && inside(b, h.rows, h.rows);
  for (const auto& e : h.residual) fits = fits && inside(e, h.rows - 1, h.columns - 1);
  for (const int64_t c : h.pattern_columns) fits = fits && c >= 0 && c < h.columns;
  require_data(fits, "{}: a part of the pattern lies outside {} rows × {} columns", place, h.rows, h.columns);
}

}  // namespace

Json head_json(const HeadPicture& h, size_t index) {
  check_head(h, fmt::format("report, head {} ('{}')", index, h.name));
  const float largest = *std::max_element(h.weights.begin(), h.weights.end());
  return {{"name", h.name},
          {"role", h.role},
          {"sentence", h.sentence},
          {"rows", h.rows},
          {"columns", h.columns},
          {"largest", page_number(largest)},
          {"bytes", base64(quantise(h.weights, 0, largest).bytes)},
          {"row_names", h.row_names},
          {"column_names", h.column_names},
          {"band", h.band},
          {"pattern_columns", h.pattern_columns},
          {"blocks", h.blocks},
          {"residual", h.residual},
          {"errors", chart_json(h.errors)},
          {"facts", h.facts}};
}

}  // namespace alinea
