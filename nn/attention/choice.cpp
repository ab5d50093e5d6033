#include "nn/attention/choice.h"

#include <nlohmann/json.hpp>

namespace alinea {

namespace {

AttentionSpec spec_of(nlohmann::ordered_json j, std::string_view block) {
  if (j.is_string()) return {j.get<std::string>(), "{}"};
  require(j.is_object() && j.contains("name") && j["name"].is_string(), "{}: {} is not an attention; write \"softmax\" or {{\"name\": \"linear\", …}}, or a list of these with one entry per layer",
          block, j.dump());
  AttentionSpec spec{j["name"].get<std::string>(), {}};
  j.erase("name");
  spec.options = j.dump();
  return spec;
}

}  // namespace

AttentionChoice::AttentionChoice(std::string_view name) : json_{nlohmann::json(name).dump()}, layers_{AttentionSpec{std::string(name), "{}"}} {}

void AttentionChoice::field(Config& c, std::string_view name, std::string_view help) {
  c.field(name, json_, help);
  const auto j = nlohmann::ordered_json::parse(json_.text);
  layers_.clear();
  if (!j.is_array()) layers_.push_back(spec_of(j, name));
  else
    for (const auto& one : j) layers_.push_back(spec_of(one, name));
  require(!layers_.empty(), "{}: the list is empty; one entry per layer is needed", name);
}

void AttentionChoice::check(std::string_view block, int64_t layers) const {
  require(layers_.size() == 1 || int64_t(layers_.size()) == layers, "{}: the list has {} entries, the model {} layers", block, layers_.size(), layers);
}

std::string AttentionChoice::describe() const {
  std::string text;
  for (const AttentionSpec& s : layers_) text += (text.empty() ? "" : ", ") + s.name + (s.options == "{}" ? "" : " " + s.options);
  return text;
}

}  // namespace alinea
