// Parts of the page's data that several files make.
#pragma once
#include <nlohmann/json.hpp>

#include "apps/report/report.h"

namespace alinea {

/// null where there is no number; otherwise six significant digits, which is what a chart or a tooltip can show.
nlohmann::ordered_json page_number(double value);
nlohmann::ordered_json chart_json(const Chart& chart);
nlohmann::ordered_json head_json(const HeadPicture& head, size_t index);

}  // namespace alinea
