#include "models/hub/model_directory.h"

#include "engine/core/files.h"

namespace alinea {

namespace {

template <class Model>
void save(const std::filesystem::path& directory, Model& model) {
  std::filesystem::create_directories(directory);
  Config config;
  auto fields = model.config();
  fields.fields(config);
  write_atomically(directory / "config.json", config.dump());
  save_weights(directory, outgoing(parameters_of(model)));
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
  auto model = std::make_unique<Model>(context, config, RandomKey::deferred());
  load_weights(*model, Checkpoint::open(directory));
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
