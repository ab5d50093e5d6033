#include "models/hub/model_directory.h"

#include <map>

namespace alinea {

NamedTensors parameters_of(Module& module) {
  NamedTensors all;
  std::vector<const Parameter*> seen;
  module.visit("", [&](const std::string& name, Parameter& p) {
    if (std::find(seen.begin(), seen.end(), &p) != seen.end()) return;
    seen.push_back(&p);
    all.emplace_back(name, p.value);
  });
  return all;
}

void load_parameters(Module& module, const NamedTensors& tensors, const std::string& where, const std::vector<std::string>& missing_ok) {
  std::map<std::string, Tensor> by_name(tensors.begin(), tensors.end());
  std::string complaints;
  int count = 0;
  auto complain = [&](const std::string& line) {
    if (++count <= 20) complaints += "\n  " + line;
  };
  module.visit("", [&](const std::string& name, Parameter& p) {
    const auto it = by_name.find(name);
    if (it == by_name.end()) {
      const bool fine = std::any_of(missing_ok.begin(), missing_ok.end(), [&](const std::string& prefix) { return name.find(prefix) != std::string::npos; });
      if (!fine) complain("missing: " + name + " " + p.value.shape().str());
      return;
    }
    if (it->second.shape() != p.value.shape()) complain(fmt::format("misshapen: {} is {}, the model needs {}", name, it->second.shape(), p.value.shape()));
    else p.value.copy_from(it->second.to(p.value.dtype()).to(p.value.context()));
    by_name.erase(it);
  });
  for (const auto& [name, t] : by_name) complain("unexpected: " + name + " " + t.shape().str());
  require_data(count == 0, "{}: the weights do not fit the model; {} names are wrong{}{}", where, count, complaints, count > 20 ? "\n  …" : "");
}

namespace {

template <class Model>
void save(const std::filesystem::path& directory, Model& model) {
  std::filesystem::create_directories(directory);
  Config config;
  auto fields = model.config();
  fields.fields(config);
  write_atomically(directory / "config.json", config.dump());
  write_safetensors(directory / "model.safetensors", parameters_of(model), {{"format", "pt"}});
}

Config config_file(const std::filesystem::path& directory) {
  require_data(std::filesystem::exists(directory / "config.json"), "{}: there is no config.json; this is not a model directory", directory.string());
  return Config::file(directory / "config.json");
}

template <class Model, class ModelConfig>
std::unique_ptr<Model> load(const std::filesystem::path& directory, Context& context) {
  ModelConfig config;
  const std::string expected = config.model_type, found = model_type_of(directory);
  require_data(found == expected, "{}: model_type '{}' is not supported here; {} is", (directory / "config.json").string(), found, expected);
  Config file = config_file(directory);
  config.fields(file);
  file.refuse_unread();
  auto model = std::make_unique<Model>(context, config, RandomKey{0});
  load_parameters(*model, SafetensorsFile(directory / "model.safetensors").load_all(context), (directory / "model.safetensors").string());
  return model;
}

}  // namespace

std::string model_type_of(const std::filesystem::path& directory) {
  std::string type;
  config_file(directory).field("model_type", type, "names the architecture in the file");
  return type;
}

void save_model(const std::filesystem::path& directory, S2TTransformer& model) { save(directory, model); }
void save_model(const std::filesystem::path& directory, TextTransformer& model) { save(directory, model); }

std::unique_ptr<S2TTransformer> load_model(const std::filesystem::path& directory, Context& context) { return load<S2TTransformer, S2TConfig>(directory, context); }
std::unique_ptr<TextTransformer> load_text_model(const std::filesystem::path& directory, Context& context) { return load<TextTransformer, TextConfig>(directory, context); }

}  // namespace alinea
