#include "models/hub/json_file.h"

#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/files.h"
#include "models/hub/tensor_file.h"

namespace alinea {

using Json = nlohmann::ordered_json;

// A parser would keep one of two equal names silently; it reads any depth, but printing and copying recurse.
Json parse_json(std::string_view text, const std::string& place, int deepest) {
  std::vector<std::set<std::string>> open;
  try {
    return Json::parse(text.begin(), text.end(), [&](int depth, Json::parse_event_t event, Json& value) {
      require_data(depth <= deepest, "{}: nested more than {} deep", place, deepest);
      if (event == Json::parse_event_t::object_start) open.emplace_back();
      if (event == Json::parse_event_t::object_end) open.pop_back();
      if (event == Json::parse_event_t::key) {
        const auto& name = value.get_ref<const std::string&>();
        require_data(open.back().insert(name).second, "{}: the name '{}' occurs twice", place, shown(name));
      }
      return true;
    });
  } catch (const nlohmann::json::exception& e) {
    fail(Exit::data, "{}: not valid JSON ({})", place, shown(e.what()));
  }
}

Json read_json(const std::filesystem::path& path) { return parse_json(read_file(path), path.string()); }

}  // namespace alinea
