#include "models/hub/config_text.h"

#include <nlohmann/json.hpp>

namespace alinea {

namespace {

// Values that are equal stay as they were written (0.0 is not 0 to every reader), nested objects are merged key by key.
void overlay(nlohmann::json& all, const nlohmann::json& own) {
  for (const auto& [key, value] : own.items()) {
    auto& there = all[key];
    if (there.is_object() && value.is_object()) overlay(there, value);
    else if (there != value) there = value;
  }
}

}  // namespace

std::string merged_config(const JsonText& origin, const Config& own, DType dtype) {
  auto all = nlohmann::json::parse(origin.text);
  overlay(all, nlohmann::json::parse(own.dump()));
  all.erase("torch_dtype");                                 // its name in files of transformers 4
  all["dtype"] = dtype == DType::bf16 ? "bfloat16" : dtype == DType::f64 ? "float64" : "float32";
  return all.dump(2) + "\n";
}

}  // namespace alinea
