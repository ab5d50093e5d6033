#include "models/hub/config_text.h"

#include <nlohmann/json.hpp>

namespace alinea {

std::string merged_config(const JsonText& origin, const Config& own, DType dtype) {
  auto all = nlohmann::json::parse(origin.text);
  all.update(nlohmann::json::parse(own.dump()), true);      // nested objects too: each half of an encoder-decoder keeps its own
  all.erase("torch_dtype");                                 // its name in files of transformers 4
  all["dtype"] = dtype == DType::bf16 ? "bfloat16" : dtype == DType::f64 ? "float64" : "float32";
  return all.dump(2) + "\n";
}

}  // namespace alinea
