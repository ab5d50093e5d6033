#include "data/scores/simuleval_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/scores/words.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {
using json = nlohmann::ordered_json;
namespace {

SimulInstance parse_line(std::string_view line, const std::string& place) {
  SimulInstance one;
  try {
    const json j = json::parse(line);
    one.index = j.at("index");
    one.prediction = j.at("prediction");
    one.delays = j.at("delays").get<std::vector<double>>();
    one.elapsed = j.at("elapsed").get<std::vector<double>>();
    one.reference = j.at("reference").is_null() ? "" : j.at("reference").get<std::string>();
    const json& source = j.at("source");
    if (source.is_array())
      one.source = source.get<std::vector<std::string>>();
    else
      one.source = {source.get<std::string>()};
    one.source_length = j.at("source_length");
  } catch (const json::exception& e) {
    const std::string what = e.what();
    fail(Exit::data, "{}: not an instance of SimulEval's log: {}", place, what.substr(what.find(']') + 2));
  }
  require_data(one.elapsed.empty() || one.elapsed.size() == one.delays.size(), "{}: {} delays but {} elapsed times; expected as many",
               place, one.delays.size(), one.elapsed.size());
  return one;
}

// The value of "key: value" in a flat YAML file, or nothing.
std::string yaml_value(const std::string& text, std::string_view key) {
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with(std::string(key) + ":")) {
      const auto words = split_words(line.substr(key.size() + 1));
      return words.empty() ? "" : words[0];
    }
    begin = end + 1;
  }
  return "";
}

}  // namespace

int64_t reference_length(std::string_view reference, LatencyUnit unit) {
  if (unit == LatencyUnit::word) return 1 + std::count(reference.begin(), reference.end(), ' ');
  const std::u32string all = code_points(reference);
  const auto begin = std::find_if_not(all.begin(), all.end(), is_white_space);
  const auto end = std::find_if_not(all.rbegin(), std::make_reverse_iterator(begin), is_white_space).base();
  return end - begin;
}

SimulLog read_simuleval_log(const std::filesystem::path& folder) {
  SimulLog log;
  const std::string config = read_file(folder / "config.yaml");
  log.source_type = yaml_value(config, "source_type");
  log.target_type = yaml_value(config, "target_type");
  for (const auto& [key, value] : {std::pair("source_type", log.source_type), std::pair("target_type", log.target_type)})
    require_data(value == "speech" || value == "text", "{}: {} is \"{}\", expected speech or text", (folder / "config.yaml").string(), key,
                 value);
  const std::string text = read_file(folder / "instances.log");
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    if (end > begin)
      log.instances.push_back(
          parse_line(std::string_view(text).substr(begin, end - begin), fmt::format("{}:{}", (folder / "instances.log").string(), number)));
    begin = end + 1;
  }
  return log;
}

void write_simuleval_log(const std::filesystem::path& folder, const SimulLog& log) {
  std::string lines;
  for (size_t i = 0; i < log.instances.size(); ++i) {
    const SimulInstance& one = log.instances[i];
    require_data(one.index == int64_t(i), "{}: instance {} has index {}; indices count from 0", folder.string(), i, one.index);
    json j;
    j["index"] = one.index;
    j["prediction"] = one.prediction;
    j["delays"] = one.delays;
    j["elapsed"] = one.elapsed.empty() ? std::vector<double>(one.delays.size(), 0.0) : one.elapsed;
    j["prediction_length"] = one.delays.size();
    j["reference"] = one.reference;
    if (log.source_type == "text")
      j["source"] = one.source.empty() ? "" : one.source[0];
    else
      j["source"] = one.source;
    j["source_length"] = one.source_length;
    lines += j.dump() + "\n";
  }
  make_folder(folder);
  write_atomically(folder / "config.yaml", fmt::format("source_type: {}\ntarget_type: {}\n", log.source_type, log.target_type));
  write_atomically(folder / "instances.log", lines);
}

std::optional<Latency> score_latency(const SimulLog& log, LatencyUnit unit, bool computation_aware, AtdUnits units) {
  std::vector<std::optional<Latency>> all;
  for (const auto& one : log.instances)
    all.push_back(latency(one.delays, one.source_length, double(reference_length(one.reference, unit)),
                          computation_aware ? std::span<const double>(one.elapsed) : std::span<const double>(), units));
  return mean_latency(all);
}

}  // namespace alinea
